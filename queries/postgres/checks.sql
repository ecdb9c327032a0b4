-- What fsck looks at. Each query for damage returns up to @max things that must not be: what it is about, and what is wrong with it. They read all there
-- is, in one transaction that only reads.

-- FindOddTasks looks at what the columns of each task say together.
-- name: FindOddTasks :many
SELECT CAST('task ' || o.id AS text) AS subject, CAST(o.problem AS text) AS problem
FROM (
    SELECT t.id AS id, CASE
        WHEN t.status NOT IN ('queued', 'processing', 'completed', 'failed') THEN 'its status is none: ' || t.status
        WHEN t.max_attempts NOT BETWEEN 1 AND 100 THEN 'may have ' || t.max_attempts || ' attempts, not 1 to 100'
        WHEN t.attempts NOT BETWEEN 0 AND t.max_attempts THEN 'has had ' || t.attempts || ' attempts of ' || t.max_attempts
        WHEN t.status = 'queued' AND t.attempts >= t.max_attempts THEN 'is queued without an attempt left'
        WHEN t.status <> 'processing' AND num_nonnulls(t.locked_by, t.lease_until_utc, t.reserved_at_utc) > 0 THEN 'is ' || t.status || ', but held by a worker'
        WHEN t.status = 'processing' AND num_nulls(t.locked_by, t.lease_until_utc, t.reserved_at_utc, t.lease_secret, t.last_worker_id) > 0
            THEN 'is processing without a worker or a whole lease'
        WHEN t.status = 'processing' AND t.fence < 1 THEN 'is processing, but was never claimed'
        WHEN t.status IN ('queued', 'processing') AND (t.finished_at_utc IS NOT NULL OR t.outcome IS NOT NULL) THEN 'is ' || t.status || ', but has an end'
        WHEN t.status IN ('completed', 'failed') AND (t.finished_at_utc IS NULL OR t.outcome IS NULL) THEN 'is ' || t.status || ' without an outcome or the time of its end'
        WHEN t.status = 'completed' AND t.outcome <> 'succeeded' OR t.status = 'failed' AND t.outcome NOT IN ('cancelled', 'exhausted', 'rejected', 'expired')
            THEN 'is ' || t.status || ' with the outcome ' || t.outcome
        WHEN t.ready AND t.status <> 'queued' THEN 'is ' || t.status || ', but marked as one to claim'
        WHEN t.fence < 0 OR t.lost < 0 THEN 'has a number below zero'
        WHEN t.priority NOT BETWEEN 1 AND 1000 THEN 'has the priority ' || t.priority || ', not 1 to 1000'
        WHEN t.error_fingerprint IS NOT NULL AND t.status <> 'failed' THEN 'is ' || t.status || ', but has the reason of a failure'
        WHEN json_typeof(t.payload) <> 'object' OR json_typeof(t.compatibility) <> 'object' THEN 'its payload or compatibility is no JSON object'
        END AS problem
    FROM task_queue AS t) AS o
WHERE o.problem IS NOT NULL
LIMIT CAST(@max AS bigint);

-- FindStrayTasks looks whether each task is of its lane.
-- name: FindStrayTasks :many
SELECT CAST('task ' || t.id AS text) AS subject, CAST(CASE
    WHEN l.id IS NULL THEN 'its lane ' || t.lane_id || ' does not exist'
    WHEN l.type <> t.type OR l.priority <> t.priority THEN 'is in lane ' || t.lane_id || ', which has another type or priority'
    WHEN (t.concurrency_key IS NOT NULL) <> (right(l.compatibility, 1) = ' ') THEN 'is in lane ' || t.lane_id || ', and one of the two is for concurrency keys'
    ELSE 'is in lane ' || t.lane_id || ', which has another compatibility' END AS text) AS problem
FROM task_queue AS t LEFT JOIN lanes AS l ON l.id = t.lane_id
WHERE l.id IS NULL OR l.type <> t.type OR l.priority <> t.priority OR (t.concurrency_key IS NOT NULL) <> (right(l.compatibility, 1) = ' ')
   OR CAST(t.compatibility AS text) = '{}' AND rtrim(l.compatibility) <> '{}'
