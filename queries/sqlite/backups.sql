-- ListSchema returns every object of the schema, each as an array of JSON: its kind, its name, and the statement that made it, which is empty where SQLite did
-- so itself.
-- name: ListSchema :many
SELECT json_array(s.type, s.name, COALESCE(s.sql, '')) AS object
FROM sqlite_schema AS s;
