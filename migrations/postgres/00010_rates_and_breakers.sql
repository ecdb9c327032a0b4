-- +goose Up

-- How many tasks of the type may be claimed in a time: {"tasks": n, "per_seconds": s, "burst": b}; null: any number.
ALTER TABLE task_types ADD COLUMN rate_limit json CHECK (json_typeof(rate_limit) = 'object');
-- From when on the rate allows the next task; null: the bucket is full.
ALTER TABLE task_types ADD COLUMN rate_open_utc timestamptz;
-- When claims are to be stopped because too many attempts fail; null: never.
ALTER TABLE task_types ADD COLUMN breaker json CHECK (json_typeof(breaker) = 'object');
-- Until when it has stopped them; after that one task at a time is tried. Null: it has not.
ALTER TABLE task_types ADD COLUMN breaker_until_utc timestamptz;
-- The types that every claim must know of.
DROP INDEX task_types_closing;
CREATE INDEX task_types_closing ON task_types (type)
    WHERE paused OR max_concurrency IS NOT NULL OR rate_limit IS NOT NULL OR breaker_until_utc IS NOT NULL;

-- +goose Down
DROP INDEX task_types_closing;
CREATE INDEX task_types_closing ON task_types (type) WHERE paused OR max_concurrency IS NOT NULL;
ALTER TABLE task_types DROP COLUMN breaker_until_utc;
ALTER TABLE task_types DROP COLUMN breaker;
ALTER TABLE task_types DROP COLUMN rate_open_utc;
ALTER TABLE task_types DROP COLUMN rate_limit;
