-- name: InsertLog :one
INSERT INTO task_logs (task_id, at_utc, level, message, details) VALUES (@task_id, @at_utc, @level, @message, @details)
RETURNING *;

-- ListLogs returns the log of a task, oldest first; an empty level stands for every level.
-- name: ListLogs :many
SELECT * FROM task_logs
WHERE task_id = @task_id AND log_id > @after AND (CAST(@level AS TEXT) = '' OR level = CAST(@level AS TEXT))
ORDER BY log_id
LIMIT CAST(@max AS INTEGER);

-- ListAttempts returns the ended attempts of a task, oldest first.
-- name: ListAttempts :many
SELECT * FROM task_attempts WHERE task_id = @task_id ORDER BY fence;
