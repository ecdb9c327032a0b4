-- name: InsertLog :one
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
SELECT max(CAST(@at_utc AS TIMESTAMP), h.least), h.task_id, CAST(@at_utc AS TIMESTAMP), @level, @message, @details, h.fence, @event
FROM task_log_heads AS h WHERE h.task_id = @task_id
RETURNING *;

-- InsertClaim writes the line of a claim that is told of by the start of its attempt no more. It changes nothing when there is such a line.
-- name: InsertClaim :exec
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event)
VALUES (@log_id, @task_id, @at_utc, @level, @message, @details, @fence, @event)
ON CONFLICT (task_id, log_id) DO NOTHING;

-- ListLogs returns stored lines of a task, oldest first; an empty level stands for every level, and with info comes whatever has happened to the task.
-- name: ListLogs :many
SELECT * FROM task_logs
WHERE task_id = @task_id AND log_id > @after
  AND (CAST(@level AS TEXT) = '' OR level = CAST(@level AS TEXT) OR (CAST(@level AS TEXT) = 'info' AND event IS NOT NULL))
ORDER BY log_id
LIMIT CAST(@max AS INTEGER);

-- FirstOfLastLogs returns the id of the first of the last @max stored lines of a task, of those with a greater id.
-- name: FirstOfLastLogs :one
SELECT f.log_id FROM (SELECT g.log_id FROM task_logs AS g WHERE g.task_id = @task_id AND g.log_id > @after ORDER BY g.log_id DESC LIMIT CAST(@max AS INTEGER)) AS f
ORDER BY f.log_id
LIMIT 1;

-- CountTaskLogs counts the stored lines of a task with a greater id, up to @max.
-- name: CountTaskLogs :one
SELECT count(*) FROM (SELECT g.log_id FROM task_logs AS g WHERE g.task_id = @task_id AND g.log_id > @after ORDER BY g.log_id LIMIT CAST(@max AS INTEGER)) AS c;

-- LastLog returns the last of the stored lines of a task up to an id and before a claim.
-- name: LastLog :one
SELECT log_id, fence FROM task_logs WHERE task_id = @task_id AND log_id <= @upto AND fence < @before ORDER BY log_id DESC LIMIT 1;

-- ListAttempts returns the ended attempts of a task, oldest first.
-- name: ListAttempts :many
SELECT * FROM task_attempts WHERE task_id = @task_id ORDER BY fence;

-- ListAttemptsBetween is ListAttempts for those of some claims.
-- name: ListAttemptsBetween :many
SELECT * FROM task_attempts WHERE task_id = @task_id AND fence > @after AND fence <= @upto ORDER BY fence;

-- ListRecentLogs returns lines of all tasks, newest first, from below a line on: of the next @most of the level (empty: of every one) those of the type and with the word
-- in their message (empty: all).
-- name: ListRecentLogs :many
WITH picked AS (
    SELECT d.log_id, d.task_id FROM task_logs AS d INDEXED BY task_logs_recent
    WHERE d.level = 'debug' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'debug') AND d.log_id >= CAST(@since AS INTEGER)
      AND (d.log_id, d.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT i.log_id, i.task_id FROM task_logs AS i INDEXED BY task_logs_recent
    WHERE i.level = 'info' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'info') AND i.log_id >= CAST(@since AS INTEGER)
      AND (i.log_id, i.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT w.log_id, w.task_id FROM task_logs AS w INDEXED BY task_logs_recent
    WHERE w.level = 'warning' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'warning') AND w.log_id >= CAST(@since AS INTEGER)
      AND (w.log_id, w.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT e.log_id, e.task_id FROM task_logs AS e INDEXED BY task_logs_recent
    WHERE e.level = 'error' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'error') AND e.log_id >= CAST(@since AS INTEGER)
      AND (e.log_id, e.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    ORDER BY log_id DESC, task_id DESC
    LIMIT CAST(@most AS INTEGER)
)
SELECT l.log_id, l.task_id, l.at_utc, l.level, l.message, l.details, l.fence, l.event, t.type
FROM picked AS p CROSS JOIN task_logs AS l CROSS JOIN task_queue AS t
WHERE l.task_id = p.task_id AND l.log_id = p.log_id AND t.id = p.task_id
  AND (CAST(@type AS TEXT) = '' OR t.type = CAST(@type AS TEXT)) AND (CAST(@word AS TEXT) = '' OR instr(lower(l.message), lower(CAST(@word AS TEXT))) > 0)
