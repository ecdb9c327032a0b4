-- ListUnique returns the tasks that were enqueued under a unique key, newest first. The order, of which no column is taken for a constant, leaves no other way
-- than the primary key: that of the ids alone would read the notes of all keys.
-- name: ListUnique :many
SELECT t.id, t.status, t.created_at_utc
FROM task_unique_keys AS u JOIN task_queue AS t ON t.id = u.task_id
WHERE u.type >= @type AND u.type <= @type AND u.unique_key >= @unique_key AND u.unique_key <= @unique_key
ORDER BY u.type DESC, u.unique_key DESC, u.task_id DESC;

-- name: InsertUnique :exec
INSERT INTO task_unique_keys (type, unique_key, task_id) VALUES (@type, @unique_key, @task_id);

-- name: DeleteUnique :exec
DELETE FROM task_unique_keys WHERE type = @type AND unique_key = @unique_key AND task_id = @task_id;
