-- GetKeyRate returns from when on the rate of a key gives its next task. No row: its bucket is full.
-- name: GetKeyRate :one
SELECT open_utc FROM key_rates WHERE type = @type AND concurrency_key = @concurrency_key;

-- OpenKeys lets the keys of a type have their turns again: its rules have changed.
-- name: OpenKeys :exec
UPDATE lane_keys SET shut = false, open_utc = NULL
WHERE shut = true AND lane_id IN (SELECT l.id FROM lanes AS l WHERE l.type = @type);

-- DropKeyRates fills the buckets of all keys of a type.
-- name: DropKeyRates :exec
DELETE FROM key_rates WHERE type = @type;

-- ListOpeningTypes returns the types of keys whose rate gives a task again at @now, of the first @max keys.
-- name: ListOpeningTypes :many
SELECT DISTINCT l.type
FROM (SELECT k.lane_id FROM lane_keys AS k WHERE k.open_utc IS NOT NULL AND k.open_utc <= @now ORDER BY k.open_utc LIMIT CAST(@max AS INTEGER)) AS o
JOIN lanes AS l ON l.id = o.lane_id;

-- OpenDueKeys lets these keys have their turns again, not before those that have waited.
-- name: OpenDueKeys :exec
UPDATE lane_keys SET shut = false, open_utc = NULL, turn = max(turn, coalesce(
    (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = lane_keys.lane_id AND o.shut = false ORDER BY o.turn LIMIT 1), turn))
WHERE lane_keys.open_utc IS NOT NULL AND lane_keys.open_utc <= @now;

-- name: NextKeyOpening :one
SELECT open_utc FROM lane_keys WHERE open_utc IS NOT NULL ORDER BY open_utc LIMIT 1;

-- PurgeKeyRates deletes the rows of buckets that are full at @now.
-- name: PurgeKeyRates :exec
DELETE FROM key_rates WHERE full_utc <= @now;

-- ListKeyHeld returns tasks of a key in processing, those whose leases end first.
-- name: ListKeyHeld :many
SELECT id, locked_by, lease_until_utc FROM task_queue
WHERE status = 'processing' AND concurrency_key IS NOT NULL AND type = @type AND concurrency_key = @concurrency_key
ORDER BY lease_until_utc
LIMIT CAST(@max AS INTEGER);
