-- ListRuns returns tasks newest first, from behind the first @skip.
-- name: ListRuns :many
SELECT * FROM task_queue
WHERE task_queue.id IN (SELECT q.id FROM task_queue AS q ORDER BY q.id DESC LIMIT CAST(@max AS INTEGER) OFFSET CAST(@skip AS INTEGER))
ORDER BY task_queue.id DESC;

-- CountCancelled counts cancelled tasks of a type, of every type for an empty one, up to @max.
-- name: CountCancelled :one
SELECT count(*) FROM (
    SELECT q.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l WHERE CAST(@type AS TEXT) = '' OR l.type = CAST(@type AS TEXT)) AS k
    CROSS JOIN task_queue AS q INDEXED BY task_queue_cancelled
    WHERE q.outcome = 'cancelled' AND q.type = k.type
    LIMIT CAST(@max AS INTEGER)) AS c;

-- CountUnsuccessful counts tasks that have failed otherwise as CountCancelled does.
-- name: CountUnsuccessful :one
SELECT count(*) FROM (
    SELECT q.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l WHERE CAST(@type AS TEXT) = '' OR l.type = CAST(@type AS TEXT)) AS k
    CROSS JOIN task_queue AS q INDEXED BY task_queue_unsuccessful
    WHERE q.status = 'failed' AND q.outcome <> 'cancelled' AND q.type = k.type
    LIMIT CAST(@max AS INTEGER)) AS c;
