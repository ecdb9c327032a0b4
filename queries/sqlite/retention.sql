-- ListCompleted returns completed tasks of a type with ids above the one given, in their order, and when they ended.
-- name: ListCompleted :many
SELECT id, finished_at_utc FROM task_queue INDEXED BY task_queue_completed
WHERE status = 'completed' AND type = @type AND id > @after
ORDER BY id
LIMIT CAST(@max AS INTEGER);

-- ListFailures is ListCompleted for failed tasks.
-- name: ListFailures :many
SELECT id, finished_at_utc FROM task_queue INDEXED BY task_queue_failures
WHERE status = 'failed' AND type = @type AND id > @after
ORDER BY id
LIMIT CAST(@max AS INTEGER);
