-- +goose Up

-- What operators have set for all tasks of one type. A type without a row has no rules.
CREATE TABLE task_types (
    type            TEXT      PRIMARY KEY CHECK (length(type) BETWEEN 1 AND 200),
    paused          BOOLEAN   NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    max_concurrency INTEGER   CHECK (max_concurrency IS NULL OR typeof(max_concurrency) = 'integer' AND max_concurrency BETWEEN 1 AND 1000000), -- tasks in processing
    updated_at_utc  TIMESTAMP NOT NULL CHECK (typeof(updated_at_utc) = 'integer')
) WITHOUT ROWID;

-- One row: how often what decides over claims has changed. Claims on PostgreSQL see by it that they know the rules as they are.
CREATE TABLE type_rules (
    one     BOOLEAN PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    version INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO type_rules (version) VALUES (0);

-- +goose Down
DROP TABLE type_rules;
DROP TABLE task_types;
