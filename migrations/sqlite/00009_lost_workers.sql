-- +goose Up

-- How many workers have been lost with the task in their hands: leases that ran out. An attempt that failed or was handed back is not counted.
ALTER TABLE task_queue ADD COLUMN lost INTEGER NOT NULL DEFAULT 0 CHECK (typeof(lost) = 'integer' AND lost >= 0);

-- +goose Down
ALTER TABLE task_queue DROP COLUMN lost;
