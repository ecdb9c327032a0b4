-- Lists of one status, newest first, from below the id given; an empty type stands for every type.

-- ListQueuedTasks merges the ends of the lanes with work, and what waits for its time.
-- name: ListQueuedTasks :many
WITH heads AS (
    SELECT r.id AS id
    FROM lanes AS l CROSS JOIN lane_counts AS c ON c.lane_id = l.id AND c.slot = 0 AND c.ready > 0 CROSS JOIN task_queue AS r
    WHERE (CAST(@type AS TEXT) = '' OR l.type = CAST(@type AS TEXT))
      AND r.id IN (SELECT q.id FROM task_queue AS q INDEXED BY task_queue_ready
                   WHERE q.ready = 1 AND q.lane_id = l.id AND q.id < @before
                   ORDER BY q.id DESC LIMIT CAST(@max AS INTEGER))
), later AS (
    SELECT w.id AS id FROM task_queue AS w INDEXED BY task_queue_later
    WHERE w.status = 'queued' AND w.ready = 0 AND w.id < @before AND (CAST(@type AS TEXT) = '' OR w.type = CAST(@type AS TEXT))
    ORDER BY w.id DESC LIMIT CAST(@max AS INTEGER)
)
SELECT * FROM task_queue
WHERE task_queue.id IN (SELECT u.id FROM (SELECT heads.id FROM heads UNION ALL SELECT later.id FROM later) AS u ORDER BY u.id DESC LIMIT CAST(@max AS INTEGER))
ORDER BY task_queue.id DESC;

-- ListProcessingTasks reads all leases: there are as many as workers are busy.
-- name: ListProcessingTasks :many
SELECT * FROM task_queue INDEXED BY task_queue_lease
WHERE status = 'processing' AND id < @before AND (CAST(@type AS TEXT) = '' OR type = CAST(@type AS TEXT))
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- name: ListCompletedTasks :many
SELECT * FROM task_queue INDEXED BY task_queue_completed
WHERE status = 'completed' AND id < @before AND (CAST(@type AS TEXT) = '' OR type = CAST(@type AS TEXT))
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- name: ListFailedTasks :many
SELECT * FROM task_queue INDEXED BY task_queue_failures
WHERE status = 'failed' AND id < @before AND (CAST(@type AS TEXT) = '' OR type = CAST(@type AS TEXT))
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue
WHERE id = (
    SELECT min(o.id) FROM (
        SELECT (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready WHERE r.ready = 1 AND r.lane_id = c.lane_id ORDER BY r.id LIMIT 1) AS id
        FROM lane_counts AS c WHERE c.ready > 0
        UNION ALL
        SELECT (SELECT w.id FROM task_queue AS w INDEXED BY task_queue_later WHERE w.status = 'queued' AND w.ready = 0 ORDER BY w.id LIMIT 1)
    ) AS o);
