-- RaiseTaskIDs has the ids of new tasks begin above one. It is not undone with the transaction, which leaves a gap and nothing else.
-- name: RaiseTaskIDs :exec
SELECT setval(pg_get_serial_sequence('task_queue', 'id'), greatest(CAST(@last AS bigint), nextval(pg_get_serial_sequence('task_queue', 'id'))));
