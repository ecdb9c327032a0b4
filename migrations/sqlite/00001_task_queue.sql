-- +goose Up

-- Times are integer microseconds since 1970-01-01 UTC; the declared type TIMESTAMP lets the driver turn them into times.

CREATE TABLE lanes (
    id            INTEGER PRIMARY KEY,
    type          TEXT    NOT NULL CHECK (length(type) BETWEEN 1 AND 200),
    compatibility TEXT    NOT NULL CHECK (typeof(compatibility) = 'text' AND json_valid(compatibility) AND json_type(compatibility) = 'object'),
    priority      INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 1000),
    UNIQUE (type, compatibility, priority)
);

-- The number of tasks of each lane in each state, kept in the transaction that changes them: by the service once for a group of
-- operations, by triggers for whoever else writes.
-- slot is 0 here; PostgreSQL spreads the rows of one lane over its backends, and readers sum them.
CREATE TABLE lane_counts (
    lane_id    INTEGER NOT NULL REFERENCES lanes (id),
    slot       INTEGER NOT NULL,
    ready      INTEGER NOT NULL DEFAULT 0,
    scheduled  INTEGER NOT NULL DEFAULT 0,
    processing INTEGER NOT NULL DEFAULT 0,
    completed  INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    purged     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (lane_id, slot)
) WITHOUT ROWID;

CREATE TABLE task_queue (
    id                     INTEGER PRIMARY KEY AUTOINCREMENT,
    lane_id                INTEGER   NOT NULL REFERENCES lanes (id),
    type                   TEXT      NOT NULL,
    priority               INTEGER   NOT NULL,
    payload                TEXT      NOT NULL CHECK (typeof(payload) = 'text' AND json_valid(payload) AND json_type(payload) = 'object'),
    compatibility          TEXT      NOT NULL CHECK (compatibility = '{}' OR typeof(compatibility) = 'text' AND json_valid(compatibility) AND json_type(compatibility) = 'object'),
    status                 TEXT      NOT NULL,
    outcome                TEXT,
    attempts               INTEGER   NOT NULL CHECK (typeof(attempts) = 'integer' AND attempts BETWEEN 0 AND max_attempts),
    max_attempts           INTEGER   NOT NULL CHECK (typeof(max_attempts) = 'integer' AND max_attempts BETWEEN 1 AND 100),
    run_after_utc          TIMESTAMP NOT NULL,
    deadline_utc           TIMESTAMP,
    timeout_seconds        REAL      CHECK (timeout_seconds IS NULL OR typeof(timeout_seconds) = 'real' AND timeout_seconds > 0),
    retry_policy           TEXT      CHECK (retry_policy IS NULL OR typeof(retry_policy) = 'text' AND json_valid(retry_policy) AND json_type(retry_policy) = 'object'),
    ready                  BOOLEAN   NOT NULL,
    fence                  INTEGER   NOT NULL DEFAULT 0,
    lease_secret           TEXT,
    locked_by              TEXT,
    last_worker_id         TEXT,
    lease_until_utc        TIMESTAMP,
    reserved_at_utc        TIMESTAMP,
    processing_started_utc TIMESTAMP,
    -- CASE and not IN: a list of more than two makes SQLite fill a temporary table each time (measured: 5 microseconds a statement).
    attempt_outcome        TEXT      CHECK (CASE attempt_outcome
        WHEN 'succeeded' THEN 1 WHEN 'failed' THEN 1 WHEN 'rejected' THEN 1 WHEN 'released' THEN 1 WHEN 'lost' THEN 1 WHEN 'cancelled' THEN 1
        ELSE attempt_outcome IS NULL END),
    finished_at_utc        TIMESTAMP,
    error_message          TEXT,
    result                 TEXT      CHECK (result IS NULL OR typeof(result) = 'text' AND json_valid(result)),
    progress               INTEGER   CHECK (progress BETWEEN 0 AND 100),
    progress_message       TEXT,
    idempotency_key        TEXT      CHECK (idempotency_key <> ''),
    created_at_utc         TIMESTAMP NOT NULL,
    updated_at_utc         TIMESTAMP NOT NULL,
    -- Each status has exactly the columns that belong to it: a task is held if and only if it is processing, it has an end if and
    -- only if it is ended. Any other status is refused.
    CHECK (CASE status
        WHEN 'queued' THEN
            locked_by IS NULL AND lease_until_utc IS NULL AND reserved_at_utc IS NULL AND finished_at_utc IS NULL AND outcome IS NULL
            AND attempts < max_attempts AND ready IN (0, 1)
        WHEN 'processing' THEN
            locked_by IS NOT NULL AND lease_until_utc IS NOT NULL AND reserved_at_utc IS NOT NULL AND lease_secret IS NOT NULL AND fence > 0
            AND last_worker_id IS NOT NULL AND finished_at_utc IS NULL AND outcome IS NULL AND ready = 0
        WHEN 'completed' THEN
            locked_by IS NULL AND lease_until_utc IS NULL AND reserved_at_utc IS NULL AND finished_at_utc IS NOT NULL AND outcome IS 'succeeded' AND ready = 0
        WHEN 'failed' THEN
            locked_by IS NULL AND lease_until_utc IS NULL AND reserved_at_utc IS NULL AND finished_at_utc IS NOT NULL AND ready = 0
            AND CASE outcome WHEN 'cancelled' THEN 1 WHEN 'exhausted' THEN 1 WHEN 'rejected' THEN 1 WHEN 'expired' THEN 1 ELSE 0 END
        ELSE 0 END),
    -- Times are numbers: text compares as greater than any.
    CHECK (run_after_utc < 1000000000000000000 AND created_at_utc < 1000000000000000000 AND updated_at_utc < 1000000000000000000),
    CHECK (deadline_utc < 1000000000000000000), CHECK (lease_until_utc < 1000000000000000000), CHECK (reserved_at_utc < 1000000000000000000),
    CHECK (processing_started_utc < 1000000000000000000), CHECK (finished_at_utc < 1000000000000000000)
);

