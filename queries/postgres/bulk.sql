-- The steps of operations, a set of tasks at once. The rows are locked by LockTasks first, and what is asked of them is looked at again.

-- LockTasks returns what a filter may ask about. Claims skip rows that are locked.
-- name: LockTasks :many
SELECT t.id, t.lane_id, t.type, t.priority, t.compatibility, t.status, t.outcome, t.attempts, t.run_after_utc, t.deadline_utc, t.ready, t.last_worker_id,
       t.finished_at_utc, t.error_message, t.idempotency_key, t.concurrency_key, t.created_at_utc, t.error_fingerprint
FROM task_queue AS t
WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[]))
ORDER BY t.id
FOR NO KEY UPDATE;

-- name: CancelTasks :many
WITH changed AS (
    UPDATE task_queue AS t SET
        updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = 'cancelled', error_message = 'Cancelled by user', ready = false,
        attempt_outcome = CASE WHEN t.status = 'processing' THEN 'cancelled' ELSE t.attempt_outcome END,
        locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
    WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[])) AND t.status IN ('queued', 'processing')
    RETURNING t.id
), logged AS (
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence)
    SELECT greatest(CAST(extract(epoch FROM CAST(@now AS timestamptz)) * 1000000 AS bigint), h.least), c.id, @now, 'info', CAST(@message AS text), CAST(CAST(@details AS text) AS json), h.fence
    FROM changed AS c JOIN task_log_heads AS h ON h.task_id = c.id
)
SELECT c.id FROM changed AS c;

-- RequeueTasks is RequeueTask for many; a trigger writes the log.
-- name: RequeueTasks :many
UPDATE task_queue AS t SET
    updated_at_utc = @now, run_after_utc = @now, status = 'queued', ready = true, attempts = 0, outcome = NULL, error_message = NULL, error_fingerprint = NULL, result = NULL,
    finished_at_utc = NULL, processing_started_utc = NULL, progress = NULL, progress_message = NULL,
    deadline_utc = CASE WHEN t.deadline_utc > @now THEN t.deadline_utc END
WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[])) AND t.status = 'failed'
RETURNING t.id;

-- name: DeleteTasks :many
DELETE FROM task_queue AS t
WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[])) AND t.status IN ('completed', 'failed')
RETURNING t.id;

-- InsertLanesBeside makes those lanes that tasks change into with their priority.
-- name: InsertLanesBeside :exec
INSERT INTO lanes (type, compatibility, priority)
SELECT DISTINCT l.type, l.compatibility, CAST(@priority AS integer) FROM lanes AS l
WHERE l.id IN (SELECT t.lane_id FROM task_queue AS t WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[])))
ON CONFLICT (type, lane_hash(compatibility), priority) DO NOTHING;

-- SetPriorities leaves tasks that have the priority.
-- name: SetPriorities :many
WITH changed AS (
    UPDATE task_queue AS t SET updated_at_utc = @now, priority = n.priority, lane_id = n.id
    FROM lanes AS o JOIN lanes AS n ON n.type = o.type AND lane_hash(n.compatibility) = lane_hash(o.compatibility) AND n.compatibility = o.compatibility
    WHERE t.id = ANY (CAST(CAST(@ids AS text) AS bigint[])) AND t.status = 'queued' AND o.id = t.lane_id
      AND n.priority = CAST(@priority AS integer) AND o.priority <> n.priority
    RETURNING t.id, t.lane_id, o.priority AS was
), logged AS (
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, event, fence, details)
    SELECT greatest(CAST(extract(epoch FROM CAST(@now AS timestamptz)) * 1000000 AS bigint), h.least), c.id, @now, 'info', CAST(@message AS text), 'priority_changed', h.fence,
           json_build_object('from', c.was, 'to', CAST(@priority AS integer), 'operation', CAST(@operation AS bigint))
    FROM changed AS c JOIN task_log_heads AS h ON h.task_id = c.id
)
SELECT c.id, c.lane_id FROM changed AS c;

-- DeleteEnded deletes those of the tasks that still have the status and ended not later than @before.
-- name: DeleteEnded :execrows
DELETE FROM task_queue
WHERE id IN (SELECT e.id FROM task_queue AS e
             WHERE e.id = ANY (CAST(CAST(@ids AS text) AS bigint[])) AND e.status = @status AND e.finished_at_utc <= @before
             ORDER BY e.id FOR UPDATE SKIP LOCKED);
