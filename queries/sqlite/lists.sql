-- ListTasksByStatus returns tasks newest first, from below the id given; an empty status stands for every status, an empty type for every type.
-- It merges the ends of the indexes, so that it reads no task of another type or status: newest is a queue in the order of ids, and when a task leaves it the
-- next older one of the same state, and lane or type, comes in. Leases are read all: there are as many as workers are busy.
-- name: ListTasksByStatus :many
WITH RECURSIVE asked AS (
    SELECT CAST(@status AS TEXT) AS status, CAST(@type AS TEXT) AS type, CAST(@before AS INTEGER) AS below, CAST(@max AS INTEGER) AS most
), ends AS (
    SELECT 'ready' AS state, l.id AS lane_id, l.type AS type
    FROM asked AS a CROSS JOIN lanes AS l
    WHERE a.status IN ('', 'queued') AND (a.type = '' OR l.type = a.type)
    UNION ALL
    SELECT DISTINCT s.state AS state, 0 AS lane_id, l.type AS type
    FROM asked AS a
    CROSS JOIN (SELECT 'later' AS state, 'queued' AS status UNION ALL SELECT 'completed', 'completed' UNION ALL SELECT 'failed', 'failed') AS s
    CROSS JOIN lanes AS l
    WHERE (a.status = '' OR s.status = a.status) AND (a.type = '' OR l.type = a.type)
), newest (id, state, lane_id, type) AS (
    SELECT a.below, e.state, e.lane_id, e.type FROM asked AS a CROSS JOIN ends AS e
    UNION ALL
    SELECT p.id, 'processing', p.lane_id, p.type
    FROM asked AS a CROSS JOIN task_queue AS p INDEXED BY task_queue_lease
    WHERE p.status = 'processing' AND p.id < a.below AND a.status IN ('', 'processing') AND (a.type = '' OR p.type = a.type)
    UNION ALL
    SELECT CASE n.state
               WHEN 'ready' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_ready
                                  WHERE q.ready = 1 AND q.lane_id = n.lane_id AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'later' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_later
                                  WHERE q.status = 'queued' AND q.ready = 0 AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'completed' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_completed
                                      WHERE q.status = 'completed' AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'failed' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_failures
                                   WHERE q.status = 'failed' AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
           END, n.state, n.lane_id, n.type
    FROM newest AS n
    WHERE n.id IS NOT NULL
    ORDER BY 1 DESC
    LIMIT (SELECT a.most FROM asked AS a) + (SELECT count(e.state) FROM ends AS e)
)
SELECT * FROM task_queue
WHERE task_queue.id IN (SELECT newest.id FROM newest) AND task_queue.id < @before
ORDER BY task_queue.id DESC;

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue
WHERE id = (
    SELECT min(o.id) FROM (
        SELECT (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready WHERE r.ready = 1 AND r.lane_id = c.lane_id ORDER BY r.id LIMIT 1) AS id
        FROM lane_counts AS c WHERE c.ready > 0
        UNION ALL
        SELECT (SELECT w.id FROM task_queue AS w INDEXED BY task_queue_later WHERE w.status = 'queued' AND w.ready = 0 AND w.type = l.type ORDER BY w.id LIMIT 1)
        FROM lane_counts AS d CROSS JOIN lanes AS l ON l.id = d.lane_id WHERE d.scheduled > 0
    ) AS o);

-- ListRunsByStatus does what ListTasksByStatus does, for the statuses of runs, from behind the first @skip: what was cancelled has not failed.
-- name: ListRunsByStatus :many
WITH RECURSIVE asked AS (
    SELECT CAST(@status AS TEXT) AS status, CAST(@type AS TEXT) AS type, CAST(@skip AS INTEGER) AS skip, CAST(@max AS INTEGER) AS most
), ends AS (
    SELECT 'ready' AS state, l.id AS lane_id, l.type AS type
    FROM asked AS a CROSS JOIN lanes AS l
    WHERE a.status IN ('', 'queued') AND (a.type = '' OR l.type = a.type)
    UNION ALL
    SELECT DISTINCT s.state AS state, 0 AS lane_id, l.type AS type
    FROM asked AS a
    CROSS JOIN (SELECT 'later' AS state, 'queued' AS status UNION ALL SELECT 'completed', 'completed' UNION ALL SELECT 'failed', 'failed'
                UNION ALL SELECT 'cancelled', 'cancelled') AS s
    CROSS JOIN lanes AS l
    WHERE (a.status = '' OR s.status = a.status) AND (a.type = '' OR l.type = a.type)
), newest (id, state, lane_id, type) AS (
    SELECT 9223372036854775807, e.state, e.lane_id, e.type FROM ends AS e
    UNION ALL
    SELECT p.id, 'processing', p.lane_id, p.type
    FROM asked AS a CROSS JOIN task_queue AS p INDEXED BY task_queue_lease
    WHERE p.status = 'processing' AND a.status IN ('', 'running') AND (a.type = '' OR p.type = a.type)
    UNION ALL
    SELECT CASE n.state
               WHEN 'ready' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_ready
                                  WHERE q.ready = 1 AND q.lane_id = n.lane_id AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'later' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_later
                                  WHERE q.status = 'queued' AND q.ready = 0 AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'completed' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_completed
                                      WHERE q.status = 'completed' AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'failed' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_unsuccessful
                                   WHERE q.status = 'failed' AND q.outcome <> 'cancelled' AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
               WHEN 'cancelled' THEN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_cancelled
                                      WHERE q.outcome = 'cancelled' AND q.type = n.type AND q.id < n.id ORDER BY q.id DESC LIMIT 1)
           END, n.state, n.lane_id, n.type
    FROM newest AS n
    WHERE n.id IS NOT NULL
    ORDER BY 1 DESC
    LIMIT (SELECT a.most + a.skip FROM asked AS a) + (SELECT count(e.state) FROM ends AS e)
)
SELECT * FROM task_queue
WHERE task_queue.id IN (SELECT newest.id FROM newest WHERE newest.id < 9223372036854775807
                        ORDER BY newest.id DESC LIMIT CAST(@max AS INTEGER) OFFSET CAST(@skip AS INTEGER))
ORDER BY task_queue.id DESC;
