-- A set is what came together, in one statement. It travels as arrays, one for each column, of which the server reads the binary form in half the time of
-- their text. An array that is null stands for as many nulls; in one of texts that may be null, the empty text stands for null.

-- InsertTasks inserts tasks, ids growing in the order given; those whose key exists are left out. The ids are given before the rows are
-- sorted by key: sets that share keys then wait for each other in one order and cannot deadlock.
-- name: InsertTasks :many
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, concurrency_key, traceparent, created_at_utc, updated_at_utc)
SELECT e.id, e.lane_id, e.type, e.priority, CAST(e.payload AS json), CAST(e.compatibility AS json), 'queued', 0, e.max_attempts, e.run_after_utc,
       CAST(nullif(e.deadline, '') AS timestamptz), CAST(nullif(e.timeout, '') AS double precision), CAST(nullif(e.retry_policy, '') AS json), e.ready,
       e.idempotency_key, e.concurrency_key, e.traceparent, e.created_at_utc, e.created_at_utc
FROM (SELECT nextval('task_queue_id_seq') AS id, unnest(CAST(@lane_ids AS bigint[])) AS lane_id, unnest(CAST(@types AS text[])) AS type, unnest(CAST(@priorities AS bigint[])) AS priority,
             unnest(CAST(@payloads AS text[])) AS payload, unnest(CAST(@compatibilities AS text[])) AS compatibility,
             unnest(CAST(@max_attempts AS bigint[])) AS max_attempts, unnest(CAST(@run_afters AS timestamptz[])) AS run_after_utc,
             unnest(CAST(@deadlines AS text[])) AS deadline, unnest(CAST(@timeouts AS text[])) AS timeout, unnest(CAST(@retry_policies AS text[])) AS retry_policy,
             unnest(CAST(@readies AS boolean[])) AS ready, unnest(CAST(@created_ats AS timestamptz[])) AS created_at_utc, nullif(unnest(CAST(@idempotency_keys AS text[])), '') AS idempotency_key,
             nullif(unnest(CAST(@concurrency_keys AS text[])), '') AS concurrency_key, nullif(unnest(CAST(@traceparents AS text[])), '') AS traceparent) AS e
ORDER BY e.idempotency_key, e.id
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key;

-- InsertTasksWithoutKeys is InsertTasks for tasks that have neither keys nor a trace: nothing is sorted, nothing can be left out. It takes a tenth less of the server's time.
-- name: InsertTasksWithoutKeys :many
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, created_at_utc, updated_at_utc)
SELECT e.lane_id, e.type, e.priority, CAST(e.payload AS json), CAST(e.compatibility AS json), 'queued', 0, e.max_attempts, e.run_after_utc,
       CAST(nullif(e.deadline, '') AS timestamptz), CAST(nullif(e.timeout, '') AS double precision), CAST(nullif(e.retry_policy, '') AS json), e.ready,
       e.created_at_utc, e.created_at_utc
FROM (SELECT unnest(CAST(@lane_ids AS bigint[])) AS lane_id, unnest(CAST(@types AS text[])) AS type, unnest(CAST(@priorities AS bigint[])) AS priority,
             unnest(CAST(@payloads AS text[])) AS payload, unnest(CAST(@compatibilities AS text[])) AS compatibility,
             unnest(CAST(@max_attempts AS bigint[])) AS max_attempts, unnest(CAST(@run_afters AS timestamptz[])) AS run_after_utc,
             unnest(CAST(@deadlines AS text[])) AS deadline, unnest(CAST(@timeouts AS text[])) AS timeout, unnest(CAST(@retry_policies AS text[])) AS retry_policy,
             unnest(CAST(@readies AS boolean[])) AS ready, unnest(CAST(@created_ats AS timestamptz[])) AS created_at_utc) AS e
RETURNING id;
