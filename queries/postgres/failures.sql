-- AddFailureGroup adds what was counted to the group of a reason and type. The sample is the newest.
-- name: AddFailureGroup :exec
INSERT INTO failure_groups (fingerprint, type, pattern, sample_message, sample_task_id, first_seen_utc, last_seen_utc, count)
VALUES (@fingerprint, @type, @pattern, @sample_message, @sample_task_id, @first_seen_utc, @last_seen_utc, @count)
ON CONFLICT (fingerprint, type) DO UPDATE SET
    sample_message = CASE WHEN excluded.last_seen_utc >= failure_groups.last_seen_utc THEN excluded.sample_message ELSE failure_groups.sample_message END,
    sample_task_id = CASE WHEN excluded.last_seen_utc >= failure_groups.last_seen_utc THEN excluded.sample_task_id ELSE failure_groups.sample_task_id END,
    first_seen_utc = least(failure_groups.first_seen_utc, excluded.first_seen_utc),
    last_seen_utc = greatest(failure_groups.last_seen_utc, excluded.last_seen_utc),
    count = failure_groups.count + excluded.count;

-- ListFailureGroups returns the groups of those reasons that were seen last, of all types; a type chooses the reasons that it has had, '' all.
-- name: ListFailureGroups :many
SELECT * FROM failure_groups AS g
WHERE g.fingerprint IN (SELECT s.fingerprint FROM failure_groups AS s
                        WHERE CAST(@type AS text) = '' OR s.type = CAST(@type AS text)
                        GROUP BY s.fingerprint ORDER BY max(s.last_seen_utc) DESC, s.fingerprint LIMIT CAST(@max AS bigint))
ORDER BY g.fingerprint, g.type;

-- name: GetFailureGroup :many
SELECT * FROM failure_groups AS g WHERE g.fingerprint = @fingerprint ORDER BY g.type;

-- name: DeleteFailureGroup :execrows
DELETE FROM failure_groups WHERE fingerprint = @fingerprint;

-- PurgeFailureGroups deletes what was seen last not later than @before, and what is older than the newest ones that are to be kept.
-- name: PurgeFailureGroups :execrows
DELETE FROM failure_groups
WHERE last_seen_utc <= greatest(CAST(@before AS timestamptz), coalesce(
    (SELECT o.last_seen_utc FROM failure_groups AS o ORDER BY o.last_seen_utc DESC LIMIT 1 OFFSET CAST(@keep AS bigint)), CAST(@before AS timestamptz)));

-- CountFailed counts the failed tasks of each of these fingerprints, up to @most.
-- name: CountFailed :many
SELECT CAST(f.value AS text) AS fingerprint, CAST((
    SELECT count(*) FROM (SELECT t.id FROM task_queue AS t
                          WHERE t.status = 'failed' AND t.error_fingerprint IS NOT NULL AND t.error_fingerprint >= f.value AND t.error_fingerprint <= f.value
                          ORDER BY t.error_fingerprint, t.id LIMIT CAST(@most AS bigint)) AS c) AS bigint) AS tasks
FROM (SELECT jsonb_array_elements_text(CAST(CAST(@fingerprints AS text) AS jsonb)) AS value) AS f;

-- FindFailed returns the failed tasks of a fingerprint, in the order of ids, with what a filter may ask about.
-- name: FindFailed :many
SELECT t.id, t.type, t.priority, t.outcome, t.attempts, t.run_after_utc, t.last_worker_id, t.finished_at_utc, t.error_message, t.idempotency_key, t.concurrency_key, t.created_at_utc
FROM task_queue AS t
WHERE t.status = 'failed' AND t.error_fingerprint IS NOT NULL AND t.error_fingerprint >= CAST(@fingerprint AS text) AND t.error_fingerprint <= CAST(@fingerprint AS text) AND t.id > @after AND t.id <= @upto
ORDER BY t.error_fingerprint, t.id
LIMIT CAST(@max AS bigint);

-- FindFailedDown is FindFailed in the opposite order.
-- name: FindFailedDown :many
SELECT t.id, t.type, t.priority, t.outcome, t.attempts, t.run_after_utc, t.last_worker_id, t.finished_at_utc, t.error_message, t.idempotency_key, t.concurrency_key, t.created_at_utc
FROM task_queue AS t
WHERE t.status = 'failed' AND t.error_fingerprint IS NOT NULL AND t.error_fingerprint >= CAST(@fingerprint AS text) AND t.error_fingerprint <= CAST(@fingerprint AS text) AND t.id > @after AND t.id <= @upto
ORDER BY t.error_fingerprint DESC, t.id DESC
LIMIT CAST(@max AS bigint);
