-- What another queue has kept comes in with these, many rows at a time as one JSON array. Triggers keep the counters.

-- ImportTasks stores tasks as they are, with their ids where they have any, and leaves out those whose idempotency key is known.
-- name: ImportTasks :many
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, ready, fence, lost, last_worker_id,
                        processing_started_utc, attempt_outcome, finished_at_utc, error_message, error_fingerprint, idempotency_key, created_at_utc, updated_at_utc)
SELECT e.value ->> '$.id', e.value ->> '$.lane_id', e.value ->> '$.type', e.value ->> '$.priority', e.value ->> '$.payload', e.value ->> '$.compatibility',
       e.value ->> '$.status', e.value ->> '$.outcome', e.value ->> '$.attempts', e.value ->> '$.max_attempts', e.value ->> '$.run_after', e.value ->> '$.ready',
       e.value ->> '$.fence', e.value ->> '$.lost', e.value ->> '$.last_worker_id', e.value ->> '$.started', e.value ->> '$.attempt_outcome', e.value ->> '$.finished',
       e.value ->> '$.error_message', e.value ->> '$.error_fingerprint', e.value ->> '$.idempotency_key', e.value ->> '$.created', e.value ->> '$.updated'
FROM json_each(CAST(@tasks AS TEXT)) AS e
WHERE true
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key;

-- name: ImportAttempts :exec
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
SELECT e.value ->> '$.task_id', e.value ->> '$.fence', e.value ->> '$.attempt', e.value ->> '$.worker_id', e.value ->> '$.started', e.value ->> '$.finished',
       e.value ->> '$.outcome', e.value ->> '$.error_message'
FROM json_each(CAST(@attempts AS TEXT)) AS e;

-- name: ImportLogs :exec
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT e.value ->> '$.log_id', e.value ->> '$.task_id', e.value ->> '$.at', e.value ->> '$.level', e.value ->> '$.message', e.value ->> '$.details',
       e.value ->> '$.fence', e.value ->> '$.event'
FROM json_each(CAST(@logs AS TEXT)) AS e;

-- ImportWorker registers a worker unless there is one of its name.
-- name: ImportWorker :execrows
INSERT INTO workers (worker_id, capabilities, registered_at_utc, heartbeat_utc) VALUES (@worker_id, @capabilities, @registered_at_utc, @heartbeat_utc)
ON CONFLICT (worker_id) DO NOTHING;

-- ListKnownKeys returns those of the idempotency keys that tasks have.
-- name: ListKnownKeys :many
SELECT CAST(t.idempotency_key AS TEXT) AS idempotency_key
FROM json_each(CAST(@keys AS TEXT)) AS k CROSS JOIN task_queue AS t
WHERE t.idempotency_key = k.value;

-- CountByStatus counts those of the tasks that there are.
-- name: CountByStatus :many
SELECT t.status, count(*) AS tasks
FROM json_each(CAST(@ids AS TEXT)) AS i CROSS JOIN task_queue AS t
WHERE t.id = i.value
GROUP BY t.status;
