-- ListObjects returns the parts of the schema, by kind and name.
-- name: ListObjects :many
SELECT s.type || ' ' || s.name AS object
FROM sqlite_schema AS s
WHERE s.name NOT LIKE 'sqlite\_%' ESCAPE '\';
