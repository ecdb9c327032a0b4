-- What only the one writer of SQLite does: it keeps the counters and the history itself, reads a task before it changes it, and so needs no
-- RETURNING, which costs more than the change (measured: 36 against 15 microseconds).
-- OR FAIL says that nothing is to be undone when a CHECK refuses the one row, which comes before any change: else SQLite keeps a copy of each page
-- for that case as soon as there is a trigger (measured: 2 microseconds a statement).

-- ListGuards returns the statements that put the triggers which refuse what must not happen to a task on a connection of their own. There they
-- undo the whole transaction, for which SQLite has to keep nothing.
-- name: ListGuards :many
SELECT replace(replace(replace(s.sql, 'CREATE TRIGGER', 'CREATE TEMP TRIGGER'), 'ON task_queue', 'ON main.task_queue'), 'RAISE(ABORT', 'RAISE(ROLLBACK') AS text
FROM sqlite_schema AS s
WHERE s.type = 'trigger' AND s.name IN ('task_queue_guard', 'task_queue_identity', 'task_queue_delete');

-- ListLanes returns all lanes with the numbers of tasks that can be claimed and that are held.
-- name: ListLanes :many
SELECT l.id, l.type, l.compatibility, l.priority, CAST(COALESCE(c.ready, 0) AS INTEGER) AS ready, CAST(COALESCE(c.processing, 0) AS INTEGER) AS processing
FROM lanes AS l LEFT JOIN lane_counts AS c ON c.lane_id = l.id AND c.slot = 0;

-- AddLaneCounts adds to the counters of a lane.
-- name: AddLaneCounts :exec
INSERT INTO lane_counts (lane_id, slot, ready, scheduled, processing, completed, failed, purged)
VALUES (@lane_id, 0, @ready, @scheduled, @processing, @completed, @failed, @purged)
ON CONFLICT (lane_id, slot) DO UPDATE SET
    ready = ready + excluded.ready, scheduled = scheduled + excluded.scheduled, processing = processing + excluded.processing,
    completed = completed + excluded.completed, failed = failed + excluded.failed, purged = purged + excluded.purged;

-- InsertTask stores a new task without a key or trace. The writer repeats its row for several tasks at once.
-- name: InsertTask :exec
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, created_at_utc, updated_at_utc)
VALUES (@lane_id, @type, @priority, @payload, @compatibility, 'queued', 0, @max_attempts, @run_after_utc,
        @deadline_utc, @timeout_seconds, @retry_policy, @ready, @now, @now);

-- InsertKeyedTask stores a new task with keys or a trace. It changes nothing when a task with this idempotency key exists.
-- name: InsertKeyedTask :execresult
INSERT INTO task_queue (lane_id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc,
                        deadline_utc, timeout_seconds, retry_policy, ready, idempotency_key, concurrency_key, traceparent, created_at_utc, updated_at_utc)
VALUES (@lane_id, @type, @priority, @payload, @compatibility, 'queued', 0, @max_attempts, @run_after_utc,
        @deadline_utc, @timeout_seconds, @retry_policy, @ready, @idempotency_key, @concurrency_key, @traceparent, @now, @now)
