-- +goose Up

-- What happened to the tasks of a type, or of all under the type '', in a minute or an hour, as one node has counted it. Minutes become hours when they are some hours old.
CREATE TABLE task_rollups (
    seconds INTEGER   NOT NULL CHECK (seconds IN (60, 3600)),
    type    TEXT      NOT NULL CHECK (length(type) <= 200),
    at_utc  TIMESTAMP NOT NULL CHECK (typeof(at_utc) = 'integer'),
    node    TEXT      NOT NULL,
    counts  TEXT      NOT NULL CHECK (typeof(counts) = 'text' AND json_valid(counts) AND json_type(counts) = 'object'),
    PRIMARY KEY (seconds, type, at_utc, node)
) WITHOUT ROWID;
CREATE INDEX task_rollups_at ON task_rollups (seconds, at_utc);

-- +goose Down
DROP TABLE task_rollups;
