-- +goose Up

-- How long leases of tasks of the type last that do not say; null: 60 seconds.
ALTER TABLE task_types ADD COLUMN lease_seconds REAL CHECK (lease_seconds IS NULL OR typeof(lease_seconds) = 'real' AND lease_seconds BETWEEN 1 AND 43200);
-- How long its ended tasks are kept: {"completed_seconds": s, "failed_seconds": s}; null, or without one of them: for good.
ALTER TABLE task_types ADD COLUMN retention TEXT CHECK (retention IS NULL OR typeof(retention) = 'text' AND json_valid(retention) AND json_type(retention) = 'object');

-- +goose Down
ALTER TABLE task_types DROP COLUMN retention;
ALTER TABLE task_types DROP COLUMN lease_seconds;
