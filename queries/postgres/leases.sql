-- Every statement below changes a row only under its live lease: the task is processing and fence and secret are those given.
-- IS TRUE keeps the index of the leases out of it. Where statistics say that next to no task is processing, which a sample of millions often does,
-- it looks as good as the primary key, and then every lease and what is left of old ones is read.

-- name: StartTask :one
UPDATE task_queue SET updated_at_utc = @now, processing_started_utc = @now
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;

-- ExtendLease leaves the progress as it is when the one given is negative, the message when it is empty.
-- name: ExtendLease :one
UPDATE task_queue SET
    updated_at_utc = @now, lease_until_utc = CAST(@lease_until AS timestamptz),
    progress = CASE WHEN CAST(@progress AS bigint) < 0 THEN progress ELSE CAST(@progress AS bigint) END,
    progress_message = CASE WHEN CAST(@progress_message AS text) = '' THEN progress_message ELSE CAST(@progress_message AS text) END
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;

-- name: FailTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = @outcome, attempt_outcome = @attempt_outcome,
    error_message = CAST(@error_message AS text), error_fingerprint = CAST(@error_fingerprint AS text), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;

-- name: RetryTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempt_outcome = 'failed',
    error_message = CAST(@error_message AS text), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;

-- name: ReleaseTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempts = attempts - 1, attempt_outcome = 'released',
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;

-- HoldsLease keeps the lease as it is, and others who write to the log of the task away, until the transaction ends.
-- name: HoldsLease :one
SELECT id FROM task_queue WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE FOR NO KEY UPDATE;
