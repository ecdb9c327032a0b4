-- +goose Up

-- What operators have set for all tasks of one type. A type without a row has no rules.
CREATE TABLE task_types (
    type              text        PRIMARY KEY CHECK (char_length(type) BETWEEN 1 AND 200),
    paused            boolean     NOT NULL DEFAULT false,
    -- The most tasks in processing; null: no limit.
    max_concurrency   integer     CHECK (max_concurrency BETWEEN 1 AND 1000000),
    -- What tasks are given that do not say, and the longest payload; null: as the service is configured.
    max_attempts      integer     CHECK (max_attempts BETWEEN 1 AND 100),
    retry_policy      json        CHECK (json_typeof(retry_policy) = 'object'),
    timeout_seconds   double precision CHECK (timeout_seconds > 0),
    max_payload_bytes integer     CHECK (max_payload_bytes >= 2),
    -- A JSON Schema that payloads must fit; null: any object does.
    payload_schema    json        CHECK (json_typeof(payload_schema) = 'object'),
    updated_at_utc    timestamptz NOT NULL
);
-- The types that every claim must know of.
CREATE INDEX task_types_closing ON task_types (type) WHERE paused OR max_concurrency IS NOT NULL;

-- One row: how often what decides over claims has changed. A claim takes nothing when this is not the number it has read the rules with.
CREATE TABLE type_rules (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL
);
INSERT INTO type_rules (version) VALUES (0);

-- +goose Down
DROP TABLE type_rules;
DROP TABLE task_types;
