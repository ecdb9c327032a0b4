-- +goose Up

-- The log of each task: what workers write, and what happens to it beside its usual way. That it was enqueued, claimed and completed is not written a second time:
-- the task and its attempts tell, and v_task_log has it. log_id is the microsecond of the line, since 1970, or one more than that of the line before it where that is
-- not less: in the log of a task it grows in the order in which things have happened, whatever the clocks say.
DROP TRIGGER task_queue_requeue;
DROP TRIGGER task_queue_attempt;
ALTER TABLE task_logs RENAME TO task_logs_before;
CREATE TABLE task_logs (
    log_id  INTEGER   NOT NULL CHECK (typeof(log_id) = 'integer' AND log_id > 0),
    task_id INTEGER   NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    at_utc  TIMESTAMP NOT NULL CHECK (typeof(at_utc) = 'integer'),
    level   TEXT      NOT NULL CHECK (CASE level WHEN 'debug' THEN 1 WHEN 'info' THEN 1 WHEN 'warning' THEN 1 WHEN 'error' THEN 1 ELSE 0 END),
    message TEXT      NOT NULL,
    details TEXT      CHECK (json_valid(details)),
    fence   INTEGER   NOT NULL, -- of the last claim before it
    event   TEXT      CHECK (event <> ''), -- what has happened to the task; null: a worker's word
    PRIMARY KEY (task_id, log_id)
) WITHOUT ROWID;

INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT o.place + max(o.at_utc - o.place) OVER (PARTITION BY o.task_id ORDER BY o.place) + max(o.fence) OVER (PARTITION BY o.task_id ORDER BY o.place), o.task_id, o.at_utc, o.level, o.message, o.details, max(o.fence) OVER (PARTITION BY o.task_id ORDER BY o.place), o.event
FROM (SELECT b.task_id, b.at_utc, b.level, b.message, b.details, row_number() OVER (PARTITION BY b.task_id ORDER BY b.log_id) AS place,
             max(coalesce((SELECT max(a.fence) FROM task_attempts AS a WHERE a.task_id = b.task_id AND a.started_at_utc <= b.at_utc), 0),
                 CASE WHEN t.processing_started_utc <= b.at_utc THEN t.fence ELSE 0 END) AS fence,
             CASE b.message WHEN 'Requeued by an operator' THEN 'requeued' WHEN 'Priority changed by an operator' THEN 'priority_changed' END AS event
      FROM task_logs_before AS b JOIN task_queue AS t ON t.id = b.task_id) AS o;
DROP TABLE task_logs_before;

-- The newest lines of a level, of all tasks.
CREATE INDEX task_logs_recent ON task_logs (level, log_id, task_id);
-- A claim is written where it was not the start of its attempt, as a worker has said.
CREATE INDEX task_logs_claimed ON task_logs (task_id, fence) WHERE event = 'claimed';

-- For each task the fence and the least id that the next line of its log must have: more than that of any line so far, those included that the task and its
-- attempts tell of themselves.
CREATE VIEW task_log_heads AS
SELECT t.id AS task_id, t.fence AS fence,
       max(coalesce((SELECT l.log_id FROM task_logs AS l WHERE l.task_id = t.id ORDER BY l.log_id DESC LIMIT 1), t.created_at_utc), coalesce(t.reserved_at_utc, 0), coalesce(t.processing_started_utc, 0), coalesce((SELECT a.started_at_utc FROM task_attempts AS a WHERE a.task_id = t.id AND a.fence = t.fence), 0))
       + max(t.fence - coalesce((SELECT f.fence FROM task_logs AS f WHERE f.task_id = t.id ORDER BY f.log_id DESC LIMIT 1), 0), 0) + 1 AS least
FROM task_queue AS t;