LIMIT CAST(@max AS bigint);

-- FindOddAttempts looks whether each attempt that has ended is one of its task.
-- name: FindOddAttempts :many
SELECT CAST('task ' || a.task_id || ', the attempt under fence ' || a.fence AS text) AS subject, CAST(CASE
    WHEN t.id IS NULL THEN 'there is no such task'
    WHEN a.fence > t.fence THEN 'the task was claimed ' || t.fence || ' times only'
    ELSE 'has ended, but is the one that has the task' END AS text) AS problem
FROM task_attempts AS a LEFT JOIN task_queue AS t ON t.id = a.task_id
WHERE t.id IS NULL OR a.fence > t.fence OR a.fence = t.fence AND t.status IN ('processing', 'completed')
LIMIT CAST(@max AS bigint);

-- FindOddLogs looks whether each line of a log is of a task.
-- name: FindOddLogs :many
SELECT CAST('task ' || g.task_id || ', the line ' || g.log_id || ' of its log' AS text) AS subject,
       CAST(CASE WHEN t.id IS NULL THEN 'there is no such task' ELSE 'the task was claimed ' || t.fence || ' times only, the line came after ' || g.fence END AS text) AS problem
FROM task_logs AS g LEFT JOIN task_queue AS t ON t.id = g.task_id
WHERE t.id IS NULL OR g.fence > t.fence
LIMIT CAST(@max AS bigint);

-- FindOddReferences looks whether what else belongs to tasks, or to lanes, has them.
-- name: FindOddReferences :many
SELECT CAST('the tick ' || k.tick_utc || ' of the schedule ' || k.schedule AS text) AS subject, CAST('its task ' || k.task_id || ' does not exist' AS text) AS problem
FROM schedule_ticks AS k WHERE NOT EXISTS (SELECT 1 FROM task_queue AS t WHERE t.id = k.task_id)
UNION ALL
SELECT CAST('the unique key ' || u.unique_key || ' of the type ' || u.type AS text), CAST('its task ' || u.task_id || ' does not exist, or is of another type' AS text)
FROM task_unique_keys AS u WHERE NOT EXISTS (SELECT 1 FROM task_queue AS t WHERE t.id = u.task_id AND t.type = u.type)
UNION ALL
SELECT CAST('the counters of lane ' || c.lane_id AS text), CAST('there is no such lane' AS text)
FROM lane_counts AS c WHERE NOT EXISTS (SELECT 1 FROM lanes AS l WHERE l.id = c.lane_id)
UNION ALL
SELECT CAST('the failures ' || f.fingerprint || ' of the type ' || f.type AS text), CAST('are counted ' || f.count || ' times, or seen last before they were seen first' AS text)
FROM failure_groups AS f WHERE f.count < 1 OR f.last_seen_utc < f.first_seen_utc
LIMIT CAST(@max AS bigint);

-- FindOddKeys looks whether the concurrency keys with a turn are those that have a task to claim.
-- name: FindOddKeys :many
SELECT CAST('the key ' || k.concurrency_key || ' in lane ' || k.lane_id AS text) AS subject, CAST('has a turn, but no task to claim' AS text) AS problem
FROM lane_keys AS k
WHERE NOT EXISTS (SELECT 1 FROM task_queue AS t WHERE t.ready AND t.concurrency_key IS NOT NULL AND t.lane_id = k.lane_id AND t.concurrency_key = k.concurrency_key)
UNION ALL
SELECT CAST('the key ' || r.concurrency_key || ' in lane ' || r.lane_id AS text), CAST('has tasks to claim, but no turn' AS text)
FROM (SELECT DISTINCT q.lane_id AS lane_id, q.concurrency_key AS concurrency_key FROM task_queue AS q WHERE q.ready AND q.concurrency_key IS NOT NULL) AS r
WHERE NOT EXISTS (SELECT 1 FROM lane_keys AS o WHERE o.concurrency_key = r.concurrency_key AND o.lane_id = r.lane_id)
LIMIT CAST(@max AS bigint);