-- What can be claimed now, in the order of each lane.
CREATE INDEX task_queue_ready ON task_queue (lane_id, id) WHERE ready = 1;
-- What waits for its time.
CREATE INDEX task_queue_scheduled ON task_queue (run_after_utc) WHERE status = 'queued' AND ready = 0;
CREATE INDEX task_queue_lease ON task_queue (lease_until_utc) WHERE status = 'processing';
CREATE INDEX task_queue_deadline ON task_queue (deadline_utc) WHERE status = 'queued' AND deadline_utc IS NOT NULL;
CREATE INDEX task_queue_failed ON task_queue (finished_at_utc) WHERE status = 'failed';
-- For lists, which merge the ends of the types. Queued tasks that are ready, and those in processing, are found by the indexes above: one on every status
-- would cost a task five changes of it. By type and not by lane, as a page is written for each type, or lane, in a group of completions (measured: a thousand
-- lanes took a third of the rate).
CREATE INDEX task_queue_later ON task_queue (type, id) WHERE status = 'queued' AND ready = 0;
CREATE INDEX task_queue_completed ON task_queue (type, id) WHERE status = 'completed';
CREATE INDEX task_queue_failures ON task_queue (type, id) WHERE status = 'failed';
CREATE UNIQUE INDEX task_queue_idempotency_key ON task_queue (idempotency_key) WHERE idempotency_key IS NOT NULL;

CREATE TABLE task_attempts (
    task_id         INTEGER   NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    fence           INTEGER   NOT NULL,
    attempt         INTEGER   NOT NULL,
    worker_id       TEXT      NOT NULL,
    started_at_utc  TIMESTAMP NOT NULL,
    finished_at_utc TIMESTAMP,
    outcome         TEXT,
    error_message   TEXT,
    PRIMARY KEY (task_id, fence)
) WITHOUT ROWID;

