-- PutRollup stores what a node has counted so far in a time.
-- name: PutRollup :exec
INSERT INTO task_rollups (seconds, type, at_utc, node, counts) VALUES (@seconds, @type, @at_utc, @node, @counts)
ON CONFLICT (seconds, type, at_utc, node) DO UPDATE SET counts = excluded.counts;

-- ListRollups returns the rollups of one type, or of all under the type '', in their order.
-- name: ListRollups :many
SELECT * FROM task_rollups AS r
WHERE r.seconds = @seconds AND r.type = @type AND r.at_utc >= @since AND r.at_utc < @before
ORDER BY r.at_utc, r.node;

-- ListRollupsOfTypes returns the rollups of every type but not those of all, in their order.
-- name: ListRollupsOfTypes :many
SELECT * FROM task_rollups AS r
WHERE r.seconds = @seconds AND r.at_utc >= @since AND r.at_utc < @before AND r.type <> ''
ORDER BY r.at_utc, r.type, r.node;

-- OldestRollup returns when the oldest rollup of that length began.
-- name: OldestRollup :one
SELECT r.at_utc FROM task_rollups AS r WHERE r.seconds = @seconds ORDER BY r.at_utc LIMIT 1;

-- TakeRollups deletes the rollups of a time and returns them: whoever gets them stores them as one.
-- name: TakeRollups :many
DELETE FROM task_rollups WHERE seconds = @seconds AND at_utc >= @since AND at_utc < @before RETURNING *;

-- PurgeRollups deletes the hours that began before a time.
-- name: PurgeRollups :execrows
DELETE FROM task_rollups WHERE seconds = 3600 AND at_utc < @before;