ON CONFLICT (idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING;

-- ListOldestReady returns the first ready tasks of a lane above the id given, oldest first.
-- name: ListOldestReady :many
SELECT * FROM task_queue INDEXED BY task_queue_ready
WHERE ready = 1 AND lane_id = @lane_id AND id > @after
ORDER BY id
LIMIT CAST(@max AS INTEGER);

-- ListNewestReady returns the last ready tasks of a lane below the id given, newest first.
-- name: ListNewestReady :many
SELECT * FROM task_queue INDEXED BY task_queue_ready
WHERE ready = 1 AND lane_id = @lane_id AND id < @before
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- name: ClaimTask :execrows
UPDATE OR FAIL task_queue SET
    updated_at_utc = @now, status = 'processing', ready = 0, attempts = attempts + 1, fence = fence + 1, lease_secret = CAST(@lease_secret AS TEXT),
    locked_by = CAST(@worker_id AS TEXT), last_worker_id = CAST(@worker_id AS TEXT), lease_until_utc = CAST(@lease_until AS TIMESTAMP), reserved_at_utc = @now,
    processing_started_utc = @now, attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE id = @id AND status = 'queued' AND ready = 1 AND fence = @fence;

-- name: CompleteTask :execrows
UPDATE OR FAIL task_queue SET
    updated_at_utc = @now, finished_at_utc = @now, status = 'completed', outcome = 'succeeded', attempt_outcome = 'succeeded',
    result = @result, error_message = NULL, locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
WHERE id = @id AND status = 'processing' AND fence = @fence AND lease_secret = CAST(@lease_secret AS TEXT);

-- KeepAttempt writes the attempt that is about to end into the history. No row: this is not its live lease.
-- name: KeepAttempt :execrows
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
SELECT t.id, t.fence, t.attempts, t.locked_by, coalesce(t.processing_started_utc, t.reserved_at_utc), @now, @outcome, @error_message
FROM task_queue AS t
WHERE t.id = @id AND t.status = 'processing' AND t.fence = @fence AND t.lease_secret = CAST(@lease_secret AS TEXT);

-- InsertAttempt writes an attempt that has ended already.
-- name: InsertAttempt :exec
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
VALUES (@task_id, @fence, @attempt, @worker_id, @started_at_utc, @finished_at_utc, @outcome, @error_message);

-- AddLog writes a line that nobody reads back.
-- name: AddLog :exec
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT max(CAST(@at_utc AS TIMESTAMP), h.least), h.task_id, CAST(@at_utc AS TIMESTAMP), @level, @message, @details, h.fence, @event
FROM task_log_heads AS h WHERE h.task_id = @task_id;

-- ListExpiredLeases returns tasks whose lease ended not later than @now, the earliest first.
-- name: ListExpiredLeases :many
SELECT * FROM task_queue INDEXED BY task_queue_lease
WHERE status = 'processing' AND lease_until_utc <= @now
ORDER BY lease_until_utc
LIMIT CAST(@max AS INTEGER);

-- name: ListPastDeadline :many
SELECT * FROM task_queue INDEXED BY task_queue_deadline
WHERE status = 'queued' AND deadline_utc IS NOT NULL AND deadline_utc <= @now
ORDER BY deadline_utc
LIMIT CAST(@max AS INTEGER);

-- ListQuarantined returns the live tasks that run alone: those that have lost two workers or more.
-- name: ListQuarantined :many
SELECT id, lane_id, ready, last_worker_id, status FROM task_queue INDEXED BY task_queue_quarantine
WHERE lost >= 2 AND finished_at_utc IS NULL;

-- HoldsTask returns a task that the worker holds; no row: none. It looks at all tasks in processing.
-- name: HoldsTask :one
SELECT id FROM task_queue INDEXED BY task_queue_lease
WHERE status = 'processing' AND locked_by = CAST(@worker_id AS TEXT)
LIMIT 1;

-- SpendRate notes from when on the rate of a type allows its next task.
-- name: SpendRate :exec
UPDATE task_types SET rate_open_utc = CAST(@open AS TIMESTAMP) WHERE type = @type;

-- NextKey returns the key of a lane whose turn comes next after the one given, of those that are not shut.
-- name: NextKey :one
SELECT k.concurrency_key, k.turn, k.since_id FROM lane_keys AS k INDEXED BY lane_keys_turn
WHERE k.lane_id = @lane_id AND k.shut = 0 AND k.turn >= @turn AND (k.turn > @turn OR k.since_id > @since_id)
ORDER BY k.turn, k.since_id
LIMIT 1;

-- ListOldestOfKey returns the first ready tasks of a key in a lane, oldest first.
-- name: ListOldestOfKey :many
SELECT * FROM task_queue INDEXED BY task_queue_key_ready
WHERE ready = 1 AND concurrency_key IS NOT NULL AND lane_id = @lane_id AND concurrency_key = @concurrency_key
ORDER BY id
LIMIT CAST(@max AS INTEGER);

-- ListNewestOfKey returns the last ones, newest first.
-- name: ListNewestOfKey :many
SELECT * FROM task_queue INDEXED BY task_queue_key_ready
WHERE ready = 1 AND concurrency_key IS NOT NULL AND lane_id = @lane_id AND concurrency_key = @concurrency_key
ORDER BY id DESC
LIMIT CAST(@max AS INTEGER);

-- CountKeyHeld counts the tasks of a key that are in processing, up to @most.
-- name: CountKeyHeld :one
SELECT count(*) FROM (
    SELECT h.id FROM task_queue AS h INDEXED BY task_queue_key_held
    WHERE h.status = 'processing' AND h.concurrency_key IS NOT NULL AND h.type = @type AND h.concurrency_key = @concurrency_key
    LIMIT CAST(@most AS INTEGER)) AS c;

-- ShutKey takes a key out of its turn in a lane, until a time or, for null, until a task of it ends.
-- name: ShutKey :exec
UPDATE lane_keys SET shut = 1, open_utc = @open_utc WHERE concurrency_key = @concurrency_key AND lane_id = @lane_id;

-- TurnKey moves a key on that has had its turn.
-- name: TurnKey :exec
UPDATE lane_keys SET turn = turn + @step WHERE concurrency_key = @concurrency_key AND lane_id = @lane_id;

-- EnterKey, LeaveKey and FreeKey are what the triggers on task_queue do for others than the writer: see there.
-- name: EnterKey :exec
INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id)
SELECT CAST(@lane_id AS INTEGER), CAST(@concurrency_key AS TEXT), 999999 + coalesce(
    (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = CAST(@lane_id AS INTEGER) AND o.shut = 0 ORDER BY o.turn LIMIT 1),
    (SELECT s.turn FROM lane_keys AS s WHERE s.lane_id = CAST(@lane_id AS INTEGER) AND s.shut = 1 ORDER BY s.turn DESC LIMIT 1), 0), CAST(@since_id AS INTEGER)