-- The whole log of each task.
CREATE VIEW v_task_log AS
WITH told AS (
    SELECT t.id AS task_id, 0 AS fence, 0 AS part, t.created_at_utc AS instant, t.created_at_utc AS at_utc, 'info' AS level, 'Enqueued' AS message,
           '{"event":"enqueued"}' AS details, 'enqueued' AS event
    FROM task_queue AS t
    UNION ALL
    SELECT a.task_id, a.fence, 0, a.started_at_utc, a.started_at_utc, 'info', 'Claimed by ' || a.worker_id,
           json_object('event', 'claimed', 'worker_id', a.worker_id, 'attempt', a.attempt, 'fence', a.fence), 'claimed'
    FROM task_attempts AS a
    WHERE NOT EXISTS (SELECT 1 FROM task_logs AS c WHERE c.task_id = a.task_id AND c.fence = a.fence AND c.event = 'claimed')
    UNION ALL
    SELECT o.id, o.fence, 0, coalesce(o.reserved_at_utc, o.processing_started_utc), coalesce(o.reserved_at_utc, o.processing_started_utc), 'info', 'Claimed by ' || o.last_worker_id,
           json_object('event', 'claimed', 'worker_id', o.last_worker_id, 'attempt', o.attempts, 'fence', o.fence), 'claimed'
    FROM task_queue AS o
    WHERE o.status IN ('processing', 'completed') AND o.last_worker_id IS NOT NULL AND o.processing_started_utc IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM task_logs AS d WHERE d.task_id = o.id AND d.fence = o.fence AND d.event = 'claimed')
    UNION ALL
    SELECT l.task_id, l.fence, 1, l.log_id, l.at_utc, l.level, l.message, l.details, l.event FROM task_logs AS l
    UNION ALL
    SELECT e.id, e.fence, 2, e.finished_at_utc, e.finished_at_utc, 'info', coalesce('Completed by ' || e.last_worker_id, 'Completed'),
           json_patch('{}', json_object('event', 'completed', 'worker_id', e.last_worker_id, 'attempt', e.attempts, 'fence', e.fence)), 'completed'
    FROM task_queue AS e WHERE e.status = 'completed'
), placed AS (
    SELECT p.*, row_number() OVER (PARTITION BY p.task_id ORDER BY p.fence, p.part, p.instant) AS place FROM told AS p
)
SELECT CAST(q.place + max(q.instant - q.place) OVER (PARTITION BY q.task_id ORDER BY q.place) AS INTEGER) AS log_id, q.task_id, q.at_utc, q.level, q.message, q.details, q.fence, q.event
FROM placed AS q;

