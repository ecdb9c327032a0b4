-- ListTypes returns the rules of one type, of all types for an empty name.
-- name: ListTypes :many
SELECT * FROM task_types WHERE CAST(@type AS TEXT) = '' OR type = CAST(@type AS TEXT);

-- CountTypes counts the tasks of each type that has ever had any; of one type alone, unless that is empty.
-- name: CountTypes :many
SELECT l.type, CAST(COALESCE(SUM(c.ready), 0) AS INTEGER) AS ready, CAST(COALESCE(SUM(c.scheduled), 0) AS INTEGER) AS scheduled,
       CAST(COALESCE(SUM(c.processing), 0) AS INTEGER) AS processing, CAST(COALESCE(SUM(c.completed), 0) AS INTEGER) AS completed,
       CAST(COALESCE(SUM(c.failed), 0) AS INTEGER) AS failed
FROM lanes AS l LEFT JOIN lane_counts AS c ON c.lane_id = l.id
WHERE CAST(@type AS TEXT) = '' OR l.type = CAST(@type AS TEXT)
GROUP BY l.type;

-- PutType sets the rules of a type, but for whether it is paused. A bucket of another rate begins full, and without a breaker nothing is stopped.
-- name: PutType :one
INSERT INTO task_types (type, max_concurrency, max_attempts, retry_policy, timeout_seconds, max_payload_bytes, payload_schema, updated_at_utc, rate_limit, breaker,
                        lease_seconds, retention, per_key)
VALUES (@type, @max_concurrency, @max_attempts, @retry_policy, @timeout_seconds, @max_payload_bytes, @payload_schema, @updated_at_utc, @rate_limit, @breaker,
        @lease_seconds, @retention, @per_key)
ON CONFLICT (type) DO UPDATE SET
    max_concurrency = excluded.max_concurrency, max_attempts = excluded.max_attempts, retry_policy = excluded.retry_policy,
    timeout_seconds = excluded.timeout_seconds, max_payload_bytes = excluded.max_payload_bytes,
    payload_schema = excluded.payload_schema, updated_at_utc = excluded.updated_at_utc, rate_limit = excluded.rate_limit, breaker = excluded.breaker,
    lease_seconds = excluded.lease_seconds, retention = excluded.retention, per_key = excluded.per_key,
    rate_open_utc = CASE WHEN task_types.rate_limit IS excluded.rate_limit THEN task_types.rate_open_utc END,
    breaker_until_utc = CASE WHEN excluded.breaker IS NOT NULL THEN task_types.breaker_until_utc END
RETURNING *;

-- name: PauseType :one
INSERT INTO task_types (type, paused, updated_at_utc) VALUES (@type, @paused, @updated_at_utc)
ON CONFLICT (type) DO UPDATE SET paused = excluded.paused, updated_at_utc = excluded.updated_at_utc
RETURNING *;

-- BreakType stops claims of a type until a time, or lets them go on for null. Nothing happens where the type has no breaker.
-- name: BreakType :one
UPDATE task_types SET breaker_until_utc = sqlc.narg(until) WHERE type = @type AND breaker IS NOT NULL
RETURNING *;

-- RaiseRules says that what decides over claims has changed, in the transaction that changes it.
-- name: RaiseRules :exec
UPDATE type_rules SET version = version + 1;
