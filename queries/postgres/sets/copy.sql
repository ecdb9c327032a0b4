-- What a move of the store to the other engine reads and writes: what begins with Copy reads rows, with Paste writes them as they are, with Cut takes them
-- away. Tables that are short
-- are read in pages, one after the other in one transaction; of those that are long the rows of some tasks, or some answers, at a time.

-- name: CopyLanes :many
SELECT * FROM lanes ORDER BY id LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutLane :exec
DELETE FROM lanes WHERE id = @id;

-- name: PasteLanes :copyfrom
INSERT INTO lanes (id, type, compatibility, priority)
VALUES (@id, @type, @compatibility, @priority);

-- CopyLaneCounts returns the sums over the slots of each lane.
-- name: CopyLaneCounts :many
SELECT c.lane_id, CAST(sum(c.ready) AS bigint) AS ready,
       CAST(sum(c.scheduled) AS bigint) AS scheduled,
       CAST(sum(c.processing) AS bigint) AS processing,
       CAST(sum(c.completed) AS bigint) AS completed,
       CAST(sum(c.failed) AS bigint) AS failed,
       CAST(sum(c.purged) AS bigint) AS purged
FROM lane_counts AS c GROUP BY c.lane_id ORDER BY c.lane_id LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutLaneCounts :exec
DELETE FROM lane_counts WHERE lane_id = @lane_id;

-- name: PasteLaneCounts :copyfrom
INSERT INTO lane_counts (lane_id, slot, ready, scheduled, processing, completed, failed, purged)
VALUES (@lane_id, @slot, @ready, @scheduled, @processing, @completed, @failed, @purged);

-- name: CopyWorkers :many
SELECT * FROM workers ORDER BY worker_id LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutWorker :exec
DELETE FROM workers WHERE worker_id = @worker_id;

-- name: PasteWorkers :copyfrom
INSERT INTO workers (worker_id, capabilities, types, drain, registered_at_utc, heartbeat_utc)
VALUES (@worker_id, @capabilities, @types, @drain, @registered_at_utc, @heartbeat_utc);

-- name: CopyTypes :many
SELECT * FROM task_types ORDER BY type LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutType :exec
DELETE FROM task_types WHERE type = @type;

-- name: PasteTypes :copyfrom
INSERT INTO task_types (
    type, paused, max_concurrency, max_attempts, retry_policy, timeout_seconds, max_payload_bytes, payload_schema, updated_at_utc,
    rate_limit, rate_open_utc, breaker, breaker_until_utc, lease_seconds, retention, per_key)
VALUES (
    @type, @paused, @max_concurrency, @max_attempts, @retry_policy, @timeout_seconds, @max_payload_bytes, @payload_schema,
    @updated_at_utc, @rate_limit, @rate_open_utc, @breaker, @breaker_until_utc, @lease_seconds, @retention, @per_key);

-- name: CopyTypeRules :many
SELECT * FROM type_rules ORDER BY one LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutTypeRules :exec
DELETE FROM type_rules WHERE one;

-- name: PasteTypeRules :copyfrom
INSERT INTO type_rules (one, version)
VALUES (@one, @version);

-- name: CopyOperations :many
SELECT * FROM operations ORDER BY id LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutOperation :exec
DELETE FROM operations WHERE id = @id;

-- name: PasteOperations :copyfrom
INSERT INTO operations (
    id, action, filter, priority, status, matched, changed, skipped, failed, done_id, upper_id, confirm_hash, expires_at_utc, runner,
    runner_until_utc, error_message, created_at_utc, updated_at_utc, finished_at_utc)
VALUES (
    @id, @action, @filter, @priority, @status, @matched, @changed, @skipped, @failed, @done_id, @upper_id, @confirm_hash,
    @expires_at_utc, @runner, @runner_until_utc, @error_message, @created_at_utc, @updated_at_utc, @finished_at_utc);

-- name: CopySchedules :many
SELECT * FROM schedules ORDER BY name LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutSchedule :exec
DELETE FROM schedules WHERE name = @name;

