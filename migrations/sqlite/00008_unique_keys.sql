-- +goose Up

-- The tasks that were enqueued under a unique key and may still be what another enqueue is compared with: those that have not been seen to have ended, and
-- the newest. Tasks without one have no row.
CREATE TABLE task_unique_keys (
    type       TEXT    NOT NULL CHECK (type <> ''),
    unique_key TEXT    NOT NULL CHECK (unique_key <> ''),
    task_id    INTEGER NOT NULL UNIQUE REFERENCES task_queue (id) ON DELETE CASCADE,
    PRIMARY KEY (type, unique_key, task_id)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE task_unique_keys;
