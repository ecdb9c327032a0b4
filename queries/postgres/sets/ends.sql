-- EndAttempts is CompleteTask, FailTask, RetryTask and ReleaseTask for many tasks, each under its own live lease. They must be sorted by id, and
-- no id may come twice.
-- name: EndAttempts :many
UPDATE task_queue AS t SET
    updated_at_utc = e.now, status = e.status, outcome = nullif(e.outcome, ''), attempt_outcome = e.attempt_outcome,
    attempts = t.attempts - CASE WHEN e.attempt_outcome = 'released' THEN 1 ELSE 0 END,
    finished_at_utc = CASE WHEN e.status <> 'queued' THEN e.now END,
    run_after_utc = coalesce(CAST(nullif(e.run_after, '') AS timestamptz), t.run_after_utc), ready = e.ready,
    result = CASE WHEN e.status = 'completed' THEN CAST(nullif(e.result, '') AS json) ELSE t.result END,
    error_message = CASE WHEN e.attempt_outcome = 'released' THEN t.error_message WHEN e.status <> 'completed' THEN coalesce(e.error_message, '') END,
    error_fingerprint = nullif(e.error_fingerprint, ''),
    processing_started_utc = CASE WHEN e.status <> 'queued' THEN t.processing_started_utc END,
    locked_by = NULL, lease_until_utc = NULL, reserved_at_utc = NULL
FROM (SELECT unnest(CAST(@ids AS bigint[])) AS id, unnest(CAST(@fences AS bigint[])) AS fence, unnest(CAST(@secrets AS text[])) AS secret,
             unnest(CAST(@nows AS timestamptz[])) AS now, unnest(CAST(@statuses AS text[])) AS status,
             unnest(CAST(@outcomes AS text[])) AS outcome, unnest(CAST(@attempt_outcomes AS text[])) AS attempt_outcome,
             unnest(CAST(@run_afters AS text[])) AS run_after, unnest(CAST(@readies AS boolean[])) AS ready,
             unnest(CAST(@results AS text[])) AS result, unnest(CAST(@error_messages AS text[])) AS error_message, unnest(CAST(@error_fingerprints AS text[])) AS error_fingerprint) AS e
WHERE t.id = ANY (ARRAY[e.id]) AND (t.status = 'processing' AND t.fence = e.fence AND t.lease_secret = e.secret) IS TRUE
RETURNING t.*;
