-- +goose Up

-- The tasks that were enqueued under a unique key and may still be what another enqueue is compared with: those that have not been seen to have ended, and
-- the newest. Tasks without one have no row.
CREATE TABLE task_unique_keys (
    type       text   NOT NULL CHECK (type <> ''),
    unique_key text   NOT NULL CHECK (unique_key <> ''),
    task_id    bigint NOT NULL UNIQUE REFERENCES task_queue (id) ON DELETE CASCADE,
    PRIMARY KEY (type, unique_key, task_id)
);

-- +goose Down
DROP TABLE task_unique_keys;
