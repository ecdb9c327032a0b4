-- Claims of tasks with concurrency keys. They choose one task after the other, under the lock on lane_keys.

-- name: LockKeys :exec
SELECT keys_lock();

-- ListKeyRules returns what holds for each key of these types.
-- name: ListKeyRules :many
SELECT t.type, t.per_key FROM task_types AS t WHERE t.type = ANY (CAST(@types AS text[])) AND t.per_key IS NOT NULL;

-- ListKeyHeads returns the keys of a lane whose turn comes next after the one given, of those that are not shut: how many of their tasks are held, up to @most, from when on
-- their rate gives a task (the epoch: always), and the first and the last of their tasks that can be claimed now, 0 for none.
-- name: ListKeyHeads :many
SELECT k.concurrency_key, k.turn, k.since_id,
       CAST(coalesce((SELECT r.open_utc FROM key_rates AS r WHERE r.type = CAST(@type AS text) AND r.concurrency_key = k.concurrency_key), 'epoch') AS timestamptz) AS open_utc,
       CAST((SELECT count(*) FROM (SELECT 1 FROM task_queue AS h
                                   WHERE h.status = 'processing' AND h.type >= CAST(@type AS text) AND h.type <= CAST(@type AS text) AND h.concurrency_key = k.concurrency_key
                                   ORDER BY h.type, h.concurrency_key, h.lease_until_utc LIMIT CAST(@most AS bigint)) AS c) AS bigint) AS held,
       CAST(coalesce((SELECT t.id FROM task_queue AS t
                      WHERE t.ready AND t.lane_id >= CAST(@lane_id AS bigint) AND t.lane_id <= CAST(@lane_id AS bigint) AND t.concurrency_key = k.concurrency_key
                        AND t.lost < 2 AND t.run_after_utc <= CAST(@now AS timestamptz) AND (t.deadline_utc IS NULL OR t.deadline_utc > CAST(@now AS timestamptz))
                      ORDER BY t.lane_id, t.concurrency_key, t.id LIMIT 1), 0) AS bigint) AS oldest_id,
       CAST(coalesce((SELECT t.id FROM task_queue AS t
                      WHERE t.ready AND t.lane_id >= CAST(@lane_id AS bigint) AND t.lane_id <= CAST(@lane_id AS bigint) AND t.concurrency_key = k.concurrency_key
                        AND t.lost < 2 AND t.run_after_utc <= CAST(@now AS timestamptz) AND (t.deadline_utc IS NULL OR t.deadline_utc > CAST(@now AS timestamptz))
                      ORDER BY t.lane_id DESC, t.concurrency_key DESC, t.id DESC LIMIT 1), 0) AS bigint) AS newest_id
FROM (SELECT n.concurrency_key, n.turn, n.since_id FROM lane_keys AS n
      WHERE n.lane_id = CAST(@lane_id AS bigint) AND n.shut = false AND (n.turn, n.since_id) > (CAST(@turn AS bigint), CAST(@since_id AS bigint))
      ORDER BY n.turn, n.since_id LIMIT CAST(@max AS bigint)) AS k
ORDER BY k.turn, k.since_id;

-- ListOldestHeads returns the first task of each of these lanes that nobody else holds, and keeps others from it.
-- name: ListOldestHeads :many
SELECT CAST(l.id AS bigint) AS lane_id, h.id
FROM (SELECT unnest(CAST(@lanes AS bigint[])) AS id) AS l
CROSS JOIN LATERAL (SELECT r.id FROM task_queue AS r
                    WHERE r.ready AND r.lane_id >= l.id AND r.lane_id <= l.id AND r.lost < 2 AND r.run_after_utc <= CAST(@now AS timestamptz) AND (r.deadline_utc IS NULL OR r.deadline_utc > CAST(@now AS timestamptz))
                    ORDER BY r.lane_id, r.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS h;

-- name: ListNewestHeads :many
SELECT CAST(l.id AS bigint) AS lane_id, h.id
FROM (SELECT unnest(CAST(@lanes AS bigint[])) AS id) AS l
CROSS JOIN LATERAL (SELECT r.id FROM task_queue AS r
                    WHERE r.ready AND r.lane_id >= l.id AND r.lane_id <= l.id AND r.lost < 2 AND r.run_after_utc <= CAST(@now AS timestamptz) AND (r.deadline_utc IS NULL OR r.deadline_utc > CAST(@now AS timestamptz))
                    ORDER BY r.lane_id DESC, r.id DESC LIMIT 1 FOR UPDATE SKIP LOCKED) AS h;

-- ShutKey takes a key out of its turn in a lane, until a time or, for null, until a task of it ends.
-- name: ShutKey :exec
UPDATE lane_keys SET shut = true, open_utc = sqlc.narg(open_utc) WHERE concurrency_key = @concurrency_key AND lane_id = @lane_id;

-- TurnKey moves a key on that has had its turn.
-- name: TurnKey :exec
UPDATE lane_keys SET turn = turn + CAST(@step AS bigint) WHERE concurrency_key = @concurrency_key AND lane_id = @lane_id;

-- PutKeyRate notes from when on the rate of a key gives its next task, and from when on its bucket is full.
-- name: PutKeyRate :exec
INSERT INTO key_rates (type, concurrency_key, open_utc, full_utc) VALUES (@type, @concurrency_key, @open_utc, @full_utc)
ON CONFLICT (type, concurrency_key) DO UPDATE SET open_utc = excluded.open_utc, full_utc = excluded.full_utc;

-- LookAtKey returns the key of a task, how many tasks of it are held, up to @most, and from when on its rate gives a task.
-- name: LookAtKey :one
SELECT q.concurrency_key,
       CAST(coalesce((SELECT r.open_utc FROM key_rates AS r WHERE r.type = q.type AND r.concurrency_key = q.concurrency_key), 'epoch') AS timestamptz) AS open_utc,
       CAST((SELECT count(*) FROM (SELECT 1 FROM task_queue AS h
                                   WHERE h.status = 'processing' AND h.type >= q.type AND h.type <= q.type AND h.concurrency_key = q.concurrency_key
                                   ORDER BY h.type, h.concurrency_key, h.lease_until_utc LIMIT CAST(@most AS bigint)) AS c) AS bigint) AS held
FROM task_queue AS q
WHERE q.id = @id;

-- OpenDueKeys lets the keys have their turns again whose rate gives a task at @now, not before those that have waited.
-- name: OpenDueKeys :exec
UPDATE lane_keys SET shut = false, open_utc = NULL, turn = greatest(turn, coalesce(
    (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = lane_keys.lane_id AND o.shut = false ORDER BY o.turn LIMIT 1), turn))
WHERE lane_keys.open_utc IS NOT NULL AND lane_keys.open_utc <= @now;
