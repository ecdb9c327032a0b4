-- +goose Up

-- What operators have done, with when and from where. Rows are only ever added.
CREATE TABLE audit_log (
    audit_id INTEGER   PRIMARY KEY AUTOINCREMENT,
    at_utc   TIMESTAMP NOT NULL CHECK (typeof(at_utc) = 'integer'),
    actor    TEXT      NOT NULL,
    action   TEXT      NOT NULL CHECK (action <> ''),
    subject  TEXT      NOT NULL,
    message  TEXT      NOT NULL
);

-- +goose Down
DROP TABLE audit_log;
