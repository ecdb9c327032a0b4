-- ListTaskWriters returns the transactions under way that may change tasks. A statement has its lock on the table before it looks at any row.
-- name: ListTaskWriters :many
SELECT CAST(l.virtualtransaction AS text) AS transaction
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_database AS d ON d.oid = l.database
WHERE d.datname = current_database() AND l.relation = CAST('task_queue' AS regclass) AND l.mode = 'RowExclusiveLock' AND l.granted;

-- LockUnique has enqueues under one unique key go one after the other, until the end of the transaction.
-- name: LockUnique :exec
SELECT pg_advisory_xact_lock(hashtextextended(CAST(@name AS text), 7161));

-- LockKeys keeps others from changing lane_keys until the end of the transaction.
-- name: LockKeys :exec
SELECT keys_lock();
