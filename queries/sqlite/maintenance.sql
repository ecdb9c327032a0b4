-- RequeueExpiredLeases takes back leases that ended not later than @now from tasks with attempts left.
-- name: RequeueExpiredLeases :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @now, ready = 1, attempt_outcome = 'lost', lost = lost + 1,
    error_message = 'Lease expired: worker ' || locked_by || ' did not report in time (attempt ' || attempts || ' of ' || max_attempts || ')',
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id IN (SELECT e.id FROM task_queue AS e INDEXED BY task_queue_lease
             WHERE e.status = 'processing' AND e.lease_until_utc <= @now AND e.attempts < e.max_attempts
             ORDER BY e.lease_until_utc LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- FailExpiredLeases ends those that have none left.
-- name: FailExpiredLeases :many
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = 'exhausted', attempt_outcome = 'lost', lost = lost + 1,
    error_message = 'Lease expired: worker ' || locked_by || ' did not report in time (attempt ' || attempts || ' of ' || max_attempts || ')', error_fingerprint = CAST(@error_fingerprint AS TEXT),
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id IN (SELECT e.id FROM task_queue AS e INDEXED BY task_queue_lease
             WHERE e.status = 'processing' AND e.lease_until_utc <= @now AND e.attempts >= e.max_attempts
             ORDER BY e.lease_until_utc LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- name: PromoteDue :many
UPDATE task_queue SET updated_at_utc = @now, ready = 1
WHERE id IN (SELECT d.id FROM task_queue AS d INDEXED BY task_queue_scheduled
             WHERE d.status = 'queued' AND d.ready = 0 AND d.run_after_utc <= @now
             ORDER BY d.run_after_utc LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- name: ExpireTasks :many
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = 'expired', ready = 0,
    error_message = 'Deadline passed before the task could run', error_fingerprint = CAST(@error_fingerprint AS TEXT)
WHERE id IN (SELECT d.id FROM task_queue AS d INDEXED BY task_queue_deadline
             WHERE d.status = 'queued' AND d.deadline_utc IS NOT NULL AND d.deadline_utc <= @now
             ORDER BY d.deadline_utc LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- name: NextRunAfter :one
SELECT run_after_utc FROM task_queue INDEXED BY task_queue_scheduled WHERE status = 'queued' AND ready = 0 ORDER BY run_after_utc LIMIT 1;

-- name: NextLeaseEnd :one
SELECT lease_until_utc FROM task_queue INDEXED BY task_queue_lease WHERE status = 'processing' ORDER BY lease_until_utc LIMIT 1;

-- name: NextDeadline :one
SELECT deadline_utc FROM task_queue INDEXED BY task_queue_deadline WHERE status = 'queued' AND deadline_utc IS NOT NULL ORDER BY deadline_utc LIMIT 1;

-- ReadClock returns the clock of the database in microseconds since 1970.
-- name: ReadClock :one
SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS micros;
