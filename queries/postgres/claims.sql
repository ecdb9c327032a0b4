-- What only PostgreSQL does so: several processes claim and insert at once, and each of these is one statement.

-- ListReadyLanes returns the lanes that have tasks to claim, and how many.
-- name: ListReadyLanes :many
SELECT l.id, l.type, l.compatibility, l.priority, CAST(SUM(c.ready) AS bigint) AS ready
FROM lane_counts AS c JOIN lanes AS l ON l.id = c.lane_id
GROUP BY l.id
HAVING SUM(c.ready) > 0;

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

-- name: CompleteTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- InsertTask returns no row when a task with this key exists.
-- name: InsertTask :one
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, created_at_utc, updated_at_utc)
VALUES (@lane_id, @type, @priority, @payload, @compatibility, 'queued', 0, @max_attempts, @run_after_utc,
        @deadline_utc, @timeout_seconds, @retry_policy, @ready, @idempotency_key, @now, @now)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id;

-- InsertTasks inserts the tasks of a JSON array, ids growing in its order; those whose key exists are left out. The ids are given before
-- the rows are sorted by key: batches that share keys then wait for each other in one order and cannot deadlock.
-- name: InsertTasks :many
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, created_at_utc, updated_at_utc)
SELECT e.id, CAST(e.value ->> 'lane_id' AS bigint), e.value ->> 'type', CAST(e.value ->> 'priority' AS integer), CAST(e.value ->> 'payload' AS json),
       CAST(e.value ->> 'compatibility' AS json), 'queued', 0, CAST(e.value ->> 'max_attempts' AS integer),
       to_timestamp(CAST(e.value ->> 'run_after_micros' AS bigint) / 1000000) + CAST(e.value ->> 'run_after_micros' AS bigint) % 1000000 * interval '1 microsecond',
       to_timestamp(CAST(e.value ->> 'deadline_micros' AS bigint) / 1000000) + CAST(e.value ->> 'deadline_micros' AS bigint) % 1000000 * interval '1 microsecond',
       CAST(e.value ->> 'timeout_seconds' AS double precision), CAST(e.value ->> 'retry_policy' AS json), CAST(e.value ->> 'ready' AS boolean), e.value ->> 'idempotency_key',
       to_timestamp(CAST(e.value ->> 'now_micros' AS bigint) / 1000000) + CAST(e.value ->> 'now_micros' AS bigint) % 1000000 * interval '1 microsecond',
       to_timestamp(CAST(e.value ->> 'now_micros' AS bigint) / 1000000) + CAST(e.value ->> 'now_micros' AS bigint) % 1000000 * interval '1 microsecond'
FROM (SELECT nextval('task_queue_id_seq') AS id, b.value, b.n
      FROM json_array_elements(CAST(CAST(@batch AS text) AS json)) WITH ORDINALITY AS b(value, n)) AS e
ORDER BY e.value ->> 'idempotency_key', e.n
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING *;