-- name: PasteSchedules :copyfrom
INSERT INTO schedules (
    name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, last_tick_utc, last_task_id,
    last_skipped, version, created_at_utc, updated_at_utc)
VALUES (
    @name, @cron, @timezone, @task, @misfire, @max_misfires, @overlap, @jitter_seconds, @paused, @next_tick_utc, @last_tick_utc,
    @last_task_id, @last_skipped, @version, @created_at_utc, @updated_at_utc);

-- name: CopyLaneKeys :many
SELECT * FROM lane_keys ORDER BY lane_id, concurrency_key LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutLaneKey :exec
DELETE FROM lane_keys WHERE lane_id = @lane_id AND concurrency_key = @concurrency_key;

-- name: PasteLaneKeys :copyfrom
INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id, shut, open_utc)
VALUES (@lane_id, @concurrency_key, @turn, @since_id, @shut, @open_utc);

-- name: CopyKeyRates :many
SELECT * FROM key_rates ORDER BY type, concurrency_key LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutKeyRate :exec
DELETE FROM key_rates WHERE type = @type AND concurrency_key = @concurrency_key;

-- name: PasteKeyRates :copyfrom
INSERT INTO key_rates (type, concurrency_key, open_utc, full_utc)
VALUES (@type, @concurrency_key, @open_utc, @full_utc);

-- CopyRollups returns those that began after one instant and not after another.
-- name: CopyRollups :many
SELECT * FROM task_rollups WHERE seconds IN (60, 3600) AND at_utc > @after AND at_utc <= @upto ORDER BY seconds, at_utc;

-- BoundRollups returns when the first and the last of them began, in microseconds; 0: there is none.
-- name: BoundRollups :one
SELECT CAST(coalesce(EXTRACT(epoch FROM min(r.at_utc)) * 1000000, 0) AS bigint) AS lowest, CAST(coalesce(EXTRACT(epoch FROM max(r.at_utc)) * 1000000, 0) AS bigint) AS highest FROM task_rollups AS r;

-- name: CutRollup :exec
DELETE FROM task_rollups WHERE seconds = @seconds AND type = @type AND at_utc = @at_utc AND node = @node;

-- name: PasteRollups :copyfrom
INSERT INTO task_rollups (seconds, type, at_utc, node, counts)
VALUES (@seconds, @type, @at_utc, @node, @counts);

-- name: CopyFailureGroups :many
SELECT * FROM failure_groups ORDER BY fingerprint, type LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutFailureGroup :exec
DELETE FROM failure_groups WHERE fingerprint = @fingerprint AND type = @type;

-- name: PasteFailureGroups :copyfrom
INSERT INTO failure_groups (
    fingerprint, type, pattern, sample_message, sample_task_id, first_seen_utc, last_seen_utc, count)
VALUES (
    @fingerprint, @type, @pattern, @sample_message, @sample_task_id, @first_seen_utc, @last_seen_utc, @count);

-- CopyAudit returns the rows above one id and not above another.
-- name: CopyAudit :many
SELECT * FROM audit_log WHERE audit_id > @after AND audit_id <= @upto ORDER BY audit_id;

-- BoundAudit returns the first and the last id; 0: there is none.
-- name: BoundAudit :one
SELECT CAST(coalesce(min(a.audit_id), 0) AS bigint) AS lowest, CAST(coalesce(max(a.audit_id), 0) AS bigint) AS highest FROM audit_log AS a;

-- name: CutAudit :exec
DELETE FROM audit_log WHERE audit_id = @audit_id;

-- PasteAudit gives rows their numbers, which COPY may and the INSERT that stands for it here may not.
-- name: PasteAudit :copyfrom
-- @sqlc-vet-disable sqlc/db-prepare
INSERT INTO audit_log (audit_id, at_utc, actor, action, subject, message)
VALUES (@audit_id, @at_utc, @actor, @action, @subject, @message);

-- name: CopyAPIKeys :many
SELECT * FROM api_keys ORDER BY key_id LIMIT 5000 OFFSET CAST(@skip AS bigint);

