-- name: ListTasksByStatus :many
SELECT * FROM task_queue
WHERE status = @status AND id < @before AND (CAST(@type AS text) = '' OR type = CAST(@type AS text))
ORDER BY id DESC
LIMIT CAST(@max AS bigint);

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue WHERE status = 'queued' ORDER BY id LIMIT 1;
