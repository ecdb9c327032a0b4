-- name: UpsertWorker :one
INSERT INTO workers (worker_id, capabilities, types, registered_at_utc, heartbeat_utc)
VALUES (@worker_id, @capabilities, @types, @now, @now)
ON CONFLICT (worker_id) DO UPDATE SET capabilities = excluded.capabilities, types = excluded.types, heartbeat_utc = excluded.heartbeat_utc
RETURNING *;

-- TouchWorker notes that a worker is alive.
-- name: TouchWorker :one
UPDATE workers SET heartbeat_utc = CASE WHEN heartbeat_utc < @now THEN @now ELSE heartbeat_utc END WHERE worker_id = @worker_id
RETURNING *;

-- name: GetWorker :one
SELECT * FROM workers WHERE worker_id = @worker_id;

-- name: ListWorkers :many
SELECT * FROM workers ORDER BY worker_id;

-- name: DeleteWorker :execrows
DELETE FROM workers WHERE worker_id = @worker_id;

-- ListDraining returns the workers that are to take nothing new.
-- name: ListDraining :many
SELECT worker_id FROM workers WHERE drain ORDER BY worker_id;

-- DrainWorker has a worker take nothing new, or take tasks again.
-- name: DrainWorker :one
UPDATE workers SET drain = @drain WHERE worker_id = @worker_id
RETURNING *;

-- CountHeld counts the tasks that each worker holds. It reads all tasks in processing.
-- name: CountHeld :many
SELECT CAST(t.locked_by AS TEXT) AS worker_id, count(*) AS held FROM task_queue AS t INDEXED BY task_queue_lease
WHERE t.status = 'processing'
GROUP BY t.locked_by;

-- ListHeldBy returns tasks that a worker holds, those whose leases end first.
-- name: ListHeldBy :many
SELECT t.id, t.type, t.locked_by, t.lease_until_utc FROM task_queue AS t INDEXED BY task_queue_lease
WHERE t.status = 'processing' AND t.locked_by = CAST(@worker_id AS TEXT)
ORDER BY t.lease_until_utc
LIMIT CAST(@max AS INTEGER);

-- EndLeases has the leases of a worker end now, and returns their tasks.
-- name: EndLeases :many
UPDATE task_queue SET updated_at_utc = @now, lease_until_utc = @now
WHERE id IN (SELECT e.id FROM task_queue AS e INDEXED BY task_queue_lease
             WHERE e.status = 'processing' AND e.lease_until_utc > @now AND e.locked_by = CAST(@worker_id AS TEXT)
             ORDER BY e.lease_until_utc LIMIT CAST(@max AS INTEGER))
RETURNING id;

-- DeleteStaleWorkers removes workers that were not heard since a time, but for those that hold tasks, unless forced.
-- name: DeleteStaleWorkers :many
DELETE FROM workers WHERE heartbeat_utc < @before AND (CAST(@force AS INTEGER) = 1 OR worker_id NOT IN (
    SELECT h.locked_by FROM task_queue AS h INDEXED BY task_queue_lease WHERE h.status = 'processing' AND h.locked_by IS NOT NULL))
RETURNING worker_id;
