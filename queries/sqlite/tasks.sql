-- name: GetTask :one
SELECT * FROM task_queue WHERE id = @id;

-- name: GetTaskByKey :one
SELECT * FROM task_queue WHERE idempotency_key = CAST(@idempotency_key AS TEXT);

-- ListTasks returns tasks newest first, from below the id given.
-- name: ListTasks :many
SELECT * FROM task_queue
WHERE id < @before
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- name: CancelTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = 'cancelled', error_message = 'Cancelled by user', ready = 0,
    attempt_outcome = CASE WHEN status = 'processing' THEN 'cancelled' ELSE attempt_outcome END,
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status IN ('queued', 'processing')
RETURNING *;

-- RequeueTask gives a failed task all its attempts again; a deadline that has passed is dropped.
-- name: RequeueTask :one
UPDATE task_queue SET
    updated_at_utc = @now, run_after_utc = @now, status = 'queued', ready = 1, attempts = 0, outcome = NULL, error_message = NULL, error_fingerprint = NULL, result = NULL,
    finished_at_utc = NULL, processing_started_utc = NULL, progress = NULL, progress_message = NULL,
    deadline_utc = CASE WHEN deadline_utc > @now THEN deadline_utc END
WHERE id = @id AND status = 'failed'
RETURNING *;

-- name: DeleteTask :execrows
DELETE FROM task_queue WHERE id = @id AND status IN ('completed', 'failed');

-- name: NewestTaskAt :one
SELECT created_at_utc FROM task_queue ORDER BY id DESC LIMIT 1;

-- SetPriority moves a queued task into another lane, which has the priority given.
-- name: SetPriority :one
UPDATE task_queue SET updated_at_utc = @now, priority = @priority, lane_id = @lane_id
WHERE id = @id AND status = 'queued'
RETURNING *;
