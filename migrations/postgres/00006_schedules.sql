-- +goose Up

CREATE TABLE schedules (
    name           text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    cron           text        NOT NULL CHECK (cron <> ''),
    timezone       text        NOT NULL CHECK (timezone <> ''),
    task           json        NOT NULL CHECK (json_typeof(task) = 'object'),
    misfire        text        NOT NULL CHECK (misfire IN ('skip', 'once', 'all')),
    max_misfires   integer     NOT NULL CHECK (max_misfires BETWEEN 1 AND 100),
    overlap        text        NOT NULL CHECK (overlap IN ('allow', 'skip', 'cancel')),
    jitter_seconds double precision NOT NULL CHECK (jitter_seconds >= 0),
    paused         boolean     NOT NULL,
    next_tick_utc  timestamptz CHECK (next_tick_utc IS NULL OR NOT paused),
    last_tick_utc  timestamptz,
    last_task_id   bigint,
    last_skipped   text,
    version        bigint      NOT NULL,
    created_at_utc timestamptz NOT NULL,
    updated_at_utc timestamptz NOT NULL,
    -- A tick that has been dealt with does not come again, whatever the clock says.
    CHECK (next_tick_utc > last_tick_utc)
);
CREATE INDEX schedules_next ON schedules (next_tick_utc) WHERE next_tick_utc IS NOT NULL;

-- The task of each tick, as long as there is the task: one task for one tick of one schedule. It outlives its schedule, so that another one of the
-- same name does not make the tick again. live is set until the task is seen to have ended; a policy on overlaps looks at those alone.
CREATE TABLE schedule_ticks (
    schedule text COLLATE "C" NOT NULL CHECK (schedule <> ''),
    tick_utc timestamptz NOT NULL,
    task_id  bigint      NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    live     boolean     NOT NULL,
    PRIMARY KEY (schedule, tick_utc)
);
CREATE UNIQUE INDEX schedule_ticks_task ON schedule_ticks (task_id);
CREATE INDEX schedule_ticks_live ON schedule_ticks (schedule, task_id) WHERE live;

-- +goose Down
DROP TABLE schedule_ticks;
DROP TABLE schedules;
