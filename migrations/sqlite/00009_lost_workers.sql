-- +goose Up

-- How many workers have been lost with the task in their hands: leases that ran out. An attempt that failed or was handed back is not counted.
ALTER TABLE task_queue ADD COLUMN lost INTEGER NOT NULL DEFAULT 0 CHECK (typeof(lost) = 'integer' AND lost >= 0);
-- Tasks in quarantine: live ones that have lost two workers.
CREATE INDEX task_queue_quarantine ON task_queue (lost) WHERE lost >= 2 AND finished_at_utc IS NULL;

-- +goose Down
DROP INDEX task_queue_quarantine;
ALTER TABLE task_queue DROP COLUMN lost;
