-- What a queue database of the older program holds. A + before a column has the driver hand its value over as it is, whatever type was declared.

-- ListTables returns those of these names that are tables. The last one is what a database of ours has beside them.
-- name: ListTables :many
SELECT CAST(s.name AS TEXT) AS name FROM sqlite_schema AS s WHERE s.type = 'table' AND s.name IN ('task_queue', 'task_logs', 'workers', 'goose_db_version') ORDER BY s.name;

-- CountRows counts the tasks and the lines of their logs, and returns the least and the greatest id of a task, 0 where there is none.
-- name: CountRows :one
SELECT (SELECT count(*) FROM task_queue AS c) AS tasks, (SELECT count(*) FROM task_logs AS l) AS logs,
       CAST(coalesce((SELECT a.id FROM task_queue AS a ORDER BY a.id LIMIT 1), 0) AS INTEGER) AS first_id,
       CAST(coalesce((SELECT z.id FROM task_queue AS z ORDER BY z.id DESC LIMIT 1), 0) AS INTEGER) AS last_id;

-- ListSizes returns about how many bytes each of the next tasks has.
-- name: ListSizes :many
SELECT t.id, CAST(coalesce(octet_length(t.payload), 0) + coalesce(octet_length(t.compatibility), 0) + coalesce(octet_length(t.error_message), 0) AS INTEGER) AS bytes
FROM task_queue AS t
WHERE t.id > @after
ORDER BY t.id
LIMIT CAST(@max AS INTEGER);

-- name: ListTasks :many
SELECT t.id, (+t.type) AS type, (+t.priority) AS priority, (+t.payload) AS payload, (+t.compatibility) AS compatibility, (+t.status) AS status,
       (+t.attempts) AS attempts, (+t.max_attempts) AS max_attempts, (+t.run_after_utc) AS run_after_utc, (+t.lease_until_utc) AS lease_until_utc,
       (+t.reserved_at_utc) AS reserved_at_utc, (+t.processing_started_utc) AS processing_started_utc, (+t.finished_at_utc) AS finished_at_utc,
       (+t.locked_by) AS locked_by, (+t.error_message) AS error_message, (+t.idempotency_key) AS idempotency_key,
       (+t.created_at_utc) AS created_at_utc, (+t.updated_at_utc) AS updated_at_utc
FROM task_queue AS t
WHERE t.id > @after AND t.id <= @upto
ORDER BY t.id;

-- ListLogs returns the next lines of tasks in a range of ids, by task and in the order in which they were written.
-- name: ListLogs :many
SELECT l.log_id, CAST(l.task_id AS INTEGER) AS task_id, (+l.at_utc) AS at_utc, (+l.level) AS level, (+l.message) AS message, (+l.details) AS details
FROM task_logs AS l
WHERE l.task_id > CAST(@after AS INTEGER) AND l.task_id <= CAST(@upto AS INTEGER)
  AND (l.task_id > CAST(@last_task AS INTEGER) OR l.task_id = CAST(@last_task AS INTEGER) AND l.log_id > CAST(@last_log AS INTEGER))
ORDER BY l.task_id, l.log_id
LIMIT CAST(@max AS INTEGER);

-- ListStrayLogs returns lines of which there is no task.
-- name: ListStrayLogs :many
SELECT l.log_id, (+l.task_id) AS task_id, (+l.at_utc) AS at_utc, (+l.level) AS level, (+l.message) AS message, (+l.details) AS details
FROM task_logs AS l
WHERE l.log_id > @after AND NOT EXISTS (SELECT t.id FROM task_queue AS t WHERE t.id = l.task_id)
ORDER BY l.log_id
LIMIT CAST(@max AS INTEGER);

-- name: ListWorkers :many
SELECT (+w.worker_id) AS worker_id, (+w.capabilities) AS capabilities, (+w.heartbeat_utc) AS heartbeat_utc FROM workers AS w ORDER BY w.worker_id;