-- name: CutAPIKey :exec
DELETE FROM api_keys WHERE key_id = @key_id;

-- name: PasteAPIKeys :copyfrom
INSERT INTO api_keys (key_id, name, role, types, secret_hash, created_at_utc, expires_at_utc, revoked_at_utc, last_used_at_utc)
VALUES (@key_id, @name, @role, @types, @secret_hash, @created_at_utc, @expires_at_utc, @revoked_at_utc, @last_used_at_utc);

-- LastTaskID returns the greatest id of a task; 0: there is none.
-- name: LastTaskID :one
SELECT CAST(coalesce(max(t.id), 0) AS bigint) AS id FROM task_queue AS t;

-- CopyTaskIDs returns ids of tasks, and about how many bytes each has with its log.
-- name: CopyTaskIDs :many
SELECT t.id, CAST(octet_length(CAST(t.payload AS text)) + coalesce(octet_length(CAST(t.result AS text)), 0) + coalesce(octet_length(CAST(t.error_message AS text)), 0) + coalesce(
    (SELECT sum(octet_length(CAST(l.message AS text)) + coalesce(octet_length(CAST(l.details AS text)), 0) + 100) FROM task_logs AS l WHERE l.task_id = t.id), 0) AS bigint) AS bytes
FROM task_queue AS t WHERE t.id > @after AND t.id <= @last ORDER BY t.id LIMIT 1000;

-- CopyTaskSizes returns about how many bytes some tasks have with all that belongs to them, ordered.
-- name: CopyTaskSizes :many
SELECT t.id, CAST(octet_length(CAST(t.payload AS text)) + coalesce(octet_length(CAST(t.result AS text)), 0) + coalesce(octet_length(CAST(t.error_message AS text)), 0) + coalesce(
    (SELECT sum(octet_length(CAST(l.message AS text)) + coalesce(octet_length(CAST(l.details AS text)), 0) + 100) FROM task_logs AS l WHERE l.task_id = t.id), 0) AS bigint) AS bytes
FROM task_queue AS t WHERE t.id = ANY(CAST(@ids AS bigint[])) ORDER BY t.id;

-- name: CopyTasks :many
SELECT t.* FROM task_queue AS t WHERE t.id = ANY(CAST(@ids AS bigint[]));

-- name: PasteTasks :copyfrom
INSERT INTO task_queue (
    id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, deadline_utc,
    timeout_seconds, retry_policy, ready, fence, lease_secret, locked_by, last_worker_id, lease_until_utc, reserved_at_utc,
    processing_started_utc, attempt_outcome, finished_at_utc, error_message, result, progress, progress_message, idempotency_key,
    created_at_utc, updated_at_utc, lost, concurrency_key, error_fingerprint, traceparent)
VALUES (
    @id, @lane_id, @type, @priority, @payload, @compatibility, @status, @outcome, @attempts, @max_attempts, @run_after_utc,
    @deadline_utc, @timeout_seconds, @retry_policy, @ready, @fence, @lease_secret, @locked_by, @last_worker_id, @lease_until_utc,
    @reserved_at_utc, @processing_started_utc, @attempt_outcome, @finished_at_utc, @error_message, @result, @progress,
    @progress_message, @idempotency_key, @created_at_utc, @updated_at_utc, @lost, @concurrency_key, @error_fingerprint, @traceparent);

-- name: CopyAttempts :many
SELECT f.* FROM task_attempts AS f WHERE f.task_id = ANY(CAST(@ids AS bigint[]));

-- name: PasteAttempts :copyfrom
INSERT INTO task_attempts (
    task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
VALUES (
    @task_id, @fence, @attempt, @worker_id, @started_at_utc, @finished_at_utc, @outcome, @error_message);

-- name: CopyLogs :many
SELECT f.* FROM task_logs AS f WHERE f.task_id = ANY(CAST(@ids AS bigint[]));

-- name: PasteLogs :copyfrom
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
VALUES (@log_id, @task_id, @at_utc, @level, @message, @details, @fence, @event);

-- name: CopyScheduleTicks :many
SELECT f.* FROM schedule_ticks AS f WHERE f.task_id = ANY(CAST(@ids AS bigint[]));

-- name: PasteScheduleTicks :copyfrom
INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live)
VALUES (@schedule, @tick_utc, @task_id, @live);

