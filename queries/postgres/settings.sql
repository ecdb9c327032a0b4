-- ListObjects returns the parts of the schema that work, by kind and name: no trigger that is switched off, and no index that is not valid.
-- name: ListObjects :many
SELECT CAST(CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'v' THEN 'view ' ELSE 'index ' END || c.relname AS text) AS object
FROM pg_catalog.pg_class AS c LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
WHERE c.relkind IN ('r', 'v', 'i') AND c.relnamespace = CAST(current_schema() AS regnamespace) AND coalesce(i.indisvalid AND i.indisready, true)
UNION ALL
SELECT CAST('trigger ' || g.tgname AS text)
FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_class AS o ON o.oid = g.tgrelid
WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND o.relnamespace = CAST(current_schema() AS regnamespace)
UNION ALL
SELECT DISTINCT CAST('function ' || p.proname AS text)
FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = CAST(current_schema() AS regnamespace);

-- ListSettings returns the settings that the service depends on, as they hold on this connection.
-- name: ListSettings :many
SELECT CAST(s.name AS text) AS name, CAST(s.setting AS text) AS setting
FROM pg_catalog.pg_settings AS s
WHERE s.name IN ('server_version', 'server_version_num', 'server_encoding', 'client_encoding', 'fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum', 'track_counts',
                 'TimeZone', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'max_connections', 'transaction_read_only');

-- DescribeDatabase returns the size of the database in bytes, the connections that the server has by now, and whether it is a standby.
-- name: DescribeDatabase :one
SELECT CAST(pg_database_size(current_database()) AS bigint) AS bytes, (SELECT count(*) FROM pg_catalog.pg_stat_activity) AS connections, pg_is_in_recovery() AS standby;
