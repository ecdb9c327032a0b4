-- ListRecorders returns the statements that put the triggers which note changes, while the store is being copied, on a connection of their own: those of the
-- schema are switched off on that of the writer.
-- name: ListRecorders :many
SELECT replace(replace(s.sql, 'CREATE TRIGGER', 'CREATE TEMP TRIGGER IF NOT EXISTS'), ' ON ' || s.tbl_name, ' ON main.' || s.tbl_name) AS text
FROM sqlite_schema AS s
WHERE s.type = 'trigger' AND s.name LIKE 'move_record_%';
