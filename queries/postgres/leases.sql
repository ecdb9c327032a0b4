-- ClaimHead takes the oldest task of one lane. It is the claim that most claims are.
-- name: ClaimHead :many
UPDATE task_queue SET
    updated_at_utc = @now, status = 'processing', ready = false, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS text),
    locked_by = CAST(@worker_id AS text), last_worker_id = CAST(@worker_id AS text), lease_until_utc = CAST(@lease_until AS timestamptz), reserved_at_utc = @now,
    processing_started_utc = @now, attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id = (SELECT r.id FROM task_queue AS r
            WHERE r.ready AND r.lane_id = @lane_id AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
            ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING *;

-- The three claims differ in their order alone. They look at the first @width rows of each lane given, take the first @max of
-- these that no other claim holds, and never wait for a lock. With fewer than @max returned, a wider look may find more.

-- name: ClaimTasksByPriority :many
WITH heads AS MATERIALIZED (
    SELECT h.id
    FROM json_array_elements_text(CAST(CAST(@lanes AS text) AS json)) AS l(value)
    CROSS JOIN LATERAL (SELECT r.id, r.priority FROM task_queue AS r
                        WHERE r.ready AND r.lane_id = CAST(l.value AS bigint) AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                        ORDER BY r.id LIMIT CAST(@width AS bigint)) AS h
    ORDER BY h.priority, h.id
    LIMIT CAST(@width AS bigint)
), picked AS MATERIALIZED (
    SELECT c.id
    FROM heads AS h JOIN task_queue AS c ON c.id = h.id
    WHERE c.ready
    ORDER BY c.priority, c.id
    LIMIT CAST(@max AS bigint)
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE task_queue AS t SET
    updated_at_utc = @now, status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = CAST(@lease_secret AS text),
    locked_by = CAST(@worker_id AS text), last_worker_id = CAST(@worker_id AS text), lease_until_utc = CAST(@lease_until AS timestamptz), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM picked AS p
WHERE t.id = p.id
RETURNING t.*;

-- name: ClaimOldestTasks :many
WITH heads AS MATERIALIZED (
    SELECT h.id
    FROM json_array_elements_text(CAST(CAST(@lanes AS text) AS json)) AS l(value)
    CROSS JOIN LATERAL (SELECT r.id, r.priority FROM task_queue AS r
                        WHERE r.ready AND r.lane_id = CAST(l.value AS bigint) AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                        ORDER BY r.id LIMIT CAST(@width AS bigint)) AS h
    ORDER BY h.id
    LIMIT CAST(@width AS bigint)
), picked AS MATERIALIZED (
    SELECT c.id
    FROM heads AS h JOIN task_queue AS c ON c.id = h.id
    WHERE c.ready
    ORDER BY c.id
    LIMIT CAST(@max AS bigint)
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE task_queue AS t SET
    updated_at_utc = @now, status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = CAST(@lease_secret AS text),
    locked_by = CAST(@worker_id AS text), last_worker_id = CAST(@worker_id AS text), lease_until_utc = CAST(@lease_until AS timestamptz), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM picked AS p
WHERE t.id = p.id
RETURNING t.*;

-- name: ClaimNewestTasks :many
WITH heads AS MATERIALIZED (
    SELECT h.id
    FROM json_array_elements_text(CAST(CAST(@lanes AS text) AS json)) AS l(value)
    CROSS JOIN LATERAL (SELECT r.id, r.priority FROM task_queue AS r
                        WHERE r.ready AND r.lane_id = CAST(l.value AS bigint) AND r.run_after_utc <= @now AND (r.deadline_utc IS NULL OR r.deadline_utc > @now)
                        ORDER BY r.id DESC LIMIT CAST(@width AS bigint)) AS h
    ORDER BY h.id DESC
    LIMIT CAST(@width AS bigint)
), picked AS MATERIALIZED (
    SELECT c.id
    FROM heads AS h JOIN task_queue AS c ON c.id = h.id
    WHERE c.ready
    ORDER BY c.id DESC
    LIMIT CAST(@max AS bigint)
    FOR UPDATE OF c SKIP LOCKED
)
UPDATE task_queue AS t SET
    updated_at_utc = @now, status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = CAST(@lease_secret AS text),
    locked_by = CAST(@worker_id AS text), last_worker_id = CAST(@worker_id AS text), lease_until_utc = CAST(@lease_until AS timestamptz), reserved_at_utc = @now, processing_started_utc = @now,
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM picked AS p
WHERE t.id = p.id
RETURNING t.*;

-- Every statement below changes a row only under its live lease: the task is processing and fence and secret are those given.

-- name: StartTask :one
UPDATE task_queue SET updated_at_utc = @now, processing_started_utc = @now
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- ExtendLease leaves the progress as it is when the one given is negative, the message when it is empty.
-- name: ExtendLease :one
UPDATE task_queue SET
    updated_at_utc = @now, lease_until_utc = CAST(@lease_until AS timestamptz),
    progress = CASE WHEN CAST(@progress AS bigint) < 0 THEN progress ELSE CAST(@progress AS bigint) END,
    progress_message = CASE WHEN CAST(@progress_message AS text) = '' THEN progress_message ELSE CAST(@progress_message AS text) END
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- name: CompleteTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- name: FailTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = @outcome, attempt_outcome = @attempt_outcome,
    error_message = CAST(@error_message AS text), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- name: RetryTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempt_outcome = 'failed',
    error_message = CAST(@error_message AS text), locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- name: ReleaseTask :one
UPDATE task_queue SET
    updated_at_utc = @now, status = 'queued', run_after_utc = @run_after_utc, ready = @ready, attempts = attempts - 1, attempt_outcome = 'released',
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL, processing_started_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- HoldsLease keeps the lease as it is until the transaction ends.
-- name: HoldsLease :one
SELECT id FROM task_queue WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text) FOR SHARE;
