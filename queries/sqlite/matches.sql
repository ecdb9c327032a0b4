-- What a filter asks of a task: task.Match says the same in Go. A list is a JSON array; where an empty one stands for any value it comes as '[]'. Both look at
-- ids in a range that the caller bounds, so that they take a bounded time.

-- FindTasks returns ids, ascending.
-- name: FindTasks :many
SELECT t.id FROM task_queue AS t
WHERE t.id > CAST(@after AS INTEGER) AND t.id <= CAST(@upto AS INTEGER)
  AND (CAST(@statuses AS TEXT) = '[]' OR t.status IN (SELECT v.value FROM json_each(CAST(@statuses AS TEXT)) AS v))
  AND (CAST(@types AS TEXT) = '[]' OR t.type IN (SELECT v.value FROM json_each(CAST(@types AS TEXT)) AS v))
  AND t.type NOT IN (SELECT v.value FROM json_each(CAST(@not_types AS TEXT)) AS v)
  AND (CAST(@outcomes AS TEXT) = '[]' OR t.outcome IN (SELECT v.value FROM json_each(CAST(@outcomes AS TEXT)) AS v))
  AND (t.outcome IS NULL OR t.outcome NOT IN (SELECT v.value FROM json_each(CAST(@not_outcomes AS TEXT)) AS v))
  AND (CAST(@workers AS TEXT) = '[]' OR t.last_worker_id IN (SELECT v.value FROM json_each(CAST(@workers AS TEXT)) AS v))
  AND (t.last_worker_id IS NULL OR t.last_worker_id NOT IN (SELECT v.value FROM json_each(CAST(@not_workers AS TEXT)) AS v))
  AND (CAST(@keys AS TEXT) = '[]' OR t.idempotency_key IN (SELECT v.value FROM json_each(CAST(@keys AS TEXT)) AS v))
  AND (CAST(@concurrency_keys AS TEXT) = '[]' OR t.concurrency_key IN (SELECT v.value FROM json_each(CAST(@concurrency_keys AS TEXT)) AS v))
  AND (t.concurrency_key IS NULL OR t.concurrency_key NOT IN (SELECT v.value FROM json_each(CAST(@not_concurrency_keys AS TEXT)) AS v))
  AND (CAST(@error AS TEXT) = '' OR instr(lower(t.error_message), CAST(@error AS TEXT)) > 0)
  AND (CAST(@not_error AS TEXT) = '' OR t.error_message IS NULL OR instr(lower(t.error_message), CAST(@not_error AS TEXT)) = 0)
  AND t.priority BETWEEN CAST(@priority_from AS INTEGER) AND CAST(@priority_to AS INTEGER)
  AND t.attempts BETWEEN CAST(@attempts_from AS INTEGER) AND CAST(@attempts_to AS INTEGER)
  AND t.created_at_utc >= CAST(@created_from AS TIMESTAMP) AND t.created_at_utc < CAST(@created_to AS TIMESTAMP)
  AND t.run_after_utc >= CAST(@run_after_from AS TIMESTAMP) AND t.run_after_utc < CAST(@run_after_to AS TIMESTAMP)
  AND (CAST(@finished_any AS INTEGER) = 1 OR t.finished_at_utc >= CAST(@finished_from AS TIMESTAMP) AND t.finished_at_utc < CAST(@finished_to AS TIMESTAMP))
ORDER BY t.id
LIMIT CAST(@max AS INTEGER);

-- ListMatching returns tasks, newest first.
-- name: ListMatching :many
SELECT * FROM task_queue AS t
WHERE t.id > CAST(@after AS INTEGER) AND t.id <= CAST(@upto AS INTEGER)
  AND (CAST(@statuses AS TEXT) = '[]' OR t.status IN (SELECT v.value FROM json_each(CAST(@statuses AS TEXT)) AS v))
  AND (CAST(@types AS TEXT) = '[]' OR t.type IN (SELECT v.value FROM json_each(CAST(@types AS TEXT)) AS v))
  AND t.type NOT IN (SELECT v.value FROM json_each(CAST(@not_types AS TEXT)) AS v)
  AND (CAST(@outcomes AS TEXT) = '[]' OR t.outcome IN (SELECT v.value FROM json_each(CAST(@outcomes AS TEXT)) AS v))
  AND (t.outcome IS NULL OR t.outcome NOT IN (SELECT v.value FROM json_each(CAST(@not_outcomes AS TEXT)) AS v))
  AND (CAST(@workers AS TEXT) = '[]' OR t.last_worker_id IN (SELECT v.value FROM json_each(CAST(@workers AS TEXT)) AS v))
  AND (t.last_worker_id IS NULL OR t.last_worker_id NOT IN (SELECT v.value FROM json_each(CAST(@not_workers AS TEXT)) AS v))
  AND (CAST(@keys AS TEXT) = '[]' OR t.idempotency_key IN (SELECT v.value FROM json_each(CAST(@keys AS TEXT)) AS v))
  AND (CAST(@concurrency_keys AS TEXT) = '[]' OR t.concurrency_key IN (SELECT v.value FROM json_each(CAST(@concurrency_keys AS TEXT)) AS v))
  AND (t.concurrency_key IS NULL OR t.concurrency_key NOT IN (SELECT v.value FROM json_each(CAST(@not_concurrency_keys AS TEXT)) AS v))
  AND (CAST(@error AS TEXT) = '' OR instr(lower(t.error_message), CAST(@error AS TEXT)) > 0)
  AND (CAST(@not_error AS TEXT) = '' OR t.error_message IS NULL OR instr(lower(t.error_message), CAST(@not_error AS TEXT)) = 0)
  AND t.priority BETWEEN CAST(@priority_from AS INTEGER) AND CAST(@priority_to AS INTEGER)
  AND t.attempts BETWEEN CAST(@attempts_from AS INTEGER) AND CAST(@attempts_to AS INTEGER)
  AND t.created_at_utc >= CAST(@created_from AS TIMESTAMP) AND t.created_at_utc < CAST(@created_to AS TIMESTAMP)
  AND t.run_after_utc >= CAST(@run_after_from AS TIMESTAMP) AND t.run_after_utc < CAST(@run_after_to AS TIMESTAMP)
  AND (CAST(@finished_any AS INTEGER) = 1 OR t.finished_at_utc >= CAST(@finished_from AS TIMESTAMP) AND t.finished_at_utc < CAST(@finished_to AS TIMESTAMP))
ORDER BY t.id DESC
LIMIT CAST(@max AS INTEGER);

-- TaskIDAbove returns the next id there is; 0: none.
-- name: TaskIDAbove :one
SELECT CAST(COALESCE(min(t.id), 0) AS INTEGER) AS id FROM task_queue AS t WHERE t.id > @after;

-- TaskIDBelow returns the next id there is downwards; 0: none.
-- name: TaskIDBelow :one
SELECT CAST(COALESCE(max(t.id), 0) AS INTEGER) AS id FROM task_queue AS t WHERE t.id < @before;
