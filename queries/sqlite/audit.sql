-- name: InsertAudit :one
INSERT INTO audit_log (at_utc, actor, action, subject, message) VALUES (@at_utc, @actor, @action, @subject, @message)
RETURNING *;

-- name: GetAudit :one
SELECT * FROM audit_log WHERE audit_id = @audit_id;

-- ListAudits returns rows with ids below one, newest first.
-- name: ListAudits :many
SELECT * FROM audit_log WHERE audit_id < @before ORDER BY audit_id DESC LIMIT CAST(@max AS INTEGER);