-- The history and the log of whoever else writes; the service's own writer keeps both itself.
-- +goose StatementBegin
CREATE TRIGGER task_queue_attempt AFTER UPDATE OF status ON task_queue
WHEN OLD.status = 'processing' AND NEW.status IN ('queued', 'failed')
BEGIN
    INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
    VALUES (OLD.id, OLD.fence, OLD.attempts, OLD.locked_by, coalesce(OLD.processing_started_utc, OLD.reserved_at_utc),
            NEW.updated_at_utc, NEW.attempt_outcome, CASE WHEN NEW.attempt_outcome <> 'released' THEN NEW.error_message END);
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
    SELECT max(NEW.updated_at_utc, h.least), h.task_id, NEW.updated_at_utc,
           CASE e.event WHEN 'lost' THEN 'warning' WHEN 'retry' THEN 'warning' WHEN 'failed' THEN 'error' ELSE 'info' END,
           CASE e.event WHEN 'lost' THEN 'Lost by ' || OLD.locked_by
                        WHEN 'released' THEN CASE WHEN NEW.run_after_utc > NEW.updated_at_utc THEN 'Snoozed by ' ELSE 'Handed back by ' END || OLD.locked_by
                        WHEN 'retry' THEN 'Attempt ' || OLD.attempts || ' of ' || OLD.max_attempts || ' failed, another follows'
                        WHEN 'cancelled' THEN 'Cancelled' ELSE 'Failed: ' || NEW.outcome END,
           json_patch('{}', json_object('event', e.event, 'worker_id', OLD.locked_by, 'attempt', OLD.attempts, 'fence', OLD.fence,
               'outcome', CASE WHEN e.event IN ('failed', 'cancelled') THEN NEW.outcome END,
               'run_after_utc', CASE WHEN e.event IN ('retry', 'released') THEN strftime('%Y-%m-%dT%H:%M:%S', NEW.run_after_utc / 1000000, 'unixepoch') || printf('.%06dZ', NEW.run_after_utc % 1000000) END,
               'error_message', CASE WHEN e.event IN ('retry', 'lost', 'failed') THEN NEW.error_message END)),
           h.fence, e.event
    FROM task_log_heads AS h
    CROSS JOIN (SELECT CASE WHEN NEW.attempt_outcome = 'lost' THEN 'lost' WHEN NEW.status = 'failed' AND NEW.outcome = 'cancelled' THEN 'cancelled' WHEN NEW.status = 'failed' THEN 'failed'
                            WHEN NEW.attempt_outcome = 'released' THEN 'released' ELSE 'retry' END AS event) AS e
    WHERE h.task_id = OLD.id;
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
    SELECT max(NEW.updated_at_utc, h.least), h.task_id, NEW.updated_at_utc, 'error', 'Failed: ' || NEW.outcome,
           json_patch('{}', json_object('event', 'failed', 'worker_id', OLD.locked_by, 'attempt', OLD.attempts, 'fence', OLD.fence, 'outcome', NEW.outcome, 'error_message', NEW.error_message)),
           h.fence, 'failed'
    FROM task_log_heads AS h
    WHERE h.task_id = OLD.id AND NEW.status = 'failed' AND NEW.attempt_outcome = 'lost';
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_log AFTER UPDATE OF status ON task_queue
WHEN OLD.status = 'queued' AND NEW.status = 'failed' OR OLD.status = 'failed' AND NEW.status = 'queued'
BEGIN
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
    SELECT max(NEW.updated_at_utc, h.least), h.task_id, NEW.updated_at_utc, CASE WHEN NEW.outcome <> 'cancelled' THEN 'error' ELSE 'info' END,
           CASE WHEN NEW.status = 'queued' THEN 'Requeued by an operator' WHEN NEW.outcome = 'cancelled' THEN 'Cancelled' WHEN NEW.outcome = 'expired' THEN 'Expired'
                ELSE 'Failed: ' || NEW.outcome END,
           json_patch('{}', CASE WHEN NEW.status = 'queued' THEN json_object('event', e.event, 'outcome', OLD.outcome, 'attempts', OLD.attempts)
                                 ELSE json_object('event', e.event, 'outcome', NEW.outcome, 'error_message', CASE WHEN NEW.outcome <> 'cancelled' THEN NEW.error_message END) END),
           h.fence, e.event
    FROM task_log_heads AS h
    CROSS JOIN (SELECT CASE WHEN NEW.status = 'queued' THEN 'requeued' WHEN NEW.outcome IN ('cancelled', 'expired') THEN NEW.outcome ELSE 'failed' END AS event) AS e
    WHERE h.task_id = OLD.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP VIEW v_task_log;
DROP TRIGGER task_queue_log;
DROP TRIGGER task_queue_attempt;
DROP VIEW task_log_heads;
ALTER TABLE task_logs RENAME TO task_logs_after;
CREATE TABLE task_logs (
    log_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER   NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    at_utc  TIMESTAMP NOT NULL CHECK (typeof(at_utc) = 'integer'),
    level   TEXT      NOT NULL CHECK (CASE level WHEN 'debug' THEN 1 WHEN 'info' THEN 1 WHEN 'warning' THEN 1 WHEN 'error' THEN 1 ELSE 0 END),
    message TEXT      NOT NULL,
    details TEXT      CHECK (json_valid(details))
);
INSERT INTO task_logs (task_id, at_utc, level, message, details)
SELECT task_id, at_utc, level, message, details FROM task_logs_after
WHERE event IS NULL OR event IN ('requeued', 'priority_changed')
ORDER BY log_id, task_id;
DROP TABLE task_logs_after;
CREATE INDEX task_logs_task ON task_logs (task_id, log_id);

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
