-- name: ProposeOperation :exec
INSERT INTO operations (action, filter, priority, status, confirm_hash, expires_at_utc, created_at_utc, updated_at_utc)
VALUES (@action, @filter, @priority, 'proposed', @confirm_hash, @expires_at_utc, @now, @now);

-- DropProposals removes dry runs that nobody can confirm any more.
-- name: DropProposals :exec
DELETE FROM operations WHERE status = 'proposed' AND expires_at_utc <= @now;

-- StartOperation begins what the token was given for, up to the last task there is.
-- name: StartOperation :one
UPDATE operations SET
    status = 'running', upper_id = (SELECT COALESCE(max(t.id), 0) FROM task_queue AS t), created_at_utc = @now, updated_at_utc = @now
WHERE confirm_hash = @confirm_hash AND status = 'proposed' AND expires_at_utc > @now
  AND action = @action AND filter = @filter AND COALESCE(priority, 0) = CAST(@priority AS INTEGER)
RETURNING *;

-- name: GetOperation :one
SELECT * FROM operations WHERE id = @id AND status <> 'proposed';

-- name: ListOperations :many
SELECT * FROM operations WHERE status <> 'proposed' AND id < @before ORDER BY id DESC LIMIT CAST(@max AS INTEGER);

-- name: CancelOperation :one
UPDATE operations SET status = 'cancelled', finished_at_utc = @now, updated_at_utc = @now
WHERE id = @id AND status = 'running'
RETURNING *;

-- name: ListRunningOperations :many
SELECT * FROM operations WHERE status = 'running' ORDER BY id LIMIT 100;

-- TakeOperation keeps others from working on it.
-- name: TakeOperation :one
UPDATE operations SET runner = CAST(@runner AS TEXT), runner_until_utc = CAST(@runner_until AS TIMESTAMP)
WHERE id = @id AND status = 'running' AND (runner IS NULL OR runner = CAST(@runner AS TEXT) OR runner_until_utc <= CAST(@now AS TIMESTAMP))
RETURNING *;

-- name: StepOperation :one
UPDATE operations SET
    done_id = CAST(@next AS INTEGER), matched = matched + CAST(@changed AS INTEGER) + CAST(@skipped AS INTEGER) + CAST(@failed AS INTEGER),
    changed = changed + CAST(@changed AS INTEGER), skipped = skipped + CAST(@skipped AS INTEGER), failed = failed + CAST(@failed AS INTEGER),
    error_message = CASE WHEN CAST(@error_message AS TEXT) = '' THEN error_message ELSE CAST(@error_message AS TEXT) END, updated_at_utc = @now, runner_until_utc = CAST(@runner_until AS TIMESTAMP),
    status = CASE WHEN CAST(@next AS INTEGER) >= upper_id THEN 'completed' ELSE status END,
    finished_at_utc = CASE WHEN CAST(@next AS INTEGER) >= upper_id THEN CAST(@now AS TIMESTAMP) END
WHERE id = @id AND status = 'running' AND runner = CAST(@runner AS TEXT) AND done_id = CAST(@done_id AS INTEGER)
RETURNING *;
