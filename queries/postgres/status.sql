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

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue WHERE status = 'queued' ORDER BY id LIMIT 1;
