-- +goose Up

-- Keys of callers, without their secrets: a hash tells whether a caller has one. Once there is a row, revoked or not, every call needs a key.
CREATE TABLE api_keys (
    key_id           TEXT      NOT NULL PRIMARY KEY CHECK (key_id <> ''), -- the part of the key that may be shown
    name             TEXT      NOT NULL CHECK (name <> '' AND length(name) <= 200),
    role             TEXT      NOT NULL CHECK (role IN ('producer', 'worker', 'viewer', 'operator', 'admin')),
    types            TEXT      CHECK (json_type(types) = 'array'), -- patterns of the task types that it is limited to, as an array; NULL: all
    secret_hash      TEXT      NOT NULL CHECK (length(secret_hash) = 64), -- SHA-256 of its secret part, in hexadecimal
    created_at_utc   TIMESTAMP NOT NULL CHECK (typeof(created_at_utc) = 'integer'),
    expires_at_utc   TIMESTAMP CHECK (typeof(expires_at_utc) IN ('integer', 'null')),
    revoked_at_utc   TIMESTAMP CHECK (typeof(revoked_at_utc) IN ('integer', 'null')),
    last_used_at_utc TIMESTAMP CHECK (typeof(last_used_at_utc) IN ('integer', 'null')), -- to a minute or so
    CHECK (role <> 'admin' OR types IS NULL)
) WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER move_refuse_api_keys_insert BEFORE INSERT ON api_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_api_keys_update BEFORE UPDATE ON api_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_api_keys_delete BEFORE DELETE ON api_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE api_keys;
