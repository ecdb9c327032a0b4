-- ListRuns returns tasks newest first, from behind the first @skip.
-- name: ListRuns :many
WITH newest AS MATERIALIZED (SELECT q.id FROM task_queue AS q ORDER BY q.id DESC LIMIT CAST(@max AS bigint) OFFSET CAST(@skip AS bigint))
SELECT t.* FROM newest AS n JOIN task_queue AS t ON t.id = n.id
ORDER BY t.id DESC;

-- CountCancelled counts cancelled tasks of a type, of every type for an empty one, up to @max.
-- name: CountCancelled :one
SELECT count(*) FROM (
    SELECT c.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l WHERE CAST(@type AS text) = '' OR l.type = CAST(@type AS text)) AS k
    CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.outcome = 'cancelled' AND q.type >= k.type AND q.type <= k.type
        ORDER BY q.type, q.id LIMIT CAST(@max AS bigint)) AS c
    LIMIT CAST(@max AS bigint)) AS counted;

-- CountUnsuccessful counts tasks that have failed otherwise as CountCancelled does.
-- name: CountUnsuccessful :one
SELECT count(*) FROM (
    SELECT c.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l WHERE CAST(@type AS text) = '' OR l.type = CAST(@type AS text)) AS k
    CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.status = 'failed' AND q.outcome <> 'cancelled' AND q.type >= k.type AND q.type <= k.type
        ORDER BY q.type, q.id LIMIT CAST(@max AS bigint)) AS c
    LIMIT CAST(@max AS bigint)) AS counted;
