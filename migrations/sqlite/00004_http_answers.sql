-- +goose Up

-- Answers to HTTP requests that carried an Idempotency-Key, so that a repeated request gets the answer of the first. A row without a status code is
-- a request that is under way. Requests without a key have none.
CREATE TABLE http_answers (
    request_key    TEXT      NOT NULL UNIQUE CHECK (request_key <> ''),
    fingerprint    TEXT      NOT NULL CHECK (fingerprint <> ''),
    owner          TEXT      NOT NULL CHECK (owner <> ''),
    status_code    INTEGER   CHECK (status_code BETWEEN 200 AND 499),
    media_type     TEXT,
    body           TEXT,
    created_at_utc TIMESTAMP NOT NULL CHECK (typeof(created_at_utc) = 'integer'),
    held_until_utc TIMESTAMP NOT NULL CHECK (typeof(held_until_utc) = 'integer'),
    expires_at_utc TIMESTAMP NOT NULL CHECK (typeof(expires_at_utc) = 'integer'),
    CHECK ((status_code IS NULL) = (media_type IS NULL)),
    CHECK ((status_code IS NULL) = (body IS NULL))
);
CREATE INDEX http_answers_expiring ON http_answers (expires_at_utc);

-- +goose Down
DROP TABLE http_answers;
