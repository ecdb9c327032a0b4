-- +goose Up

-- What happened to the tasks of a type, or of all under the type '', in a minute or an hour, as one node has counted it. Minutes become hours when they are some hours old.
CREATE TABLE task_rollups (
    seconds bigint      NOT NULL CHECK (seconds IN (60, 3600)),
    type    text        NOT NULL CHECK (length(type) <= 200),
    at_utc  timestamptz NOT NULL,
    node    text        NOT NULL,
    counts  json        NOT NULL CHECK (json_typeof(counts) = 'object'),
    PRIMARY KEY (seconds, type, at_utc, node)
);
CREATE INDEX task_rollups_at ON task_rollups (seconds, at_utc);

-- +goose Down
DROP TABLE task_rollups;
