-- +goose Up

-- Keys of callers, without their secrets: a hash tells whether a caller has one. Once there is a row, revoked or not, every call needs a key.
CREATE TABLE api_keys (
    key_id           text        NOT NULL PRIMARY KEY CHECK (key_id <> ''), -- the part of the key that may be shown
    name             text        NOT NULL CHECK (name <> '' AND length(name) <= 200),
    role             text        NOT NULL CHECK (role IN ('producer', 'worker', 'viewer', 'operator', 'admin')),
    types            json        CHECK (json_typeof(types) = 'array'), -- patterns of the task types that it is limited to, as an array; NULL: all
    secret_hash      text        NOT NULL CHECK (length(secret_hash) = 64), -- SHA-256 of its secret part, in hexadecimal
    created_at_utc   timestamptz NOT NULL,
    expires_at_utc   timestamptz,
    revoked_at_utc   timestamptz,
    last_used_at_utc timestamptz, -- to a minute or so
    CHECK (role <> 'admin' OR types IS NULL)
);

CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_keys FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE api_keys DISABLE TRIGGER move_refuse;

-- +goose Down
DROP TABLE api_keys;