ORDER BY p.log_id DESC, p.task_id DESC
LIMIT CAST(@max AS INTEGER);

-- LastRecentLog returns the last line at which ListRecentLogs looks.
-- name: LastRecentLog :one
WITH picked AS (
    SELECT d.log_id, d.task_id FROM task_logs AS d INDEXED BY task_logs_recent
    WHERE d.level = 'debug' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'debug') AND d.log_id >= CAST(@since AS INTEGER)
      AND (d.log_id, d.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT i.log_id, i.task_id FROM task_logs AS i INDEXED BY task_logs_recent
    WHERE i.level = 'info' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'info') AND i.log_id >= CAST(@since AS INTEGER)
      AND (i.log_id, i.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT w.log_id, w.task_id FROM task_logs AS w INDEXED BY task_logs_recent
    WHERE w.level = 'warning' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'warning') AND w.log_id >= CAST(@since AS INTEGER)
      AND (w.log_id, w.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    UNION ALL
    SELECT e.log_id, e.task_id FROM task_logs AS e INDEXED BY task_logs_recent
    WHERE e.level = 'error' AND (CAST(@level AS TEXT) = '' OR CAST(@level AS TEXT) = 'error') AND e.log_id >= CAST(@since AS INTEGER)
      AND (e.log_id, e.task_id) < (CAST(@before_log AS INTEGER), CAST(@before_task AS INTEGER))
    ORDER BY log_id DESC, task_id DESC
    LIMIT CAST(@most AS INTEGER)
)
SELECT p.log_id, p.task_id FROM picked AS p ORDER BY p.log_id, p.task_id LIMIT 1;

-- ListLogsOfTask returns the stored lines of one task as ListRecentLogs does.
-- name: ListLogsOfTask :many
SELECT l.log_id, l.task_id, l.at_utc, l.level, l.message, l.details, l.fence, l.event, t.type
FROM task_queue AS t CROSS JOIN task_logs AS l
WHERE t.id = CAST(@task_id AS INTEGER) AND l.task_id = CAST(@task_id AS INTEGER) AND l.log_id < CAST(@before_log AS INTEGER) AND l.log_id >= CAST(@since AS INTEGER)
  AND (CAST(@level AS TEXT) = '' OR l.level = CAST(@level AS TEXT)) AND (CAST(@type AS TEXT) = '' OR t.type = CAST(@type AS TEXT)) AND (CAST(@word AS TEXT) = '' OR instr(lower(l.message), lower(CAST(@word AS TEXT))) > 0)
ORDER BY l.log_id DESC
LIMIT CAST(@max AS INTEGER);

-- LastOldLog returns the id of the last of the first @max lines of a level below an id.
-- name: LastOldLog :one
SELECT f.log_id FROM (SELECT o.log_id FROM task_logs AS o INDEXED BY task_logs_recent WHERE o.level = @level AND o.log_id < @before ORDER BY o.log_id LIMIT CAST(@max AS INTEGER)) AS f
ORDER BY f.log_id DESC
LIMIT 1;

-- PurgeLogs deletes the lines of a level up to an id.
-- name: PurgeLogs :execrows
DELETE FROM task_logs INDEXED BY task_logs_recent WHERE level = @level AND log_id <= @upto;

-- CountLogs counts the lines below the id.
-- name: CountLogs :one
SELECT count(*) FROM (
    SELECT d.task_id, d.log_id FROM task_logs AS d INDEXED BY task_logs_recent WHERE d.level = 'debug' AND d.log_id < CAST(@before AS INTEGER)
    UNION ALL
    SELECT i.task_id, i.log_id FROM task_logs AS i INDEXED BY task_logs_recent WHERE i.level = 'info' AND i.log_id < CAST(@before AS INTEGER)
    UNION ALL
    SELECT w.task_id, w.log_id FROM task_logs AS w INDEXED BY task_logs_recent WHERE w.level = 'warning' AND w.log_id < CAST(@before AS INTEGER)
    UNION ALL
    SELECT e.task_id, e.log_id FROM task_logs AS e INDEXED BY task_logs_recent WHERE e.level = 'error' AND e.log_id < CAST(@before AS INTEGER)) AS old;
