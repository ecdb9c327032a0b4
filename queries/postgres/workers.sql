-- name: UpsertWorker :one
INSERT INTO workers (worker_id, capabilities, types, registered_at_utc, heartbeat_utc)
VALUES (@worker_id, @capabilities, @types, @now, @now)
ON CONFLICT (worker_id) DO UPDATE SET capabilities = excluded.capabilities, types = excluded.types, heartbeat_utc = excluded.heartbeat_utc
RETURNING *;

-- name: GetWorker :one
SELECT * FROM workers WHERE worker_id = @worker_id;

-- name: ListWorkers :many
SELECT * FROM workers ORDER BY worker_id;

-- name: DeleteWorker :execrows
DELETE FROM workers WHERE worker_id = @worker_id;
