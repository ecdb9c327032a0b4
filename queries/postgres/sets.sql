-- InsertTask returns no row when a task with this key exists.
-- name: InsertTask :one
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, concurrency_key, traceparent, created_at_utc, updated_at_utc)
VALUES (@lane_id, @type, @priority, @payload, @compatibility, 'queued', 0, @max_attempts, @run_after_utc,
        @deadline_utc, @timeout_seconds, @retry_policy, @ready, @idempotency_key, @concurrency_key, @traceparent, @now, @now)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id;

-- name: CompleteTask :one
UPDATE task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND (status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS text)) IS TRUE
RETURNING *;
