-- CountListeners returns how many sessions of other processes wait for announcements in this database.
-- name: CountListeners :one
SELECT count(*) FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name LIKE 'thequeue listens %' AND a.application_name <> CAST(@own AS text);

-- Announce tells the sessions that listen. A lost announcement does no harm, so the commit need not wait for the disk.
-- name: Announce :exec
SELECT pg_notify('thequeue_ready', CAST(@payload AS text));

-- name: Listen :exec
LISTEN thequeue_ready;
