-- ListBacklog returns the lanes with queued tasks.
-- name: ListBacklog :many
SELECT l.id, l.type, l.compatibility, l.priority, CAST(SUM(c.ready) AS bigint) AS ready, CAST(SUM(c.scheduled) AS bigint) AS scheduled
FROM lane_counts AS c JOIN lanes AS l ON l.id = c.lane_id
GROUP BY l.id
HAVING SUM(c.ready) > 0 OR SUM(c.scheduled) > 0;

-- ListHeld returns tasks of a type in processing, those whose leases end first.
-- name: ListHeld :many
SELECT id, locked_by, lease_until_utc FROM task_queue
WHERE status = 'processing' AND type = @type
ORDER BY lease_until_utc
LIMIT CAST(@max AS bigint);

-- CountAhead counts the ready tasks of a lane that are older than a task, up to a number.
-- name: CountAhead :one
SELECT count(*) FROM (
    SELECT 1 FROM task_queue AS t
    WHERE t.ready AND t.lane_id = @lane_id AND t.id < @id
    LIMIT CAST(@max AS bigint)
) AS ahead;

-- ListFinishes returns when the newest completed tasks of a type have ended. The order leaves no other way than the index of completed tasks by type.
-- name: ListFinishes :many
SELECT finished_at_utc FROM task_queue
WHERE status = 'completed' AND type >= @type AND type <= @type
ORDER BY type DESC, id DESC
LIMIT CAST(@max AS bigint);

-- CountKeyAhead counts the ready tasks of a key in a lane that are older than a task, up to a number.
-- name: CountKeyAhead :one
SELECT count(*) FROM (
    SELECT 1 FROM task_queue AS t
    WHERE t.ready AND t.concurrency_key IS NOT NULL AND t.lane_id = @lane_id AND t.concurrency_key = @concurrency_key AND t.id < @id
    LIMIT CAST(@max AS bigint)
) AS ahead;

-- ListPoisoned returns live tasks that have lost two workers or more, those that have lost the most first.
-- name: ListPoisoned :many
SELECT t.id, t.type, t.lost FROM task_queue AS t
WHERE t.lost >= 2 AND t.finished_at_utc IS NULL
ORDER BY t.lost DESC
LIMIT CAST(@max AS bigint);
