-- +goose Up

-- The log of each task: what workers write, and what happens to it beside its usual way. That it was enqueued, claimed and completed is not written a second time:
-- the task and its attempts tell, and v_task_log has it. log_id is the microsecond of the line, since 1970, or one more than that of the line before it where that is
-- not less: in the log of a task it grows in the order in which things have happened, whatever the clocks say.
ALTER TABLE task_logs RENAME TO task_logs_before;
ALTER INDEX task_logs_pkey RENAME TO task_logs_before_pkey;
ALTER TABLE task_logs_before RENAME CONSTRAINT task_logs_task_id_fkey TO task_logs_before_task_id_fkey;
CREATE TABLE task_logs (
    log_id  bigint      NOT NULL CHECK (log_id > 0),
    task_id bigint      NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    at_utc  timestamptz NOT NULL,
    level   text        NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),
    message text        NOT NULL,
    details json,
    fence   bigint      NOT NULL, -- of the last claim before it
    event   text        CHECK (event <> ''), -- what has happened to the task; null: a worker's word
    PRIMARY KEY (task_id, log_id)
);

INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT o.place + max(CAST(extract(epoch FROM o.at_utc) * 1000000 AS bigint) - o.place) OVER (PARTITION BY o.task_id ORDER BY o.place) + max(o.fence) OVER (PARTITION BY o.task_id ORDER BY o.place),
       o.task_id, o.at_utc, o.level, o.message, o.details, max(o.fence) OVER (PARTITION BY o.task_id ORDER BY o.place), o.event
