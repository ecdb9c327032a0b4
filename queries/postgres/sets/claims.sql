-- ListLanesWithWork returns the lanes that have tasks to claim. It jumps from lane to lane through the index. Further rows have the types that are
-- closed to claims or limited, with how many tasks of each may be held, one has the version of these rules, and one with the lane -1 says that there are tasks in quarantine.
-- name: ListLanesWithWork :many
WITH RECURSIVE heads AS (
    SELECT (SELECT r.lane_id FROM task_queue AS r WHERE r.ready ORDER BY r.lane_id, r.id LIMIT 1) AS lane_id
    UNION ALL
    SELECT (SELECT r.lane_id FROM task_queue AS r WHERE r.ready AND r.lane_id > h.lane_id ORDER BY r.lane_id, r.id LIMIT 1)
    FROM heads AS h WHERE h.lane_id IS NOT NULL
)
SELECT CAST(h.lane_id AS bigint) AS lane_id, CAST('' AS text) AS type, CAST(0 AS bigint) AS most, CAST(0 AS bigint) AS version FROM heads AS h WHERE h.lane_id IS NOT NULL
UNION ALL
SELECT 0, t.type, CASE WHEN t.paused OR t.breaker_until_utc > CAST(@now AS timestamptz) OR t.rate_limit IS NOT NULL AND t.rate_open_utc > CAST(@now AS timestamptz) THEN 0 WHEN t.breaker_until_utc IS NOT NULL THEN 1 ELSE coalesce(t.max_concurrency, 2147483647) END, 0
FROM task_types AS t WHERE t.paused OR t.max_concurrency IS NOT NULL OR t.rate_limit IS NOT NULL OR t.breaker_until_utc IS NOT NULL
UNION ALL
SELECT 0, '', 0, v.version FROM type_rules AS v WHERE v.one
UNION ALL
(SELECT -1, '', 0, 0 FROM task_queue AS q WHERE q.lost >= 2 AND q.finished_at_utc IS NULL ORDER BY q.lost LIMIT 1);

-- CountReady is ListLanesWithWork with the number of tasks that each lane has to claim.
-- name: CountReady :many
SELECT c.lane_id, CAST(SUM(c.ready) AS bigint) AS ready, CAST('' AS text) AS type, CAST(0 AS bigint) AS most, CAST(0 AS bigint) AS version
FROM lane_counts AS c
GROUP BY c.lane_id
HAVING SUM(c.ready) > 0
UNION ALL
SELECT 0, 0, t.type, CASE WHEN t.paused OR t.breaker_until_utc > CAST(@now AS timestamptz) OR t.rate_limit IS NOT NULL AND t.rate_open_utc > CAST(@now AS timestamptz) THEN 0 WHEN t.breaker_until_utc IS NOT NULL THEN 1 ELSE coalesce(t.max_concurrency, 2147483647) END, 0
FROM task_types AS t WHERE t.paused OR t.max_concurrency IS NOT NULL OR t.rate_limit IS NOT NULL OR t.breaker_until_utc IS NOT NULL
UNION ALL
SELECT 0, 0, '', 0, v.version FROM type_rules AS v WHERE v.one
UNION ALL
(SELECT -1, 0, '', 0, 0 FROM task_queue AS q WHERE q.lost >= 2 AND q.finished_at_utc IS NULL ORDER BY q.lost LIMIT 1);

-- LockLimits lets no other claim take tasks of these types before this transaction has ended. They must be sorted: transactions then wait for each other
-- in one order. What is counted next, in a statement of its own, is then exact, but for leases that end meanwhile.
-- name: LockLimits :many
SELECT h.type, h.most, h.rate_limit, h.rate_open_utc
FROM (SELECT unnest(CAST(@types AS text[])) AS type) AS l
CROSS JOIN LATERAL (SELECT t.type, CAST(CASE WHEN t.paused OR t.breaker_until_utc > CAST(@now AS timestamptz) THEN 0 WHEN t.breaker_until_utc IS NOT NULL THEN 1
                                             ELSE coalesce(t.max_concurrency, 2147483647) END AS bigint) AS most, t.rate_limit, t.rate_open_utc
                    FROM task_types AS t WHERE t.type = l.type FOR NO KEY UPDATE) AS h;