WHERE EXISTS (SELECT t.id FROM task_queue AS t INDEXED BY task_queue_key_ready
              WHERE t.ready = 1 AND t.concurrency_key IS NOT NULL AND t.lane_id = CAST(@lane_id AS INTEGER) AND t.concurrency_key = CAST(@concurrency_key AS TEXT))
ON CONFLICT (concurrency_key, lane_id) DO NOTHING;

-- name: LeaveKey :exec
DELETE FROM lane_keys WHERE concurrency_key = CAST(@concurrency_key AS TEXT) AND lane_id = CAST(@lane_id AS INTEGER) AND NOT EXISTS (
    SELECT t.id FROM task_queue AS t INDEXED BY task_queue_key_ready
    WHERE t.ready = 1 AND t.concurrency_key IS NOT NULL AND t.lane_id = lane_keys.lane_id AND t.concurrency_key = lane_keys.concurrency_key);

-- name: FreeKey :exec
UPDATE lane_keys SET shut = 0, turn = max(turn, coalesce(
    (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = lane_keys.lane_id AND o.shut = 0 ORDER BY o.turn LIMIT 1), turn))
WHERE concurrency_key = CAST(@concurrency_key AS TEXT) AND shut = 1 AND open_utc IS NULL
  AND lane_id IN (SELECT l.id FROM lanes AS l WHERE l.type = CAST(@type AS TEXT));

-- PutKeyRate notes from when on the rate of a key gives its next task, and from when on its bucket is full.
-- name: PutKeyRate :exec
INSERT INTO key_rates (type, concurrency_key, open_utc, full_utc) VALUES (@type, @concurrency_key, @open_utc, @full_utc)
ON CONFLICT (type, concurrency_key) DO UPDATE SET open_utc = excluded.open_utc, full_utc = excluded.full_utc;
