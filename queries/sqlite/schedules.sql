-- name: GetSchedule :one
SELECT * FROM schedules WHERE name = @name;

-- name: ListSchedules :many
SELECT * FROM schedules ORDER BY name;

-- ListDueSchedules returns schedules with a tick that has come, the longest waiting first.
-- name: ListDueSchedules :many
SELECT * FROM schedules WHERE next_tick_utc IS NOT NULL AND next_tick_utc <= @now ORDER BY next_tick_utc LIMIT CAST(@max AS INTEGER);

-- name: NextTick :one
SELECT next_tick_utc FROM schedules WHERE next_tick_utc IS NOT NULL ORDER BY next_tick_utc LIMIT 1;

-- InsertSchedule returns no row when there is one of this name.
-- name: InsertSchedule :one
INSERT INTO schedules (name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, version, created_at_utc, updated_at_utc)
VALUES (@name, @cron, @timezone, @task, @misfire, @max_misfires, @overlap, @jitter_seconds, @paused, @next_tick_utc, @version, @now, @now)
ON CONFLICT (name) DO NOTHING
RETURNING *;

-- UpdateSchedule returns no row when the schedule is not of this version any more.
-- name: UpdateSchedule :one
UPDATE schedules SET
    cron = @cron, timezone = @timezone, task = @task, misfire = @misfire, max_misfires = @max_misfires, overlap = @overlap, jitter_seconds = @jitter_seconds,
    paused = @paused, next_tick_utc = @next_tick_utc, version = version + 1, updated_at_utc = @now
WHERE name = @name AND version = @version
RETURNING *;

-- name: DeleteSchedule :execrows
DELETE FROM schedules WHERE name = @name;

-- LockSchedule returns no row when the schedule is not of this version any more; else nobody changes it before the end of the transaction.
-- name: LockSchedule :one
SELECT version FROM schedules WHERE name = @name AND version = @version;

-- AdvanceSchedule returns no row when the schedule is not of this version any more.
-- name: AdvanceSchedule :one
UPDATE schedules SET
    next_tick_utc = @next_tick_utc, last_tick_utc = @last_tick_utc, last_task_id = @last_task_id, last_skipped = @last_skipped,
    version = version + 1, updated_at_utc = @now
WHERE name = @name AND version = @version
RETURNING *;

-- GetTick returns the task that was made for a tick.
-- name: GetTick :one
SELECT task_id FROM schedule_ticks WHERE schedule = @schedule AND tick_utc = @tick_utc;

-- name: InsertTick :exec
INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) VALUES (@schedule, @tick_utc, @task_id, 1);

-- EndTicks notes which tasks of a schedule have ended.
-- name: EndTicks :exec
UPDATE schedule_ticks SET live = 0
WHERE task_id IN (SELECT s.task_id FROM schedule_ticks AS s INDEXED BY schedule_ticks_live
                  WHERE s.schedule = @schedule AND s.live = 1
                    AND NOT EXISTS (SELECT 1 FROM task_queue AS t WHERE t.id = s.task_id AND t.status IN ('queued', 'processing')));

-- ListLiveTicks returns the tasks of a schedule that have not ended.
-- name: ListLiveTicks :many
SELECT task_id FROM schedule_ticks WHERE schedule = @schedule AND live = 1 ORDER BY task_id;
