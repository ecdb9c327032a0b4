-- DescribeSession returns the encoding of the database and how many milliseconds a statement may take; 0: any number.
-- name: DescribeSession :one
SELECT CAST(current_setting('server_encoding') AS text) AS encoding,
       CAST(EXTRACT(epoch FROM CAST(current_setting('statement_timeout') AS interval)) * 1000 AS bigint) AS statement_timeout_ms;

-- BackendPID returns the number of the process that serves this statement.
-- name: BackendPID :one
SELECT CAST(pg_backend_pid() AS bigint) AS pid;
