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
  AND action = @action AND filter = @filter AND COALESCE(priority, 0) = CAST(@priority AS bigint)
RETURNING *;

-- name: GetOperation :one
SELECT * FROM operations WHERE id = @id AND status <> 'proposed';

-- name: ListOperations :many
SELECT * FROM operations WHERE status <> 'proposed' AND id < @before ORDER BY id DESC LIMIT CAST(@max AS bigint);

-- name: CancelOperation :one
UPDATE operations SET status = 'cancelled', finished_at_utc = @now, updated_at_utc = @now
WHERE id = @id AND status = 'running'
RETURNING *;

-- name: ListRunningOperations :many
SELECT * FROM operations WHERE status = 'running' ORDER BY id LIMIT 100;

-- TakeOperation keeps others from working on it.
-- name: TakeOperation :one
UPDATE operations SET runner = CAST(@runner AS text), runner_until_utc = CAST(@runner_until AS timestamptz)
WHERE id = @id AND status = 'running' AND (runner IS NULL OR runner = CAST(@runner AS text) OR runner_until_utc <= CAST(@now AS timestamptz))
RETURNING *;

-- name: StepOperation :one
UPDATE operations SET
    done_id = CAST(@next AS bigint), matched = matched + CAST(@changed AS bigint) + CAST(@skipped AS bigint) + CAST(@failed AS bigint),
    changed = changed + CAST(@changed AS bigint), skipped = skipped + CAST(@skipped AS bigint), failed = failed + CAST(@failed AS bigint),
    error_message = CASE WHEN CAST(@error_message AS text) = '' THEN error_message ELSE CAST(@error_message AS text) END, updated_at_utc = @now, runner_until_utc = CAST(@runner_until AS timestamptz),
    status = CASE WHEN CAST(@next AS bigint) >= upper_id THEN 'completed' ELSE status END,
    finished_at_utc = CASE WHEN CAST(@next AS bigint) >= upper_id THEN CAST(@now AS timestamptz) END
WHERE id = @id AND status = 'running' AND runner = CAST(@runner AS text) AND done_id = CAST(@done_id AS bigint)
RETURNING *;
