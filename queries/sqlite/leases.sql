-- ClaimHead takes the oldest task of one lane. It is the claim that most claims are.
-- name: ClaimHead :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'processing', ready = 0, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS TEXT),
    locked_by = CAST(@worker_id AS TEXT), last_worker_id = CAST(@worker_id AS TEXT), lease_until_utc = CAST(@lease_until AS TIMESTAMP), reserved_at_utc = @now,
    processing_started_utc = @now, attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id = (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready
            WHERE r.ready = 1 AND r.lane_id = @lane_id AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
            ORDER BY r.id LIMIT 1)
RETURNING *;

-- The three claims differ in their order alone. They look at the first @width rows of each lane given and take the first @max.

-- name: ClaimTasksByPriority :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'processing', ready = 0, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS TEXT),
    locked_by = CAST(@worker_id AS TEXT), last_worker_id = CAST(@worker_id AS TEXT), lease_until_utc = CAST(@lease_until AS TIMESTAMP), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id IN (
    SELECT c.id
    FROM json_each(CAST(@lanes AS TEXT)) AS l CROSS JOIN task_queue AS c
    WHERE c.id IN (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready
                   WHERE r.ready = 1 AND r.lane_id = l.value AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                   ORDER BY r.id LIMIT CAST(@width AS INTEGER))
    ORDER BY c.priority, c.id
    LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- name: ClaimOldestTasks :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'processing', ready = 0, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS TEXT),
    locked_by = CAST(@worker_id AS TEXT), last_worker_id = CAST(@worker_id AS TEXT), lease_until_utc = CAST(@lease_until AS TIMESTAMP), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id IN (
    SELECT c.id
    FROM json_each(CAST(@lanes AS TEXT)) AS l CROSS JOIN task_queue AS c
    WHERE c.id IN (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready
                   WHERE r.ready = 1 AND r.lane_id = l.value AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                   ORDER BY r.id LIMIT CAST(@width AS INTEGER))
    ORDER BY c.id
    LIMIT CAST(@max AS INTEGER))
RETURNING *;

-- name: ClaimNewestTasks :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'processing', ready = 0, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS TEXT),
    locked_by = CAST(@worker_id AS TEXT), last_worker_id = CAST(@worker_id AS TEXT), lease_until_utc = CAST(@lease_until AS TIMESTAMP), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id IN (
    SELECT c.id
    FROM json_each(CAST(@lanes AS TEXT)) AS l CROSS JOIN task_queue AS c
    WHERE c.id IN (SELECT r.id FROM task_queue AS r INDEXED BY task_queue_ready
                   WHERE r.ready = 1 AND r.lane_id = l.value AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                   ORDER BY r.id DESC LIMIT CAST(@width AS INTEGER))
    ORDER BY c.id DESC
    LIMIT CAST(@max AS INTEGER))
RETURNING *;

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

-- name: CompleteTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT)
RETURNING *;

-- name: FailTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = @outcome, attempt_outcome = @attempt_outcome,
    error_message = CAST(@error_message AS TEXT), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
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
