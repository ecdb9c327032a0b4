-- name: GetLane :one
SELECT id FROM lanes WHERE type = @type AND compatibility = @compatibility AND priority = @priority;

-- name: InsertLane :exec
INSERT INTO lanes (type, compatibility, priority) VALUES (@type, @compatibility, @priority)
ON CONFLICT (type, compatibility, priority) DO NOTHING;

-- name: CountTasks :one
SELECT CAST(COALESCE(SUM(c.ready), 0) AS INTEGER) AS ready, CAST(COALESCE(SUM(c.scheduled), 0) AS INTEGER) AS scheduled,
       CAST(COALESCE(SUM(c.processing), 0) AS INTEGER) AS processing, CAST(COALESCE(SUM(c.completed), 0) AS INTEGER) AS completed,
       CAST(COALESCE(SUM(c.failed), 0) AS INTEGER) AS failed, CAST(COALESCE(SUM(c.purged), 0) AS INTEGER) AS purged
FROM lane_counts AS c;
