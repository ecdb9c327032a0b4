-- +goose Up

-- What operators have done, with when and from where. Rows are only ever added.
CREATE TABLE audit_log (
    audit_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_utc   timestamptz NOT NULL,
    actor    text        NOT NULL,
    action   text        NOT NULL CHECK (action <> ''),
    subject  text        NOT NULL,
    message  text        NOT NULL
);

-- +goose Down
DROP TABLE audit_log;