-- name: CopyUniqueKeys :many
SELECT f.* FROM task_unique_keys AS f WHERE f.task_id = ANY(CAST(@ids AS bigint[]));

-- name: PasteUniqueKeys :copyfrom
INSERT INTO task_unique_keys (type, unique_key, task_id)
VALUES (@type, @unique_key, @task_id);

-- CutTasks takes tasks away with all that belongs to them.
-- name: CutTasks :exec
DELETE FROM task_queue WHERE id = ANY(CAST(@ids AS bigint[]));

-- CopyAnswerKeys returns keys of answers, and about how many bytes each has.
-- name: CopyAnswerKeys :many
SELECT a.request_key, CAST(coalesce(octet_length(CAST(a.body AS text)), 0) + 100 AS bigint) AS bytes FROM http_answers AS a WHERE a.request_key > @after ORDER BY a.request_key LIMIT 1000;

-- CopyAnswerSizes returns about how many bytes some answers have, ordered.
-- name: CopyAnswerSizes :many
SELECT a.request_key, CAST(coalesce(octet_length(CAST(a.body AS text)), 0) + 100 AS bigint) AS bytes
FROM http_answers AS a WHERE a.request_key = ANY(CAST(@keys AS text[])) ORDER BY a.request_key;

-- name: CopyAnswers :many
SELECT a.* FROM http_answers AS a WHERE a.request_key = ANY(CAST(@keys AS text[]));

-- name: PasteAnswers :copyfrom
INSERT INTO http_answers (
    request_key, fingerprint, owner, status_code, media_type, body, created_at_utc, held_until_utc, expires_at_utc)
VALUES (
    @request_key, @fingerprint, @owner, @status_code, @media_type, @body, @created_at_utc, @held_until_utc, @expires_at_utc);

-- name: CutAnswers :exec
DELETE FROM http_answers WHERE request_key = ANY(CAST(@keys AS text[]));

-- CountLongTables counts the rows of the tables that are long.
-- name: CountLongTables :one
SELECT (SELECT count(*) FROM task_queue) AS tasks, (SELECT count(*) FROM task_attempts) AS attempts, (SELECT count(*) FROM task_logs) AS logs,
       (SELECT count(*) FROM schedule_ticks) AS ticks, (SELECT count(*) FROM task_unique_keys) AS unique_keys, (SELECT count(*) FROM http_answers) AS answers;

-- CopySequences returns the greatest id that each table has ever given.
-- name: CopySequences :many
SELECT CAST(s.sequencename AS text) AS name, CAST(coalesce(s.last_value, 0) AS bigint) AS value
FROM pg_catalog.pg_sequences AS s WHERE s.schemaname = current_schema();

-- name: SetSequence :exec
SELECT setval(CAST(CAST(@name AS text) AS regclass), CAST(@value AS bigint));

-- SeeMove is GetMove for a transaction on pgx.
-- name: SeeMove :one
SELECT * FROM store_move;

-- NoteCopied notes how far the copy has come.
-- name: NoteCopied :exec
UPDATE store_move SET copied = @copied;

-- SeeMoveChanges returns changes noted, oldest first.
-- name: SeeMoveChanges :many
SELECT * FROM move_changes ORDER BY seq LIMIT CAST(@max_changes AS bigint);

-- SeeTasksChanged returns the tasks of a range that have changed.
-- name: SeeTasksChanged :many
SELECT DISTINCT CAST(c.task_id AS bigint) AS task_id FROM move_changes AS c WHERE c.task_id > CAST(@after AS bigint) AND c.task_id <= CAST(@last AS bigint);

-- SeeAnswersChanged returns the keys of answers that have changed.
-- name: SeeAnswersChanged :many
SELECT DISTINCT CAST(c.request_key AS text) AS request_key FROM move_changes AS c WHERE c.request_key IS NOT NULL;