-- SpendRates notes from when on the rates of these types allow the next task.
-- name: SpendRates :exec
UPDATE task_types AS t SET rate_open_utc = s.open
FROM (SELECT unnest(CAST(@types AS text[])) AS type, unnest(CAST(@opens AS timestamptz[])) AS open) AS s
WHERE t.type = s.type;

-- CountHeld returns how many tasks of these types are in processing; a type that never had any is left out.
-- name: CountHeld :many
SELECT l.type, CAST(coalesce(SUM((SELECT SUM(c.processing) FROM lane_counts AS c WHERE c.lane_id = l.id)), 0) AS bigint) AS held
FROM lanes AS l
WHERE l.type = ANY (CAST(@types AS text[]))
GROUP BY l.type;

-- name: ListLanes :many
SELECT l.id, l.type, l.compatibility, l.priority FROM lanes AS l
WHERE l.id = ANY (CAST(@ids AS bigint[]));

-- A claim is one statement for all callers that came together: slot n of @secrets, @workers and @leases belongs to the n-th task that it
-- takes. A lease of 0 seconds lasts as long as the rule of the type says, or @default_lease. Tasks are looked for by range (lane_id >= x AND lane_id <= x, ordered by lane_id and id) so that no index but
-- task_queue_ready gives the order: with lane_id = x the primary key would too, and a plan that takes it reads every finished task. Subqueries with
-- FOR UPDATE are planned by themselves and run once for each row before them, in their order, until there is enough. id = ANY (ARRAY[x]) is id = x
-- that no plan can turn round: for an empty table, looking x up for each row of the table is as cheap as looking the row up for each x.
-- Nothing is taken unless @version is that of the rules by which the lanes were chosen: what a claim sees of them and of the tasks is of one instant.

-- ClaimInOrder takes up to @max tasks that nobody else holds: the oldest of each lane, as many as @most has in its place, lane after lane in the order given. It looks at no
-- more lanes and tasks than it needs.
-- name: ClaimInOrder :many
WITH picked AS MATERIALIZED (
    SELECT h.id
    FROM (SELECT unnest(CAST(@lanes AS bigint[])) AS id, unnest(CAST(@most AS bigint[])) AS n) AS l
    CROSS JOIN LATERAL (SELECT r.id FROM task_queue AS r
                        WHERE r.ready AND r.lane_id >= l.id AND r.lane_id <= l.id AND r.lost < 2 AND r.run_after_utc <= CAST(@now AS timestamptz) AND (r.deadline_utc IS NULL OR r.deadline_utc > CAST(@now AS timestamptz))
                        ORDER BY r.lane_id, r.id LIMIT l.n FOR UPDATE SKIP LOCKED) AS h
    WHERE (SELECT v.version FROM type_rules AS v WHERE v.one) = CAST(@version AS bigint)
    LIMIT CAST(@max AS bigint)
), numbered AS MATERIALIZED (
    SELECT p.id, row_number() OVER () AS n FROM picked AS p
), slots AS MATERIALIZED (
    SELECT CAST(@secrets AS text[]) AS secrets, CAST(@workers AS text[]) AS workers, CAST(@leases AS double precision[]) AS leases
)
UPDATE task_queue AS t SET
    updated_at_utc = CAST(@now AS timestamptz), status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = s.secrets[p.n],
    locked_by = s.workers[p.n], last_worker_id = s.workers[p.n],
    lease_until_utc = CAST(@now AS timestamptz) + make_interval(secs => CASE WHEN s.leases[p.n] > 0 THEN s.leases[p.n] ELSE
        coalesce((SELECT y.lease_seconds FROM task_types AS y WHERE y.type = t.type), CAST(@default_lease AS double precision)) END),
    reserved_at_utc = CAST(@now AS timestamptz), processing_started_utc = CAST(@now AS timestamptz),
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM numbered AS p CROSS JOIN slots AS s
WHERE t.id = ANY (ARRAY[p.id])
RETURNING t.*;

