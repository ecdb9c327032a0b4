-- +goose Up

-- What failures for the same reason have in common: a hash of the error in which numbers, ids and the like do not count. A task has it while it is failed by an error.
ALTER TABLE task_queue ADD COLUMN error_fingerprint text CHECK (error_fingerprint <> '');
CREATE INDEX task_queue_fingerprint ON task_queue (error_fingerprint, id) WHERE status = 'failed' AND error_fingerprint IS NOT NULL;

-- Failures of attempts, and of tasks that ended without one, by reason and type: how many, since when and until when, and the last of them. Nodes add what they have counted.
CREATE TABLE failure_groups (
    fingerprint    text        NOT NULL CHECK (fingerprint <> ''),
    type           text        NOT NULL CHECK (length(type) <= 200), -- '': those of many types
    pattern        text        NOT NULL,
    sample_message text        NOT NULL,
    sample_task_id bigint      NOT NULL,
    first_seen_utc timestamptz NOT NULL,
    last_seen_utc  timestamptz NOT NULL,
    count          bigint      NOT NULL CHECK (count > 0),
    PRIMARY KEY (fingerprint, type)
);
CREATE INDEX failure_groups_seen ON failure_groups (last_seen_utc);

-- +goose Down
DROP TABLE failure_groups;
DROP INDEX task_queue_fingerprint;
ALTER TABLE task_queue DROP COLUMN error_fingerprint;
