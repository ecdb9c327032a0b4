-- InsertTask returns no row when a task with this key exists.
-- name: InsertTask :one
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, created_at_utc, updated_at_utc)
VALUES (@lane_id, @type, @priority, @payload, @compatibility, 'queued', 0, @max_attempts, @run_after_utc,
        @deadline_utc, @timeout_seconds, @retry_policy, @ready, @idempotency_key, @now, @now)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id;

-- InsertTasks inserts the tasks of a JSON array, ids growing in its order; those whose key exists are left out. The ids are given before
-- the rows are sorted by key: sets that share keys then wait for each other in one order and cannot deadlock.
-- name: InsertTasks :many
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, created_at_utc, updated_at_utc)
SELECT e.id, e.lane_id, e.type, e.priority, CAST(e.payload AS json), CAST(e.compatibility AS json), 'queued', 0, e.max_attempts,
       to_timestamp(e.run_after_micros / 1000000) + e.run_after_micros % 1000000 * interval '1 microsecond',
       to_timestamp(e.deadline_micros / 1000000) + e.deadline_micros % 1000000 * interval '1 microsecond',
       e.timeout_seconds, CAST(e.retry_policy AS json), e.ready, e.idempotency_key,
       to_timestamp(e.now_micros / 1000000) + e.now_micros % 1000000 * interval '1 microsecond',
       to_timestamp(e.now_micros / 1000000) + e.now_micros % 1000000 * interval '1 microsecond'
FROM (SELECT nextval('task_queue_id_seq') AS id, b.lane_id, b.type, b.priority, b.payload, b.compatibility, b.max_attempts, b.run_after_micros,
             b.deadline_micros, b.timeout_seconds, b.retry_policy, b.ready, b.idempotency_key, b.now_micros
      FROM json_to_recordset(CAST(CAST(@batch AS text) AS json)) AS b(
          lane_id bigint, type text, priority integer, payload text, compatibility text, max_attempts integer, run_after_micros bigint,
          deadline_micros bigint, timeout_seconds double precision, retry_policy text, ready boolean, idempotency_key text, now_micros bigint)) AS e
ORDER BY e.idempotency_key, e.id
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key;

-- name: CompleteTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)
RETURNING *;

-- EndAttempts is CompleteTask, FailTask, RetryTask and ReleaseTask for many tasks, each under its own live lease. The JSON array must be sorted by id,
-- and no id may come twice.
-- name: EndAttempts :many
UPDATE task_queue AS t SET
    updated_at_utc = e.now, status = e.status, outcome = e.outcome, attempt_outcome = e.attempt_outcome, attempts = t.attempts - e.given_back,
    finished_at_utc = CASE WHEN e.status <> 'queued' THEN e.now END,
    run_after_utc = coalesce(e.run_after, t.run_after_utc), ready = e.ready,
    result = CASE WHEN e.status = 'completed' THEN CAST(e.result AS json) ELSE t.result END,
    error_message = CASE WHEN e.attempt_outcome = 'released' THEN t.error_message ELSE e.error_message END,
    processing_started_utc = CASE WHEN e.status <> 'queued' THEN t.processing_started_utc END,
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
FROM json_to_recordset(CAST(CAST(@ends AS text) AS json)) AS e(
    id bigint, fence bigint, secret text, now timestamptz, status text, outcome text, attempt_outcome text, given_back integer,
    run_after timestamptz, ready boolean, result text, error_message text)
WHERE t.id = e.id AND (t.status = 'processing' AND t.fence = e.fence AND t.lease_secret = e.secret) IS TRUE
RETURNING t.*;
