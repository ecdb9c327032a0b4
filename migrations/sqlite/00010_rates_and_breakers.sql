-- +goose Up

-- How many tasks of the type may be claimed in a time: {"tasks": n, "per_seconds": s, "burst": b}; null: any number.
ALTER TABLE task_types ADD COLUMN rate_limit TEXT CHECK (rate_limit IS NULL OR typeof(rate_limit) = 'text' AND json_valid(rate_limit) AND json_type(rate_limit) = 'object');
-- From when on the rate allows the next task; null: the bucket is full.
ALTER TABLE task_types ADD COLUMN rate_open_utc TIMESTAMP CHECK (rate_open_utc IS NULL OR typeof(rate_open_utc) = 'integer');
-- When claims are to be stopped because too many attempts fail; null: never.
ALTER TABLE task_types ADD COLUMN breaker TEXT CHECK (breaker IS NULL OR typeof(breaker) = 'text' AND json_valid(breaker) AND json_type(breaker) = 'object');
-- Until when it has stopped them; after that one task at a time is tried. Null: it has not.
ALTER TABLE task_types ADD COLUMN breaker_until_utc TIMESTAMP CHECK (breaker_until_utc IS NULL OR typeof(breaker_until_utc) = 'integer');

-- +goose Down
ALTER TABLE task_types DROP COLUMN breaker_until_utc;
ALTER TABLE task_types DROP COLUMN breaker;
ALTER TABLE task_types DROP COLUMN rate_open_utc;
ALTER TABLE task_types DROP COLUMN rate_limit;