CREATE TABLE task_logs (
    log_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER   NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    at_utc  TIMESTAMP NOT NULL CHECK (typeof(at_utc) = 'integer'),
    level   TEXT      NOT NULL CHECK (CASE level WHEN 'debug' THEN 1 WHEN 'info' THEN 1 WHEN 'warning' THEN 1 WHEN 'error' THEN 1 ELSE 0 END),
    message TEXT      NOT NULL,
    details TEXT      CHECK (json_valid(details))
);
CREATE INDEX task_logs_task ON task_logs (task_id, log_id);

CREATE TABLE workers (
    worker_id         TEXT      PRIMARY KEY CHECK (worker_id <> ''),
    capabilities      TEXT      NOT NULL CHECK (typeof(capabilities) = 'text' AND json_valid(capabilities) AND json_type(capabilities) = 'object'),
    types             TEXT      CHECK (json_type(types) = 'array'),
    drain             BOOLEAN   NOT NULL DEFAULT 0 CHECK (drain IN (0, 1)),
    registered_at_utc TIMESTAMP NOT NULL CHECK (typeof(registered_at_utc) = 'integer'),
    heartbeat_utc     TIMESTAMP NOT NULL CHECK (typeof(heartbeat_utc) = 'integer')
) WITHOUT ROWID;

-- The service's own writer has the triggers of counters and history switched off and keeps both itself; those that refuse something hold for it too,
-- but for the one on INSERT. After and not before an update: SQLite need not read the row again then (measured: 2 microseconds).

-- The state machine: no other way from one status to another exists. A claim, and nothing else, raises the fence, by one. A lease in
-- force changes its holder only through a new claim.
-- +goose StatementBegin
CREATE TRIGGER task_queue_guard AFTER UPDATE OF status, fence, attempts, locked_by, lease_secret ON task_queue
WHEN (CASE OLD.status
    WHEN 'queued' THEN
        (NEW.status = 'processing' AND NEW.fence = OLD.fence + 1 AND NEW.attempts = OLD.attempts + 1)
        OR (NEW.status IN ('queued', 'failed') AND NEW.fence = OLD.fence)
    WHEN 'processing' THEN
        NEW.fence = OLD.fence AND NEW.lease_secret IS OLD.lease_secret
        AND (NEW.status <> 'processing' OR (NEW.locked_by = OLD.locked_by AND NEW.attempts = OLD.attempts))
    WHEN 'completed' THEN NEW.status = 'completed' AND NEW.fence = OLD.fence
    ELSE NEW.status IN ('failed', 'queued') AND NEW.fence = OLD.fence
    END) IS NOT TRUE
BEGIN
    SELECT RAISE(ABORT, 'task_queue: this change of status, fence or lease is not allowed');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_insert BEFORE INSERT ON task_queue
WHEN NOT EXISTS (SELECT 1 FROM lanes AS l WHERE l.id = NEW.lane_id AND l.type = NEW.type AND l.priority = NEW.priority)
BEGIN
    SELECT RAISE(ABORT, 'task_queue: lane_id must be that of a lane with this type and priority');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_identity BEFORE UPDATE OF id, type, compatibility, priority, lane_id, created_at_utc ON task_queue
WHEN NEW.id <> OLD.id OR NEW.created_at_utc <> OLD.created_at_utc
  OR (NEW.compatibility <> OLD.compatibility AND NEW.lane_id = OLD.lane_id)
  OR NOT EXISTS (SELECT 1 FROM lanes AS l WHERE l.id = NEW.lane_id AND l.type = NEW.type AND l.priority = NEW.priority)
BEGIN
    SELECT RAISE(ABORT, 'task_queue: id and created_at_utc are fixed; type, priority and compatibility change together with lane_id');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_delete BEFORE DELETE ON task_queue
WHEN OLD.status IN ('queued', 'processing')
BEGIN
    SELECT RAISE(ABORT, 'task_queue: only an ended task can be deleted');
END;
-- +goose StatementEnd

