-- +goose Up

CREATE VIEW v_queue_status_summary AS
SELECT t.status, count(*) AS task_count, avg(t.attempts)::float8 AS avg_attempts,
       min(t.created_at_utc) AS oldest_task, max(t.created_at_utc) AS newest_task
FROM task_queue AS t
GROUP BY t.status;

CREATE VIEW v_queue_type_summary AS
SELECT t.type, t.status, count(*) AS task_count, avg(t.priority)::float8 AS avg_priority
FROM task_queue AS t
GROUP BY t.type, t.status;

CREATE VIEW v_worker_status AS
SELECT w.worker_id, w.capabilities, w.heartbeat_utc,
       (SELECT count(*) FROM task_queue AS t WHERE t.locked_by = w.worker_id AND t.status = 'processing') AS active_tasks,
       extract(epoch FROM clock_timestamp() - w.heartbeat_utc)::float8 AS seconds_since_heartbeat
FROM workers AS w;

CREATE VIEW v_task_performance AS
SELECT t.type, t.status, count(*) AS task_count,
       avg(extract(epoch FROM t.finished_at_utc - t.processing_started_utc))::float8 AS avg_processing_seconds,
       avg(t.attempts)::float8 AS avg_attempts
FROM task_queue AS t
WHERE t.status IN ('completed', 'failed')
GROUP BY t.type, t.status;

CREATE VIEW v_recent_failures AS
SELECT t.id, t.type, t.status, t.attempts, t.error_message, t.finished_at_utc
FROM task_queue AS t
WHERE t.status = 'failed'
ORDER BY t.finished_at_utc DESC, t.id DESC
LIMIT 100;

-- +goose Down
DROP VIEW v_recent_failures;
DROP VIEW v_task_performance;
DROP VIEW v_worker_status;
DROP VIEW v_queue_type_summary;
DROP VIEW v_queue_status_summary;
