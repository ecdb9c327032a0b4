-- name: GetTask :one
SELECT * FROM task_queue WHERE id = @id;

-- name: GetTaskByKey :one
SELECT * FROM task_queue WHERE idempotency_key = CAST(@idempotency_key AS text);

-- ListTasks returns tasks newest first, from below the id given; an empty type stands for every type.
-- name: ListTasks :many
SELECT * FROM task_queue
WHERE id < @before AND (CAST(@type AS text) = '' OR type = CAST(@type AS text))
ORDER BY id DESC
LIMIT CAST(@max AS bigint);

-- name: ListTasksByStatus :many
SELECT * FROM task_queue
WHERE status = @status AND id < @before AND (CAST(@type AS text) = '' OR type = CAST(@type AS text))
ORDER BY id DESC
LIMIT CAST(@max AS bigint);

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

-- name: CancelTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'failed', outcome = 'cancelled', error_message = 'Cancelled by user', ready = false,
    attempt_outcome = CASE WHEN status = 'processing' THEN 'cancelled' ELSE attempt_outcome END,
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status IN ('queued', 'processing')
RETURNING *;

-- RequeueTask gives a failed task all its attempts again; a deadline that has passed is dropped.
-- name: RequeueTask :one
UPDATE task_queue SET
    updated_at_utc = @now, run_after_utc = @now, status = 'queued', ready = true, attempts = 0, outcome = NULL, error_message = NULL, result = NULL,
    finished_at_utc = NULL, processing_started_utc = NULL, progress = NULL, progress_message = NULL,
    deadline_utc = CASE WHEN deadline_utc > @now THEN deadline_utc END
WHERE id = @id AND status = 'failed'
RETURNING *;

-- name: DeleteTask :execrows
DELETE FROM task_queue WHERE id = @id AND status IN ('completed', 'failed');

-- name: OldestQueuedAt :one
SELECT created_at_utc FROM task_queue WHERE status = 'queued' ORDER BY id LIMIT 1;

-- name: NewestTaskAt :one
SELECT created_at_utc FROM task_queue ORDER BY id DESC LIMIT 1;