-- The next two differ in their order alone. They look at the first @width tasks of each lane given and take the first @max of these that nobody else
-- holds. With fewer than @max returned, a wider look may find more.

-- name: ClaimOldest :many
WITH heads AS MATERIALIZED (
    SELECT h.id
    FROM (SELECT unnest(CAST(@lanes AS bigint[])) AS id) AS l
    CROSS JOIN LATERAL (SELECT r.id FROM task_queue AS r
                        WHERE r.ready AND r.lane_id >= l.id AND r.lane_id <= l.id AND r.lost < 2 AND r.run_after_utc <= CAST(@now AS timestamptz) AND (r.deadline_utc IS NULL OR r.deadline_utc > CAST(@now AS timestamptz))
                        ORDER BY r.lane_id, r.id LIMIT CAST(@width AS bigint)) AS h
    WHERE (SELECT v.version FROM type_rules AS v WHERE v.one) = CAST(@version AS bigint)
    ORDER BY h.id
    LIMIT CAST(@width AS bigint)
), picked AS MATERIALIZED (
    SELECT f.id
    FROM heads AS h CROSS JOIN LATERAL (SELECT c.id FROM task_queue AS c WHERE c.id = ANY (ARRAY[h.id]) AND c.ready IS TRUE FOR UPDATE SKIP LOCKED) AS f
    LIMIT CAST(@max AS bigint)
), numbered AS MATERIALIZED (
    SELECT p.id, row_number() OVER () AS n FROM picked AS p
), slots AS MATERIALIZED (
    SELECT CAST(@secrets AS text[]) AS secrets, CAST(@workers AS text[]) AS workers, CAST(@leases AS double precision[]) AS leases
)
UPDATE task_queue AS t SET
    updated_at_utc = CAST(@now AS timestamptz), status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = s.secrets[p.n],
    locked_by = s.workers[p.n], last_worker_id = s.workers[p.n],
    lease_until_utc = CAST(@now AS timestamptz) + make_interval(secs => CASE WHEN s.leases[p.n] > 0 THEN s.leases[p.n] ELSE
        coalesce((SELECT y.lease_seconds FROM task_types AS y WHERE y.type = t.type), CAST(@default_lease AS double precision)) END),
    reserved_at_utc = CAST(@now AS timestamptz), processing_started_utc = CAST(@now AS timestamptz),
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM numbered AS p CROSS JOIN slots AS s
WHERE t.id = ANY (ARRAY[p.id])
RETURNING t.*;

-- name: ClaimNewest :many
WITH heads AS MATERIALIZED (
    SELECT h.id
    FROM (SELECT unnest(CAST(@lanes AS bigint[])) AS id) AS l
    CROSS JOIN LATERAL (SELECT r.id FROM task_queue AS r
                        WHERE r.ready AND r.lane_id >= l.id AND r.lane_id <= l.id AND r.lost < 2 AND r.run_after_utc <= CAST(@now AS timestamptz) AND (r.deadline_utc IS NULL OR r.deadline_utc > CAST(@now AS timestamptz))
                        ORDER BY r.lane_id DESC, r.id DESC LIMIT CAST(@width AS bigint)) AS h
    WHERE (SELECT v.version FROM type_rules AS v WHERE v.one) = CAST(@version AS bigint)
    ORDER BY h.id DESC
    LIMIT CAST(@width AS bigint)
), picked AS MATERIALIZED (
    SELECT f.id
    FROM heads AS h CROSS JOIN LATERAL (SELECT c.id FROM task_queue AS c WHERE c.id = ANY (ARRAY[h.id]) AND c.ready IS TRUE FOR UPDATE SKIP LOCKED) AS f
    LIMIT CAST(@max AS bigint)
), numbered AS MATERIALIZED (
    SELECT p.id, row_number() OVER () AS n FROM picked AS p
), slots AS MATERIALIZED (
    SELECT CAST(@secrets AS text[]) AS secrets, CAST(@workers AS text[]) AS workers, CAST(@leases AS double precision[]) AS leases
)
UPDATE task_queue AS t SET
    updated_at_utc = CAST(@now AS timestamptz), status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = s.secrets[p.n],
    locked_by = s.workers[p.n], last_worker_id = s.workers[p.n],
    lease_until_utc = CAST(@now AS timestamptz) + make_interval(secs => CASE WHEN s.leases[p.n] > 0 THEN s.leases[p.n] ELSE
        coalesce((SELECT y.lease_seconds FROM task_types AS y WHERE y.type = t.type), CAST(@default_lease AS double precision)) END),
    reserved_at_utc = CAST(@now AS timestamptz), processing_started_utc = CAST(@now AS timestamptz),
    attempt_outcome = NULL, progress = NULL, progress_message = NULL