-- CountLanes counts the tasks of a range of ids by their lane: a sort of all at once would take memory for each.
-- name: CountLanes :many
SELECT t.lane_id, CAST(count(*) FILTER (WHERE t.ready) AS bigint) AS ready, CAST(count(*) FILTER (WHERE t.status = 'queued' AND NOT t.ready) AS bigint) AS scheduled,
       CAST(count(*) FILTER (WHERE t.status = 'processing') AS bigint) AS processing, CAST(count(*) FILTER (WHERE t.status = 'completed') AS bigint) AS completed, CAST(count(*) FILTER (WHERE t.status = 'failed') AS bigint) AS failed
FROM task_queue AS t
WHERE t.id > CAST(@after AS bigint) AND t.id <= CAST(@upto AS bigint)
GROUP BY t.lane_id;

-- ListCounters returns the counters of each lane.
-- name: ListCounters :many
SELECT l.id, l.type, l.priority, CAST(coalesce(sum(c.ready), 0) AS bigint) AS ready, CAST(coalesce(sum(c.scheduled), 0) AS bigint) AS scheduled,
       CAST(coalesce(sum(c.processing), 0) AS bigint) AS processing, CAST(coalesce(sum(c.completed), 0) AS bigint) AS completed, CAST(coalesce(sum(c.failed), 0) AS bigint) AS failed
FROM lanes AS l LEFT JOIN lane_counts AS c ON c.lane_id = l.id
GROUP BY l.id
ORDER BY l.id;

-- SumCounts returns how many tasks the counters know, those that were deleted by themselves, and the last id that a task was given.
-- name: SumCounts :one
SELECT CAST(COALESCE(SUM(c.ready + c.scheduled + c.processing + c.completed + c.failed), 0) AS bigint) AS tasks,
       CAST(COALESCE(SUM(c.purged), 0) AS bigint) AS purged,
       CAST(greatest(pg_sequence_last_value(CAST('task_queue_id_seq' AS regclass)), (SELECT max(t.id) FROM task_queue AS t), 0) AS bigint) AS last_id
FROM lane_counts AS c;

-- LastRepair returns the row of the audit in which the last repair is noted; 0: there was none.
-- name: LastRepair :one
SELECT CAST(COALESCE(MAX(a.audit_id), 0) AS bigint) AS audit_id FROM audit_log AS a WHERE a.action = 'repair';

-- CorrectCounts adds to the counters of a lane.
-- name: CorrectCounts :exec
INSERT INTO lane_counts AS c (lane_id, slot, ready, scheduled, processing, completed, failed)
VALUES (@lane_id, 0, @ready, @scheduled, @processing, @completed, @failed)
ON CONFLICT (lane_id, slot) DO UPDATE SET
    ready = c.ready + excluded.ready, scheduled = c.scheduled + excluded.scheduled, processing = c.processing + excluded.processing,
    completed = c.completed + excluded.completed, failed = c.failed + excluded.failed;

-- DropOddKeys takes the turn from keys that have no task to claim.
-- name: DropOddKeys :execrows
DELETE FROM lane_keys
WHERE NOT EXISTS (SELECT t.id FROM task_queue AS t WHERE t.ready AND t.concurrency_key IS NOT NULL AND t.lane_id = lane_keys.lane_id AND t.concurrency_key = lane_keys.concurrency_key);

-- EnterOddKeys gives a turn to keys that have tasks to claim and none: before all others, as they have waited for longest.
-- name: EnterOddKeys :execrows
INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id)
SELECT r.lane_id, r.concurrency_key, coalesce((SELECT m.turn FROM lane_keys AS m WHERE m.lane_id = r.lane_id ORDER BY m.turn LIMIT 1), 0), r.since_id
FROM (SELECT q.lane_id AS lane_id, q.concurrency_key AS concurrency_key, min(q.id) AS since_id FROM task_queue AS q
      WHERE q.ready AND q.concurrency_key IS NOT NULL GROUP BY q.lane_id, q.concurrency_key) AS r
WHERE NOT EXISTS (SELECT 1 FROM lane_keys AS o WHERE o.concurrency_key = r.concurrency_key AND o.lane_id = r.lane_id)
ON CONFLICT (concurrency_key, lane_id) DO NOTHING;
