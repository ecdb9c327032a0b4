-- ListTables returns the tables of this name with their sizes and what the planner and autovacuum know of them, ordered. A table that was never analyzed has -1 rows.
-- name: ListTables :many
SELECT CAST(c.relname AS text) AS name, CAST(pg_total_relation_size(c.oid) AS bigint) AS bytes, CAST(c.reltuples AS bigint) AS row_count,
       CAST(pg_stat_get_live_tuples(c.oid) AS bigint) AS live_rows, CAST(pg_stat_get_dead_tuples(c.oid) AS bigint) AS dead_rows,
       CAST(pg_stat_get_mod_since_analyze(c.oid) AS bigint) AS changed_rows
FROM pg_catalog.pg_class AS c
WHERE c.relkind = 'r' AND pg_table_is_visible(c.oid) AND c.relname = ANY (CAST(CAST(@names AS text) AS text[]))
ORDER BY c.relname;

-- ListSchemas returns the names of all schemas of the database.
-- name: ListSchemas :many
SELECT CAST(n.nspname AS text) AS name FROM pg_catalog.pg_namespace AS n ORDER BY n.nspname;

-- ListIndexes returns the B-tree indexes of the tables of this name, with their sizes, ordered.
-- name: ListIndexes :many
SELECT CAST(t.relname AS text) AS table_name, CAST(c.relname AS text) AS name, CAST(pg_relation_size(c.oid) AS bigint) AS bytes
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
WHERE a.amname = 'btree' AND i.indisvalid AND pg_table_is_visible(t.oid) AND t.relname = ANY (CAST(CAST(@names AS text) AS text[]))
ORDER BY t.relname, c.relname;

-- DescribeServer returns the version of the server, its page size, the size of this database, and whether it has the extension that checks tables and indexes.
-- name: DescribeServer :one
SELECT CAST(current_setting('server_version') AS text) AS version, CAST(current_setting('block_size') AS bigint) AS page_bytes,
       CAST(pg_database_size(current_database()) AS bigint) AS bytes, EXISTS (SELECT 1 FROM pg_catalog.pg_extension AS e WHERE e.extname = 'amcheck') AS amcheck;