-- The counters.
-- +goose StatementBegin
CREATE TRIGGER task_queue_count_insert AFTER INSERT ON task_queue
BEGIN
    INSERT INTO lane_counts (lane_id, slot, ready, scheduled, processing, completed, failed)
    VALUES (NEW.lane_id, 0, NEW.ready, NEW.status = 'queued' AND NOT NEW.ready,
            NEW.status = 'processing', NEW.status = 'completed', NEW.status = 'failed')
    ON CONFLICT (lane_id, slot) DO UPDATE SET
        ready = ready + excluded.ready, scheduled = scheduled + excluded.scheduled, processing = processing + excluded.processing,
        completed = completed + excluded.completed, failed = failed + excluded.failed;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_count_update AFTER UPDATE OF status, ready ON task_queue
WHEN NEW.lane_id = OLD.lane_id AND (NEW.status <> OLD.status OR NEW.ready <> OLD.ready)
BEGIN
    UPDATE lane_counts SET
        ready      = ready + NEW.ready - OLD.ready,
        scheduled  = scheduled + (NEW.status = 'queued' AND NOT NEW.ready) - (OLD.status = 'queued' AND NOT OLD.ready),
        processing = processing + (NEW.status = 'processing') - (OLD.status = 'processing'),
        completed  = completed + (NEW.status = 'completed') - (OLD.status = 'completed'),
        failed     = failed + (NEW.status = 'failed') - (OLD.status = 'failed')
    WHERE lane_id = NEW.lane_id AND slot = 0;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_count_move AFTER UPDATE OF lane_id ON task_queue
WHEN NEW.lane_id <> OLD.lane_id
BEGIN
    UPDATE lane_counts SET
        ready      = ready - OLD.ready,
        scheduled  = scheduled - (OLD.status = 'queued' AND NOT OLD.ready),
        processing = processing - (OLD.status = 'processing'),
        completed  = completed - (OLD.status = 'completed'),
        failed     = failed - (OLD.status = 'failed')
    WHERE lane_id = OLD.lane_id AND slot = 0;
    INSERT INTO lane_counts (lane_id, slot, ready, scheduled, processing, completed, failed)
    VALUES (NEW.lane_id, 0, NEW.ready, NEW.status = 'queued' AND NOT NEW.ready,
            NEW.status = 'processing', NEW.status = 'completed', NEW.status = 'failed')
    ON CONFLICT (lane_id, slot) DO UPDATE SET
        ready = ready + excluded.ready, scheduled = scheduled + excluded.scheduled, processing = processing + excluded.processing,
        completed = completed + excluded.completed, failed = failed + excluded.failed;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_count_delete AFTER DELETE ON task_queue
BEGIN
    UPDATE lane_counts SET
        completed = completed - (OLD.status = 'completed'),
        failed    = failed - (OLD.status = 'failed'),
        purged    = purged + 1
    WHERE lane_id = OLD.lane_id AND slot = 0;
END;
-- +goose StatementEnd

-- The history: an attempt is written when it ends. The one that runs, and the one that completed the task, are read from the task.
-- +goose StatementBegin
CREATE TRIGGER task_queue_attempt AFTER UPDATE OF status ON task_queue
WHEN OLD.status = 'processing' AND NEW.status IN ('queued', 'failed')
BEGIN
    INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
    VALUES (OLD.id, OLD.fence, OLD.attempts, OLD.locked_by, coalesce(OLD.processing_started_utc, OLD.reserved_at_utc),
            NEW.updated_at_utc, NEW.attempt_outcome, CASE WHEN NEW.attempt_outcome <> 'released' THEN NEW.error_message END);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_requeue AFTER UPDATE OF status ON task_queue
WHEN OLD.status = 'failed' AND NEW.status = 'queued'
BEGIN
    INSERT INTO task_logs (task_id, at_utc, level, message, details)
    VALUES (OLD.id, NEW.updated_at_utc, 'info', 'Requeued by an operator', json_object('outcome', OLD.outcome, 'attempts', OLD.attempts));
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE workers;
DROP TABLE task_logs;
DROP TABLE task_attempts;
DROP TABLE task_queue;
DROP TABLE lane_counts;
DROP TABLE lanes;
