-- +goose Up

-- Answers to HTTP requests that carried an Idempotency-Key, so that a repeated request gets the answer of the first. A row without a status code is
-- a request that is under way. Requests without a key have none.
CREATE TABLE http_answers (
    request_key    text        NOT NULL UNIQUE CHECK (request_key <> ''),
    fingerprint    text        NOT NULL CHECK (fingerprint <> ''),
    owner          text        NOT NULL CHECK (owner <> ''),
    status_code    integer     CHECK (status_code BETWEEN 200 AND 499),
    media_type     text,
    body           text,
    created_at_utc timestamptz NOT NULL,
    held_until_utc timestamptz NOT NULL,
    expires_at_utc timestamptz NOT NULL,
    CHECK ((status_code IS NULL) = (media_type IS NULL)),
    CHECK ((status_code IS NULL) = (body IS NULL))
);
CREATE INDEX http_answers_expiring ON http_answers (expires_at_utc);

-- +goose Down
DROP TABLE http_answers;