FROM numbered AS p CROSS JOIN slots AS s
WHERE t.id = ANY (ARRAY[p.id])
RETURNING t.*;

-- The next five are for tasks in quarantine, which the claims above leave alone. They run in one transaction, which keeps other claims of the worker that
-- do the same waiting: so what a worker is seen to hold does not grow meanwhile.

-- name: LockWorker :exec
SELECT pg_advisory_xact_lock(hashtextextended('quarantine', 0) # hashtextextended(CAST(@worker_id AS text), 0));

-- ListQuarantined returns the live tasks that have lost two workers or more, the first ones.
-- name: ListQuarantined :many
SELECT q.id, q.lane_id, CAST(q.ready AND q.run_after_utc <= CAST(@now AS timestamptz) AND (q.deadline_utc IS NULL OR q.deadline_utc > CAST(@now AS timestamptz)) AS boolean) AS due,
       CAST(coalesce(q.locked_by, '') AS text) AS worker_id
FROM task_queue AS q
WHERE q.lost >= 2 AND q.finished_at_utc IS NULL
ORDER BY q.lost, q.id;

-- Drains reports whether a worker is to take nothing new.
-- name: Drains :one
SELECT EXISTS (SELECT 1 FROM workers WHERE worker_id = @worker_id AND drain);

-- HoldsTask reports whether the worker holds any task. It looks at all tasks in processing.
-- name: HoldsTask :one
SELECT EXISTS (SELECT 1 FROM task_queue AS p WHERE p.status = 'processing' AND p.locked_by = CAST(@worker_id AS text));

-- ClaimTask takes one task, unless somebody else holds it.
-- name: ClaimTask :many
UPDATE task_queue AS t SET
    updated_at_utc = CAST(@now AS timestamptz), status = 'processing', ready = false, attempts = t.attempts + 1, fence = t.fence + 1, lease_secret = CAST(@secret AS text),
    locked_by = CAST(@worker_id AS text), last_worker_id = CAST(@worker_id AS text),
    lease_until_utc = CAST(@now AS timestamptz) + make_interval(secs => CASE WHEN CAST(@lease AS double precision) > 0 THEN CAST(@lease AS double precision) ELSE
        coalesce((SELECT y.lease_seconds FROM task_types AS y WHERE y.type = t.type), CAST(@default_lease AS double precision)) END),
    reserved_at_utc = CAST(@now AS timestamptz), processing_started_utc = CAST(@now AS timestamptz), attempt_outcome = NULL, progress = NULL, progress_message = NULL
WHERE t.id = (SELECT q.id FROM task_queue AS q WHERE q.id = CAST(@id AS bigint) AND q.ready IS TRUE FOR UPDATE SKIP LOCKED)
  AND (SELECT v.version FROM type_rules AS v WHERE v.one) = CAST(@version AS bigint)
RETURNING t.*;
