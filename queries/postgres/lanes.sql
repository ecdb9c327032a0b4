-- name: GetLane :one
SELECT id FROM lanes WHERE type = @type AND lane_hash(compatibility) = lane_hash(CAST(@compatibility AS text)) AND compatibility = CAST(@compatibility AS text) AND priority = @priority;

-- name: InsertLane :exec
INSERT INTO lanes (type, compatibility, priority) VALUES (@type, @compatibility, @priority)
ON CONFLICT (type, lane_hash(compatibility), priority) DO NOTHING;

-- name: CountTasks :one
SELECT CAST(COALESCE(SUM(c.ready), 0) AS bigint) AS ready, CAST(COALESCE(SUM(c.scheduled), 0) AS bigint) AS scheduled,
       CAST(COALESCE(SUM(c.processing), 0) AS bigint) AS processing, CAST(COALESCE(SUM(c.completed), 0) AS bigint) AS completed,
       CAST(COALESCE(SUM(c.failed), 0) AS bigint) AS failed, CAST(COALESCE(SUM(c.purged), 0) AS bigint) AS purged
FROM lane_counts AS c;
