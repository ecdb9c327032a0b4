-- +goose Up

CREATE TABLE schedules (
    name           TEXT      PRIMARY KEY CHECK (name <> ''),
    cron           TEXT      NOT NULL CHECK (cron <> ''),
    timezone       TEXT      NOT NULL CHECK (timezone <> ''),
    task           TEXT      NOT NULL CHECK (typeof(task) = 'text' AND json_valid(task) AND json_type(task) = 'object'),
    misfire        TEXT      NOT NULL CHECK (misfire = 'skip' OR misfire = 'once' OR misfire = 'all'),
    max_misfires   INTEGER   NOT NULL CHECK (typeof(max_misfires) = 'integer' AND max_misfires BETWEEN 1 AND 100),
    overlap        TEXT      NOT NULL CHECK (overlap = 'allow' OR overlap = 'skip' OR overlap = 'cancel'),
    jitter_seconds REAL      NOT NULL CHECK (jitter_seconds >= 0),
    paused         BOOLEAN   NOT NULL CHECK (paused IN (0, 1)),
    next_tick_utc  TIMESTAMP CHECK (next_tick_utc IS NULL OR typeof(next_tick_utc) = 'integer' AND NOT paused),
    last_tick_utc  TIMESTAMP CHECK (last_tick_utc IS NULL OR typeof(last_tick_utc) = 'integer'),
    last_task_id   INTEGER,
    last_skipped   TEXT,
    version        INTEGER   NOT NULL,
    created_at_utc TIMESTAMP NOT NULL CHECK (typeof(created_at_utc) = 'integer'),
    updated_at_utc TIMESTAMP NOT NULL CHECK (typeof(updated_at_utc) = 'integer'),
    -- A tick that has been dealt with does not come again, whatever the clock says.
    CHECK (next_tick_utc IS NULL OR last_tick_utc IS NULL OR next_tick_utc > last_tick_utc)
) WITHOUT ROWID;
CREATE INDEX schedules_next ON schedules (next_tick_utc) WHERE next_tick_utc IS NOT NULL;

-- The task of each tick, as long as there is the task: one task for one tick of one schedule. It outlives its schedule, so that another one of the
-- same name does not make the tick again. live is set until the task is seen to have ended; a policy on overlaps looks at those alone.
CREATE TABLE schedule_ticks (
    schedule TEXT      NOT NULL CHECK (schedule <> ''),
    tick_utc TIMESTAMP NOT NULL CHECK (typeof(tick_utc) = 'integer'),
    task_id  INTEGER   NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    live     BOOLEAN   NOT NULL CHECK (live IN (0, 1)),
    PRIMARY KEY (schedule, tick_utc)
) WITHOUT ROWID;
CREATE UNIQUE INDEX schedule_ticks_task ON schedule_ticks (task_id);
CREATE INDEX schedule_ticks_live ON schedule_ticks (schedule, task_id) WHERE live = 1;

-- +goose Down
DROP TABLE schedule_ticks;
DROP TABLE schedules;
