-- ListTasksByStatus returns tasks newest first, from below the id given.
-- name: ListTasksByStatus :many
SELECT * FROM task_queue
WHERE status = @status AND id < @before
ORDER BY id DESC
LIMIT CAST(@max AS bigint);

-- ListTasksByType does so for one type, in one status or, where that is empty, in all. It takes the newest in each state, of ready ones the newest of each
-- lane, so that it reads no task of another type. The range of one lane, ordered by it, is what only an index that begins with the lane can give.
-- Leases are read all: there are as many as workers are busy. Of those an empty type stands for every type.
-- name: ListTasksByType :many
WITH newest AS MATERIALIZED (
    SELECT r.id
    FROM lanes AS l CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.ready AND q.lane_id >= l.id AND q.lane_id <= l.id AND q.id < @before
        ORDER BY q.lane_id DESC, q.id DESC LIMIT CAST(@max AS bigint)) AS r
    WHERE CAST(@status AS text) IN ('', 'queued') AND l.type = CAST(@type AS text)
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'queued') AND q.status = 'queued' AND NOT q.ready AND q.type = CAST(@type AS text) AND q.id < @before
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'completed') AND q.status = 'completed' AND q.type = CAST(@type AS text) AND q.id < @before
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'failed') AND q.status = 'failed' AND q.type = CAST(@type AS text) AND q.id < @before
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint))
    UNION ALL
    SELECT p.id FROM task_queue AS p
    WHERE CAST(@status AS text) IN ('', 'processing') AND p.status = 'processing' AND p.id < @before AND (CAST(@type AS text) = '' OR p.type = CAST(@type AS text))
    ORDER BY id DESC
    LIMIT CAST(@max AS bigint)
)
SELECT t.* FROM newest AS n JOIN task_queue AS t ON t.id = n.id
ORDER BY t.id DESC;

-- ListRunsByStatus returns tasks that are in a status of runs newest first, from behind the first @skip: what was cancelled has not failed. Of the latter two those of each type
-- are taken, of tasks in processing all.
-- name: ListRunsByStatus :many
WITH newest AS MATERIALIZED (
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) = 'queued' AND q.status = 'queued'
     ORDER BY q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) = 'completed' AND q.status = 'completed'
     ORDER BY q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    SELECT f.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l) AS k CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.status = 'failed' AND q.outcome <> 'cancelled' AND q.type >= k.type AND q.type <= k.type
        ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint)) AS f
    WHERE CAST(@status AS text) = 'failed'
    UNION ALL
    SELECT c.id
    FROM (SELECT DISTINCT l.type FROM lanes AS l) AS k CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.outcome = 'cancelled' AND q.type >= k.type AND q.type <= k.type
        ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint)) AS c
    WHERE CAST(@status AS text) = 'cancelled'
    UNION ALL
    SELECT p.id FROM task_queue AS p WHERE CAST(@status AS text) = 'running' AND p.status = 'processing'
    ORDER BY id DESC
    LIMIT CAST(@max AS bigint) OFFSET CAST(@skip AS bigint)
)
SELECT t.* FROM newest AS n JOIN task_queue AS t ON t.id = n.id
ORDER BY t.id DESC;

-- ListRunsByType does so for one type, in one status or, where that is empty, in all, as ListTasksByType does.
-- name: ListRunsByType :many
WITH newest AS MATERIALIZED (
    SELECT r.id
    FROM lanes AS l CROSS JOIN LATERAL (
        SELECT q.id FROM task_queue AS q
        WHERE q.ready AND q.lane_id >= l.id AND q.lane_id <= l.id
        ORDER BY q.lane_id DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint)) AS r
    WHERE CAST(@status AS text) IN ('', 'queued') AND l.type = CAST(@type AS text)
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'queued') AND q.status = 'queued' AND NOT q.ready AND q.type = CAST(@type AS text)
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'completed') AND q.status = 'completed' AND q.type = CAST(@type AS text)
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'failed') AND q.status = 'failed' AND q.outcome <> 'cancelled' AND q.type >= CAST(@type AS text) AND q.type <= CAST(@type AS text)
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    (SELECT q.id FROM task_queue AS q
     WHERE CAST(@status AS text) IN ('', 'cancelled') AND q.outcome = 'cancelled' AND q.type = CAST(@type AS text)
     ORDER BY q.type DESC, q.id DESC LIMIT CAST(@max AS bigint) + CAST(@skip AS bigint))
    UNION ALL
    SELECT p.id FROM task_queue AS p
    WHERE CAST(@status AS text) IN ('', 'running') AND p.status = 'processing' AND p.type = CAST(@type AS text)
    ORDER BY id DESC
    LIMIT CAST(@max AS bigint) OFFSET CAST(@skip AS bigint)
)
SELECT t.* FROM newest AS n JOIN task_queue AS t ON t.id = n.id
ORDER BY t.id DESC;

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue WHERE status = 'queued' ORDER BY id LIMIT 1;
