-- name: ListStatusSummary :many
SELECT v.status, v.task_count, v.avg_attempts, v.oldest_task, v.newest_task FROM v_queue_status_summary AS v ORDER BY v.status;

-- name: ListTypeSummary :many
SELECT v.type, v.status, v.task_count, v.avg_priority FROM v_queue_type_summary AS v ORDER BY v.type, v.status;

-- name: ListWorkerStatus :many
SELECT v.worker_id, v.capabilities, v.heartbeat_utc, v.active_tasks, v.seconds_since_heartbeat FROM v_worker_status AS v ORDER BY v.worker_id;

-- name: ListTaskPerformance :many
SELECT v.type, v.status, v.task_count, v.avg_processing_seconds, v.avg_attempts FROM v_task_performance AS v ORDER BY v.type, v.status;

-- name: ListRecentFailures :many
SELECT v.id, v.type, v.status, v.attempts, v.error_message, v.finished_at_utc FROM v_recent_failures AS v;
