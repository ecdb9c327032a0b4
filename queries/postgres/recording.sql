-- SetMoveTriggers has changes of tasks and answers noted in move_changes, or not, and all changes refused, or not.
-- name: SetMoveTriggers :exec
SELECT move_triggers(CAST(@recording AS boolean), CAST(@refusing AS boolean));

-- SilenceTriggers switches the triggers of all tables off, for whoever writes rows as they are; RestoreTriggers puts them back.
-- name: SilenceTriggers :exec
SELECT move_silence(true);

-- name: RestoreTriggers :exec
SELECT move_silence(false);

-- TryInUse takes the lock that whoever uses the tables holds shared, if nobody does.
-- name: TryInUse :one
SELECT CAST(pg_try_advisory_lock(CAST(@key AS bigint)) AS boolean) AS free;

-- BeginMoveStep has the statements of this transaction give up on a lock after some seconds, more than the one after which autovacuum gives way, and its commit, with
-- all that came before, wait for the disk.
-- name: BeginMoveStep :exec
SELECT set_config('lock_timeout', '3s', true), set_config('synchronous_commit', 'on', true);

-- name: AnalyzeTables :exec
SELECT move_analyze();

-- name: PutMove :exec
INSERT INTO store_move (move_id, state, peer, since_utc) VALUES (@move_id, @state, @peer, @since_utc)
ON CONFLICT (one) DO UPDATE SET move_id = excluded.move_id, state = excluded.state, peer = excluded.peer, copied = excluded.copied, since_utc = excluded.since_utc;

-- name: DropMove :exec
DELETE FROM store_move;

-- name: ClearMoveChanges :exec
DELETE FROM move_changes;

-- ForgetMoveChanges takes changes away that have been followed.
-- name: ForgetMoveChanges :exec
DELETE FROM move_changes WHERE seq IN (SELECT CAST(e.value AS bigint) FROM jsonb_array_elements_text(CAST(CAST(@seqs AS text) AS jsonb)) AS e(value));
