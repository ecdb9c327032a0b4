-- +goose Up

-- What operators have set for all tasks of one type. A type without a row has no rules.
CREATE TABLE task_types (
    type              TEXT      PRIMARY KEY CHECK (length(type) BETWEEN 1 AND 200),
    paused            BOOLEAN   NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    -- The most tasks in processing; null: no limit.
    max_concurrency   INTEGER   CHECK (max_concurrency IS NULL OR typeof(max_concurrency) = 'integer' AND max_concurrency BETWEEN 1 AND 1000000),
    -- What tasks are given that do not say, and the longest payload; null: as the service is configured.
    max_attempts      INTEGER   CHECK (max_attempts IS NULL OR typeof(max_attempts) = 'integer' AND max_attempts BETWEEN 1 AND 100),
    retry_policy      TEXT      CHECK (retry_policy IS NULL OR typeof(retry_policy) = 'text' AND json_valid(retry_policy) AND json_type(retry_policy) = 'object'),
    timeout_seconds   REAL      CHECK (timeout_seconds IS NULL OR typeof(timeout_seconds) = 'real' AND timeout_seconds > 0),
    max_payload_bytes INTEGER   CHECK (max_payload_bytes IS NULL OR typeof(max_payload_bytes) = 'integer' AND max_payload_bytes >= 2),
    -- A JSON Schema that payloads must fit; null: any object does.
    payload_schema    TEXT      CHECK (payload_schema IS NULL OR typeof(payload_schema) = 'text' AND json_valid(payload_schema) AND json_type(payload_schema) = 'object'),
    updated_at_utc    TIMESTAMP NOT NULL CHECK (typeof(updated_at_utc) = 'integer')
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
