-- CountRows counts the rows of each table, up to @most. Those of task_queue are counted by lane_counts.
-- name: CountRows :many
SELECT 'api_keys' AS name, (SELECT count(*) FROM (SELECT 1 FROM api_keys LIMIT CAST(@most AS INTEGER))) AS row_count
UNION ALL SELECT 'audit_log', (SELECT count(*) FROM (SELECT 1 FROM audit_log LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'failure_groups', (SELECT count(*) FROM (SELECT 1 FROM failure_groups LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'http_answers', (SELECT count(*) FROM (SELECT 1 FROM http_answers LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'key_rates', (SELECT count(*) FROM (SELECT 1 FROM key_rates LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'lane_counts', (SELECT count(*) FROM (SELECT 1 FROM lane_counts LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'lane_keys', (SELECT count(*) FROM (SELECT 1 FROM lane_keys LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'lanes', (SELECT count(*) FROM (SELECT 1 FROM lanes LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'operations', (SELECT count(*) FROM (SELECT 1 FROM operations LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'schedule_ticks', (SELECT count(*) FROM (SELECT 1 FROM schedule_ticks LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'schedules', (SELECT count(*) FROM (SELECT 1 FROM schedules LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'task_attempts', (SELECT count(*) FROM (SELECT 1 FROM task_attempts LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'task_logs', (SELECT count(*) FROM (SELECT 1 FROM task_logs LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'task_rollups', (SELECT count(*) FROM (SELECT 1 FROM task_rollups LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'task_types', (SELECT count(*) FROM (SELECT 1 FROM task_types LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'task_unique_keys', (SELECT count(*) FROM (SELECT 1 FROM task_unique_keys LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'type_rules', (SELECT count(*) FROM (SELECT 1 FROM type_rules LIMIT CAST(@most AS INTEGER)))
UNION ALL SELECT 'workers', (SELECT count(*) FROM (SELECT 1 FROM workers LIMIT CAST(@most AS INTEGER)));

-- name: SQLiteVersion :one
SELECT CAST(sqlite_version() AS TEXT) AS version;
