-- +goose Up

-- Changes to all tasks that a filter finds. proposed: a dry run, which becomes running with the token whose SHA-256 confirm_hash is, until it expires.
CREATE TABLE operations (
    id              INTEGER   PRIMARY KEY AUTOINCREMENT,
    action          TEXT      NOT NULL CHECK (action IN ('cancel', 'requeue', 'delete', 'set_priority')),
    filter          TEXT      NOT NULL,
    priority        INTEGER   CHECK (priority BETWEEN 1 AND 1000),
    status          TEXT      NOT NULL CHECK (status IN ('proposed', 'running', 'completed', 'cancelled')),
    matched         INTEGER   NOT NULL DEFAULT 0,
    changed         INTEGER   NOT NULL DEFAULT 0,
    skipped         INTEGER   NOT NULL DEFAULT 0,
    failed          INTEGER   NOT NULL DEFAULT 0,
    done_id         INTEGER   NOT NULL DEFAULT 0, -- every task up to this id has been looked at
    upper_id        INTEGER   NOT NULL DEFAULT 0, -- the last task there was when it began
    confirm_hash    TEXT      NOT NULL UNIQUE,
    expires_at_utc  TIMESTAMP NOT NULL CHECK (typeof(expires_at_utc) = 'integer'),
    runner          TEXT,                         -- the process that works on it, until runner_until_utc
    runner_until_utc TIMESTAMP,
    error_message   TEXT,                         -- of the last task that failed
    created_at_utc  TIMESTAMP NOT NULL CHECK (typeof(created_at_utc) = 'integer'),
    updated_at_utc  TIMESTAMP NOT NULL CHECK (typeof(updated_at_utc) = 'integer'),
    finished_at_utc TIMESTAMP,
    CHECK ((action = 'set_priority') = (priority IS NOT NULL)),
    CHECK ((status IN ('completed', 'cancelled')) = (finished_at_utc IS NOT NULL)),
    CHECK (matched = changed + skipped + failed AND changed >= 0 AND skipped >= 0 AND failed >= 0)
);
CREATE INDEX operations_running ON operations (id) WHERE status = 'running';
CREATE INDEX operations_proposed ON operations (expires_at_utc) WHERE status = 'proposed';

-- +goose Down
DROP TABLE operations;
