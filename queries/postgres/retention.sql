-- ListCompleted returns completed tasks of a type with ids above the one given, in their order, and when they ended. The range of one type, ordered by it, is
-- what only an index that begins with the type can give.
-- name: ListCompleted :many
SELECT id, finished_at_utc FROM task_queue
WHERE status = 'completed' AND type >= CAST(@type AS text) AND type <= CAST(@type AS text) AND id > @after
ORDER BY type, id
LIMIT CAST(@max AS bigint);

-- ListFailures is ListCompleted for failed tasks.
-- name: ListFailures :many
SELECT id, finished_at_utc FROM task_queue
WHERE status = 'failed' AND type >= CAST(@type AS text) AND type <= CAST(@type AS text) AND id > @after
ORDER BY type, id
LIMIT CAST(@max AS bigint);