FROM (SELECT b.task_id, b.at_utc, b.level, b.message, b.details, row_number() OVER (PARTITION BY b.task_id ORDER BY b.log_id) AS place,
             greatest(coalesce((SELECT max(a.fence) FROM task_attempts AS a WHERE a.task_id = b.task_id AND a.started_at_utc <= b.at_utc), 0),
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
       CAST(greatest(coalesce((SELECT l.log_id FROM task_logs AS l WHERE l.task_id = t.id ORDER BY l.log_id DESC LIMIT 1), CAST(extract(epoch FROM t.created_at_utc) * 1000000 AS bigint)), coalesce(CAST(extract(epoch FROM t.reserved_at_utc) * 1000000 AS bigint), 0), coalesce(CAST(extract(epoch FROM t.processing_started_utc) * 1000000 AS bigint), 0), coalesce(CAST(extract(epoch FROM (SELECT a.started_at_utc FROM task_attempts AS a WHERE a.task_id = t.id AND a.fence = t.fence)) * 1000000 AS bigint), 0))
       + greatest(t.fence - coalesce((SELECT f.fence FROM task_logs AS f WHERE f.task_id = t.id ORDER BY f.log_id DESC LIMIT 1), 0), 0) + 1 AS bigint) AS least
FROM task_queue AS t;

-- The whole log of each task.
CREATE VIEW v_task_log AS
WITH told AS (
    SELECT t.id AS task_id, CAST(0 AS bigint) AS fence, 0 AS part, CAST(extract(epoch FROM t.created_at_utc) * 1000000 AS bigint) AS instant, t.created_at_utc AS at_utc, 'info' AS level, 'Enqueued' AS message,
           CAST('{"event":"enqueued"}' AS json) AS details, 'enqueued' AS event
    FROM task_queue AS t
    UNION ALL
    SELECT a.task_id, a.fence, 0, CAST(extract(epoch FROM a.started_at_utc) * 1000000 AS bigint), a.started_at_utc, 'info', 'Claimed by ' || a.worker_id,
           json_strip_nulls((SELECT row_to_json(d) FROM (SELECT 'claimed' AS event, a.worker_id AS worker_id, a.attempt AS attempt, a.fence AS fence) AS d)), 'claimed'
    FROM task_attempts AS a
    WHERE NOT EXISTS (SELECT 1 FROM task_logs AS c WHERE c.task_id = a.task_id AND c.fence = a.fence AND c.event = 'claimed')
    UNION ALL
    SELECT o.id, o.fence, 0, CAST(extract(epoch FROM coalesce(o.reserved_at_utc, o.processing_started_utc)) * 1000000 AS bigint), coalesce(o.reserved_at_utc, o.processing_started_utc), 'info', 'Claimed by ' || o.last_worker_id,
           json_strip_nulls((SELECT row_to_json(d) FROM (SELECT 'claimed' AS event, o.last_worker_id AS worker_id, o.attempts AS attempt, o.fence AS fence) AS d)), 'claimed'
    FROM task_queue AS o
    WHERE o.status IN ('processing', 'completed') AND o.last_worker_id IS NOT NULL AND o.processing_started_utc IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM task_logs AS d WHERE d.task_id = o.id AND d.fence = o.fence AND d.event = 'claimed')
    UNION ALL
    SELECT l.task_id, l.fence, 1, l.log_id, l.at_utc, l.level, l.message, l.details, l.event FROM task_logs AS l
    UNION ALL
    SELECT e.id, e.fence, 2, CAST(extract(epoch FROM e.finished_at_utc) * 1000000 AS bigint), e.finished_at_utc, 'info', coalesce('Completed by ' || e.last_worker_id, 'Completed'),
           json_strip_nulls((SELECT row_to_json(d) FROM (SELECT 'completed' AS event, e.last_worker_id AS worker_id, e.attempts AS attempt, e.fence AS fence) AS d)), 'completed'
    FROM task_queue AS e WHERE e.status = 'completed'
), placed AS (
    SELECT p.*, row_number() OVER (PARTITION BY p.task_id ORDER BY p.fence, p.part, p.instant) AS place FROM told AS p
)
SELECT CAST(q.place + max(q.instant - q.place) OVER (PARTITION BY q.task_id ORDER BY q.place) AS bigint) AS log_id, q.task_id, q.at_utc, q.level, q.message, q.details, q.fence, q.event
FROM placed AS q;

-- The history and the log.
-- +goose StatementBegin
CREATE FUNCTION task_queue_tell(old task_queue, new task_queue, event text, level text, message text, outcome text, attempts integer, error_message text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
    SELECT greatest(CAST(extract(epoch FROM new.updated_at_utc) * 1000000 AS bigint), h.least), h.task_id, new.updated_at_utc, level, message,
           json_strip_nulls((SELECT row_to_json(d) FROM (SELECT event AS event, old.locked_by AS worker_id, CASE WHEN old.status = 'processing' THEN old.attempts END AS attempt,
               CASE WHEN old.status = 'processing' THEN old.fence END AS fence, outcome AS outcome, attempts AS attempts,
               CASE WHEN event IN ('retry', 'released') THEN to_char(new.run_after_utc AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') END AS run_after_utc,
               error_message AS error_message) AS d)),
           h.fence, event
    FROM task_log_heads AS h WHERE h.task_id = old.id
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION task_queue_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'processing' THEN
        INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
        VALUES (OLD.id, OLD.fence, OLD.attempts, OLD.locked_by, coalesce(OLD.processing_started_utc, OLD.reserved_at_utc),
                NEW.updated_at_utc, NEW.attempt_outcome, CASE WHEN NEW.attempt_outcome <> 'released' THEN NEW.error_message END);
        IF NEW.attempt_outcome = 'lost' THEN
            PERFORM task_queue_tell(OLD, NEW, 'lost', 'warning', 'Lost by ' || OLD.locked_by, NULL, NULL, NEW.error_message);
        ELSIF NEW.attempt_outcome = 'released' AND NEW.status = 'queued' THEN
            PERFORM task_queue_tell(OLD, NEW, 'released', 'info', CASE WHEN NEW.run_after_utc > NEW.updated_at_utc THEN 'Snoozed by ' ELSE 'Handed back by ' END || OLD.locked_by, NULL, NULL, NULL);
        ELSIF NEW.status = 'queued' THEN
            PERFORM task_queue_tell(OLD, NEW, 'retry', 'warning', 'Attempt ' || OLD.attempts || ' of ' || OLD.max_attempts || ' failed, another follows', NULL, NULL, NEW.error_message);
        END IF;
    ELSIF NEW.status = 'queued' THEN
        PERFORM task_queue_tell(OLD, NEW, 'requeued', 'info', 'Requeued by an operator', OLD.outcome, OLD.attempts, NULL);
    END IF;
    IF NEW.status = 'failed' AND NEW.outcome = 'cancelled' THEN
        PERFORM task_queue_tell(OLD, NEW, 'cancelled', 'info', 'Cancelled', NEW.outcome, NULL, NULL);
    ELSIF NEW.status = 'failed' AND NEW.outcome = 'expired' THEN
        PERFORM task_queue_tell(OLD, NEW, 'expired', 'error', 'Expired', NEW.outcome, NULL, NEW.error_message);
    ELSIF NEW.status = 'failed' THEN
        PERFORM task_queue_tell(OLD, NEW, 'failed', 'error', 'Failed: ' || NEW.outcome, NEW.outcome, NULL, NEW.error_message);
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION task_queue_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status = 'processing' THEN
        INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message)
        VALUES (OLD.id, OLD.fence, OLD.attempts, OLD.locked_by, coalesce(OLD.processing_started_utc, OLD.reserved_at_utc),
                NEW.updated_at_utc, NEW.attempt_outcome, CASE WHEN NEW.attempt_outcome <> 'released' THEN NEW.error_message END);
    ELSIF OLD.status = 'failed' AND NEW.status = 'queued' THEN
        INSERT INTO task_logs (task_id, at_utc, level, message, details)
        VALUES (OLD.id, NEW.updated_at_utc, 'info', 'Requeued by an operator', json_build_object('outcome', OLD.outcome, 'attempts', OLD.attempts));
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
DROP FUNCTION task_queue_tell(task_queue, task_queue, text, text, text, text, integer, text);
DROP VIEW v_task_log;
DROP VIEW task_log_heads;
ALTER TABLE task_logs RENAME TO task_logs_after;
ALTER INDEX task_logs_pkey RENAME TO task_logs_after_pkey;
ALTER TABLE task_logs_after RENAME CONSTRAINT task_logs_task_id_fkey TO task_logs_after_task_id_fkey;
CREATE TABLE task_logs (
    log_id  bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    task_id bigint      NOT NULL REFERENCES task_queue (id) ON DELETE CASCADE,
    at_utc  timestamptz NOT NULL,
    level   text        NOT NULL CHECK (level IN ('debug', 'info', 'warning', 'error')),
    message text        NOT NULL,
    details json
);
INSERT INTO task_logs (task_id, at_utc, level, message, details)
SELECT a.task_id, a.at_utc, a.level, a.message, a.details FROM task_logs_after AS a
WHERE a.event IS NULL OR a.event IN ('requeued', 'priority_changed')
ORDER BY a.log_id, a.task_id;
DROP TABLE task_logs_after;
CREATE INDEX task_logs_task ON task_logs (task_id, log_id);
