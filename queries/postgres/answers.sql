-- ReserveAnswer takes a key that is free: unknown, past its lifetime, or held by a request that has not answered in its time and was the same. The
-- owner may ask twice. No row: somebody else has it.
-- name: ReserveAnswer :one
INSERT INTO http_answers (request_key, fingerprint, owner, created_at_utc, held_until_utc, expires_at_utc)
VALUES (@request_key, @fingerprint, @owner, @now, @held_until, @expires_at)
ON CONFLICT (request_key) DO UPDATE SET
    fingerprint = excluded.fingerprint, owner = excluded.owner, status_code = NULL, media_type = NULL, body = NULL,
    created_at_utc = excluded.created_at_utc, held_until_utc = excluded.held_until_utc, expires_at_utc = excluded.expires_at_utc
WHERE http_answers.expires_at_utc <= excluded.created_at_utc OR (http_answers.status_code IS NULL AND http_answers.fingerprint = excluded.fingerprint
    AND (http_answers.held_until_utc <= excluded.created_at_utc OR http_answers.owner = excluded.owner))
RETURNING *;

-- name: GetAnswer :one
SELECT * FROM http_answers WHERE request_key = @request_key;

-- name: KeepAnswer :execrows
UPDATE http_answers SET status_code = @status_code, media_type = @media_type, body = @body
WHERE request_key = @request_key AND owner = @owner;

-- name: ForgetAnswer :execrows
DELETE FROM http_answers WHERE request_key = @request_key AND owner = @owner AND status_code IS NULL;

-- name: PurgeAnswers :execrows
DELETE FROM http_answers WHERE request_key = ANY (ARRAY(
    SELECT a.request_key FROM http_answers AS a WHERE a.expires_at_utc <= @now ORDER BY a.expires_at_utc LIMIT CAST(@max AS bigint) FOR UPDATE SKIP LOCKED));
