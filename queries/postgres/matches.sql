-- What a filter asks of a task: task.Match says the same in Go. A list is a JSON array; where an empty one stands for any value it comes as '[]'. Both look at
-- ids in a range that the caller bounds, so that they take a bounded time.

-- FindTasks returns ids, ascending.
-- name: FindTasks :many
SELECT t.id FROM task_queue AS t
WHERE t.id > CAST(@after AS bigint) AND t.id <= CAST(@upto AS bigint)
  AND (CAST(@statuses AS text) = '[]' OR t.status = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@statuses AS text) AS jsonb)))))
  AND (CAST(@types AS text) = '[]' OR t.type = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@types AS text) AS jsonb)))))
  AND t.type <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_types AS text) AS jsonb))))
  AND (CAST(@outcomes AS text) = '[]' OR t.outcome = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@outcomes AS text) AS jsonb)))))
  AND (t.outcome IS NULL OR t.outcome <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_outcomes AS text) AS jsonb)))))
  AND (CAST(@workers AS text) = '[]' OR t.last_worker_id = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@workers AS text) AS jsonb)))))
  AND (t.last_worker_id IS NULL OR t.last_worker_id <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_workers AS text) AS jsonb)))))
  AND (CAST(@keys AS text) = '[]' OR t.idempotency_key = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@keys AS text) AS jsonb)))))
  AND (CAST(@concurrency_keys AS text) = '[]' OR t.concurrency_key = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@concurrency_keys AS text) AS jsonb)))))
  AND (t.concurrency_key IS NULL OR t.concurrency_key <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_concurrency_keys AS text) AS jsonb)))))
  AND (CAST(@error AS text) = '' OR strpos(lower(t.error_message COLLATE "C"), CAST(@error AS text)) > 0)
  AND (CAST(@not_error AS text) = '' OR t.error_message IS NULL OR strpos(lower(t.error_message COLLATE "C"), CAST(@not_error AS text)) = 0)
  AND t.priority BETWEEN CAST(@priority_from AS bigint) AND CAST(@priority_to AS bigint)
  AND t.attempts BETWEEN CAST(@attempts_from AS bigint) AND CAST(@attempts_to AS bigint)
  AND t.created_at_utc >= CAST(@created_from AS timestamptz) AND t.created_at_utc < CAST(@created_to AS timestamptz)
  AND t.run_after_utc >= CAST(@run_after_from AS timestamptz) AND t.run_after_utc < CAST(@run_after_to AS timestamptz)
  AND (CAST(@finished_any AS bigint) = 1 OR t.finished_at_utc >= CAST(@finished_from AS timestamptz) AND t.finished_at_utc < CAST(@finished_to AS timestamptz))
ORDER BY t.id
LIMIT CAST(@max AS bigint);

-- ListMatching returns tasks, newest first.
-- name: ListMatching :many
SELECT * FROM task_queue AS t
WHERE t.id > CAST(@after AS bigint) AND t.id <= CAST(@upto AS bigint)
  AND (CAST(@statuses AS text) = '[]' OR t.status = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@statuses AS text) AS jsonb)))))
  AND (CAST(@types AS text) = '[]' OR t.type = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@types AS text) AS jsonb)))))
  AND t.type <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_types AS text) AS jsonb))))
  AND (CAST(@outcomes AS text) = '[]' OR t.outcome = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@outcomes AS text) AS jsonb)))))
  AND (t.outcome IS NULL OR t.outcome <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_outcomes AS text) AS jsonb)))))
  AND (CAST(@workers AS text) = '[]' OR t.last_worker_id = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@workers AS text) AS jsonb)))))
  AND (t.last_worker_id IS NULL OR t.last_worker_id <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_workers AS text) AS jsonb)))))
  AND (CAST(@keys AS text) = '[]' OR t.idempotency_key = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@keys AS text) AS jsonb)))))
  AND (CAST(@concurrency_keys AS text) = '[]' OR t.concurrency_key = ANY (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@concurrency_keys AS text) AS jsonb)))))
  AND (t.concurrency_key IS NULL OR t.concurrency_key <> ALL (ARRAY (SELECT jsonb_array_elements_text(CAST(CAST(@not_concurrency_keys AS text) AS jsonb)))))
  AND (CAST(@error AS text) = '' OR strpos(lower(t.error_message COLLATE "C"), CAST(@error AS text)) > 0)
  AND (CAST(@not_error AS text) = '' OR t.error_message IS NULL OR strpos(lower(t.error_message COLLATE "C"), CAST(@not_error AS text)) = 0)
  AND t.priority BETWEEN CAST(@priority_from AS bigint) AND CAST(@priority_to AS bigint)
  AND t.attempts BETWEEN CAST(@attempts_from AS bigint) AND CAST(@attempts_to AS bigint)
  AND t.created_at_utc >= CAST(@created_from AS timestamptz) AND t.created_at_utc < CAST(@created_to AS timestamptz)
  AND t.run_after_utc >= CAST(@run_after_from AS timestamptz) AND t.run_after_utc < CAST(@run_after_to AS timestamptz)
  AND (CAST(@finished_any AS bigint) = 1 OR t.finished_at_utc >= CAST(@finished_from AS timestamptz) AND t.finished_at_utc < CAST(@finished_to AS timestamptz))
ORDER BY t.id DESC
LIMIT CAST(@max AS bigint);

-- TaskIDAbove returns the next id there is; 0: none.
-- name: TaskIDAbove :one
SELECT CAST(COALESCE(min(t.id), 0) AS bigint) AS id FROM task_queue AS t WHERE t.id > @after;

-- TaskIDBelow returns the next id there is downwards; 0: none.
-- name: TaskIDBelow :one
SELECT CAST(COALESCE(max(t.id), 0) AS bigint) AS id FROM task_queue AS t WHERE t.id < @before;
