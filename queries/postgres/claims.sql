-- name: ListLanes :many
SELECT l.id, l.type, l.compatibility, l.priority FROM lanes AS l
WHERE l.id = ANY (CAST(CAST(@ids AS text) AS bigint[]));
