-- +goose Up

-- Times in the views are RFC 3339 text, so that any SQL tool shows them readably.

CREATE VIEW v_queue_status_summary AS
SELECT t.status, count(*) AS task_count, avg(t.attempts) AS avg_attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(t.created_at_utc) / 1e6, 'unixepoch') AS oldest_task,
       strftime('%Y-%m-%dT%H:%M:%fZ', max(t.created_at_utc) / 1e6, 'unixepoch') AS newest_task
FROM task_queue AS t
GROUP BY t.status;

CREATE VIEW v_queue_type_summary AS
SELECT t.type, t.status, count(*) AS task_count, avg(t.priority) AS avg_priority
FROM task_queue AS t
GROUP BY t.type, t.status;

CREATE VIEW v_worker_status AS
SELECT w.worker_id, w.capabilities,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.heartbeat_utc / 1e6, 'unixepoch') AS heartbeat_utc,
       (SELECT count(*) FROM task_queue AS t WHERE t.locked_by = w.worker_id AND t.status = 'processing') AS active_tasks,
       unixepoch('subsec') - w.heartbeat_utc / 1e6 AS seconds_since_heartbeat
FROM workers AS w;

CREATE VIEW v_task_performance AS
SELECT t.type, t.status, count(*) AS task_count,
       avg((t.finished_at_utc - t.processing_started_utc) / 1e6) AS avg_processing_seconds,
       avg(t.attempts) AS avg_attempts
FROM task_queue AS t
WHERE t.status IN ('completed', 'failed')
GROUP BY t.type, t.status;

CREATE VIEW v_recent_failures AS
SELECT t.id, t.type, t.status, t.attempts, t.error_message,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.finished_at_utc / 1e6, 'unixepoch') AS finished_at_utc
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
