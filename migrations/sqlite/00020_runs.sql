-- +goose Up

-- For lists of runs, where what was cancelled has not failed.
CREATE INDEX task_queue_cancelled ON task_queue (type, id) WHERE outcome = 'cancelled';
CREATE INDEX task_queue_unsuccessful ON task_queue (type, id) WHERE status = 'failed' AND outcome <> 'cancelled';

-- +goose Down
DROP INDEX task_queue_unsuccessful;
DROP INDEX task_queue_cancelled;
