-- What another queue has kept comes in with these, many rows at a time as one JSON array. Triggers keep the counters.

-- ImportTasks stores tasks as they are, with their ids where they have any, and leaves out those whose idempotency key is known.
-- name: ImportTasks :many
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, ready, fence, lost, last_worker_id,
                        processing_started_utc, attempt_outcome, finished_at_utc, error_message, error_fingerprint, idempotency_key, created_at_utc, updated_at_utc)
SELECT coalesce(e.id, nextval(pg_get_serial_sequence('task_queue', 'id'))), e.lane_id, e.type, e.priority, CAST(e.payload AS json), CAST(e.compatibility AS json),
       e.status, e.outcome, e.attempts, e.max_attempts, e.run_after, e.ready, e.fence, e.lost, e.last_worker_id,
       e.started, e.attempt_outcome, e.finished, e.error_message, e.error_fingerprint, e.idempotency_key, e.created, e.updated
FROM json_to_recordset(CAST(CAST(@tasks AS text) AS json)) AS e (
    id bigint, lane_id bigint, type text, priority integer, payload text, compatibility text, status text, outcome text, attempts integer, max_attempts integer,
    run_after timestamptz, ready boolean, fence bigint, lost integer, last_worker_id text, started timestamptz, attempt_outcome text, finished timestamptz,
    error_message text, error_fingerprint text, idempotency_key text, created timestamptz, updated timestamptz)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key;

-- name: ImportAttempts :exec
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
SELECT e.task_id, e.fence, e.attempt, e.worker_id, e.started, e.finished, e.outcome, e.error_message
FROM json_to_recordset(CAST(CAST(@attempts AS text) AS json)) AS e (
    task_id bigint, fence bigint, attempt integer, worker_id text, started timestamptz, finished timestamptz, outcome text, error_message text);

-- name: ImportLogs :exec
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT e.log_id, e.task_id, e.at, e.level, e.message, CAST(e.details AS json), e.fence, e.event
FROM json_to_recordset(CAST(CAST(@logs AS text) AS json)) AS e (
    log_id bigint, task_id bigint, at timestamptz, level text, message text, details text, fence bigint, event text);

-- ImportWorker registers a worker unless there is one of its name.
-- name: ImportWorker :execrows
INSERT INTO workers (worker_id, capabilities, registered_at_utc, heartbeat_utc) VALUES (@worker_id, @capabilities, @registered_at_utc, @heartbeat_utc)
ON CONFLICT (worker_id) DO NOTHING;

-- ListKnownKeys returns those of the idempotency keys that tasks have.
-- name: ListKnownKeys :many
SELECT CAST(t.idempotency_key AS text) AS idempotency_key
FROM json_array_elements_text(CAST(CAST(@keys AS text) AS json)) AS k (value) JOIN task_queue AS t ON t.idempotency_key = k.value;

-- CountByStatus counts those of the tasks that there are.
-- name: CountByStatus :many
SELECT t.status, count(*) AS tasks
FROM json_array_elements_text(CAST(CAST(@ids AS text) AS json)) AS i (value) JOIN task_queue AS t ON t.id = CAST(i.value AS bigint)
GROUP BY t.status;
