-- ListTaskWriters returns the transactions under way that may change tasks. A statement has its lock on the table before it looks at any row.
-- name: ListTaskWriters :many
SELECT CAST(l.virtualtransaction AS text) AS transaction
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_database AS d ON d.oid = l.database
WHERE d.datname = current_database() AND l.relation = CAST('task_queue' AS regclass) AND l.mode = 'RowExclusiveLock' AND l.granted;

-- ListLockHolders returns what others do that keeps the triggers of these tables from being switched until it ends: vacuum, analyze, and changes of the schema. Who only
-- writes rows is not among them, nor autovacuum, which gives way unless it prevents a wraparound.
-- name: ListLockHolders :many
SELECT DISTINCT CAST(a.pid AS bigint) AS pid, CAST(c.relname AS text) AS table_name, CAST(left(coalesce(a.query, ''), 60) AS text) AS statement
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
  AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname = ANY (CAST(CAST(@names AS text) AS text[]))
  AND a.pid <> pg_backend_pid() AND (a.backend_type <> 'autovacuum worker' OR a.query LIKE '%(to prevent wraparound)')
ORDER BY 1, 2;

-- IdentifyDatabase returns what is the same under every name of a database, and of no other: when its server has started, the number of the database, and the schema in
-- which the tables are.
-- name: IdentifyDatabase :one
SELECT CAST(pg_postmaster_start_time() AS timestamptz) AS started, CAST(d.oid AS bigint) AS number, CAST(coalesce(current_schema(), '') AS text) AS schema
FROM pg_catalog.pg_database AS d WHERE d.datname = current_database();

-- LockUnique has enqueues under one unique key go one after the other, until the end of the transaction.
-- name: LockUnique :exec
SELECT pg_advisory_xact_lock(hashtextextended(CAST(@name AS text), 7161));

-- LockKeys keeps others from changing lane_keys until the end of the transaction.
-- name: LockKeys :exec
SELECT keys_lock();
