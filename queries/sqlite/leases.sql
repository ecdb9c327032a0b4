-- Every statement below changes a row only under its live lease: the task is processing and fence and secret are those given.

-- name: StartTask :one
UPDATE task_queue SET updated_at_utc = @now, processing_started_utc = @now
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- ExtendLease leaves the progress as it is when the one given is negative, the message when it is empty.
-- name: ExtendLease :one
UPDATE task_queue SET
    updated_at_utc = @now, lease_until_utc = CAST(@lease_until AS TIMESTAMP),
    progress = CASE WHEN CAST(@progress AS INTEGER) < 0 THEN progress ELSE CAST(@progress AS INTEGER) END,
    progress_message = CASE WHEN CAST(@progress_message AS TEXT) = '' THEN progress_message ELSE CAST(@progress_message AS TEXT) END
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- name: FailTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = @outcome, attempt_outcome = @attempt_outcome,
    error_message = CAST(@error_message AS TEXT), error_fingerprint = CAST(@error_fingerprint AS TEXT), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- name: RetryTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempt_outcome = 'failed',
    error_message = CAST(@error_message AS TEXT), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- name: ReleaseTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempts = attempts - 1, attempt_outcome = 'released',
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- name: HoldsLease :one
SELECT id FROM task_queue WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT);
