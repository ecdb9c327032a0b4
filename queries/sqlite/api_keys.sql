-- name: InsertAPIKey :exec
INSERT INTO api_keys (key_id, name, role, types, secret_hash, created_at_utc, expires_at_utc)
VALUES (@key_id, @name, @role, @types, @secret_hash, @created_at_utc, @expires_at_utc);

-- name: GetAPIKey :one
SELECT * FROM api_keys WHERE key_id = @key_id;

-- name: ListAPIKeys :many
SELECT * FROM api_keys ORDER BY key_id;

-- HasAPIKeys returns 1 when there is a row, else 0.
-- name: HasAPIKeys :one
SELECT CAST(count(*) AS INTEGER) AS has FROM (SELECT 1 FROM api_keys LIMIT 1) AS k;

-- RevokeAPIKey lets a key open nothing any more. One that is revoked stays so since when it was.
-- name: RevokeAPIKey :one
UPDATE api_keys SET revoked_at_utc = COALESCE(revoked_at_utc, @now) WHERE key_id = @key_id
RETURNING *;

-- EndAPIKey has a key that is in force expire not later than at a time.
-- name: EndAPIKey :execrows
UPDATE api_keys SET expires_at_utc = CASE WHEN expires_at_utc < @until THEN expires_at_utc ELSE @until END
WHERE key_id = @key_id AND revoked_at_utc IS NULL AND (expires_at_utc IS NULL OR expires_at_utc > @now);

-- DeleteAPIKey deletes a key that opens nothing any more.
-- name: DeleteAPIKey :execrows
DELETE FROM api_keys WHERE key_id = @key_id AND (revoked_at_utc IS NOT NULL OR expires_at_utc <= @now);

-- TouchAPIKey notes that a key was used.
-- name: TouchAPIKey :exec
UPDATE api_keys SET last_used_at_utc = @now WHERE key_id = @key_id AND (last_used_at_utc IS NULL OR last_used_at_utc < @now);
