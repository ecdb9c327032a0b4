-- +goose Up

-- Whom or what the task is for: tasks of one type with the same key share limits, and keys take turns. Null: nobody's.
ALTER TABLE task_queue ADD COLUMN concurrency_key TEXT CHECK (concurrency_key <> '');
CREATE INDEX task_queue_key_ready ON task_queue (lane_id, concurrency_key, id) WHERE ready = 1 AND concurrency_key IS NOT NULL;
CREATE INDEX task_queue_key_held ON task_queue (type, concurrency_key, lease_until_utc) WHERE status = 'processing' AND concurrency_key IS NOT NULL;
-- What holds for each key of the type: {"max_concurrency": n, "rate_limit": {...}, "weights": {...}}; null: nothing.
ALTER TABLE task_types ADD COLUMN per_key TEXT CHECK (per_key IS NULL OR typeof(per_key) = 'text' AND json_valid(per_key) AND json_type(per_key) = 'object');

-- The keys that have a task to claim in a lane, and whose turn it is: the least turn comes first, of equal ones the least since_id. Each task taken moves the key on
-- by a million divided by its weight. Tasks with a key have lanes of their own, whose compatibility ends with a space.
CREATE TABLE lane_keys (
    lane_id         INTEGER   NOT NULL REFERENCES lanes (id),
    concurrency_key TEXT      NOT NULL CHECK (concurrency_key <> ''),
    turn            INTEGER   NOT NULL CHECK (typeof(turn) = 'integer'),
    since_id        INTEGER   NOT NULL CHECK (typeof(since_id) = 'integer'), -- the task with which the key came
    shut            BOOLEAN   NOT NULL DEFAULT 0 CHECK (shut IN (0, 1)), -- a claim has found that its limit or rate gives nothing
    open_utc        TIMESTAMP CHECK (open_utc IS NULL OR typeof(open_utc) = 'integer'), -- until when the rate does; null: until a task of the key ends
    PRIMARY KEY (concurrency_key, lane_id)
) WITHOUT ROWID;
CREATE INDEX lane_keys_turn ON lane_keys (lane_id, shut, turn, since_id);
CREATE INDEX lane_keys_opening ON lane_keys (open_utc) WHERE open_utc IS NOT NULL;

-- The buckets of keys that are not full: from when on the rate gives a task again, and from when on the bucket is full and its row says nothing.
CREATE TABLE key_rates (
    type            TEXT      NOT NULL,
    concurrency_key TEXT      NOT NULL,
    open_utc        TIMESTAMP NOT NULL CHECK (typeof(open_utc) = 'integer'),
    full_utc        TIMESTAMP NOT NULL CHECK (typeof(full_utc) = 'integer'),
    PRIMARY KEY (type, concurrency_key)
) WITHOUT ROWID;
CREATE INDEX key_rates_full ON key_rates (full_utc);

-- +goose StatementBegin
CREATE TRIGGER task_queue_key_insert BEFORE INSERT ON task_queue
WHEN (NEW.concurrency_key IS NOT NULL) <> (SELECT substr(l.compatibility, -1) = ' ' FROM lanes AS l WHERE l.id = NEW.lane_id)
BEGIN
    SELECT RAISE(ABORT, 'task_queue: a task with a concurrency_key, and no other, has a lane whose compatibility ends with a space');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_key_move BEFORE UPDATE OF lane_id ON task_queue
WHEN NEW.lane_id <> OLD.lane_id AND (NEW.concurrency_key IS NOT NULL) <> (SELECT substr(l.compatibility, -1) = ' ' FROM lanes AS l WHERE l.id = NEW.lane_id)
BEGIN
    SELECT RAISE(ABORT, 'task_queue: a task with a concurrency_key, and no other, has a lane whose compatibility ends with a space');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_key_fixed BEFORE UPDATE OF concurrency_key ON task_queue
WHEN NEW.concurrency_key IS NOT OLD.concurrency_key
BEGIN
    SELECT RAISE(ABORT, 'task_queue: concurrency_key is fixed');
END;
-- +goose StatementEnd

-- The keys follow the tasks, as the counters do. A key comes behind all that have had no turn since it came.
-- +goose StatementBegin
CREATE TRIGGER task_queue_key_comes AFTER INSERT ON task_queue
WHEN NEW.concurrency_key IS NOT NULL AND NEW.ready = 1
BEGIN
    INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id)
    SELECT NEW.lane_id, NEW.concurrency_key, 999999 + coalesce(
        (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = NEW.lane_id AND o.shut = 0 ORDER BY o.turn LIMIT 1),
        (SELECT s.turn FROM lane_keys AS s WHERE s.lane_id = NEW.lane_id AND s.shut = 1 ORDER BY s.turn DESC LIMIT 1), 0), NEW.id
    WHERE true
    ON CONFLICT (concurrency_key, lane_id) DO NOTHING;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_key_goes AFTER UPDATE OF ready, lane_id ON task_queue
WHEN OLD.concurrency_key IS NOT NULL AND OLD.ready = 1 AND (NEW.ready = 0 OR NEW.lane_id <> OLD.lane_id)
BEGIN
    DELETE FROM lane_keys WHERE concurrency_key = OLD.concurrency_key AND lane_id = OLD.lane_id AND NOT EXISTS (
        SELECT 1 FROM task_queue AS t INDEXED BY task_queue_key_ready
        WHERE t.ready = 1 AND t.lane_id = OLD.lane_id AND t.concurrency_key = OLD.concurrency_key AND t.concurrency_key IS NOT NULL);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER task_queue_key_returns AFTER UPDATE OF ready, lane_id ON task_queue
WHEN NEW.concurrency_key IS NOT NULL AND NEW.ready = 1 AND (OLD.ready = 0 OR NEW.lane_id <> OLD.lane_id)
BEGIN
    INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id)
    SELECT NEW.lane_id, NEW.concurrency_key, 999999 + coalesce(
        (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = NEW.lane_id AND o.shut = 0 ORDER BY o.turn LIMIT 1),
        (SELECT s.turn FROM lane_keys AS s WHERE s.lane_id = NEW.lane_id AND s.shut = 1 ORDER BY s.turn DESC LIMIT 1), 0), NEW.id
    WHERE true
    ON CONFLICT (concurrency_key, lane_id) DO NOTHING;
END;
-- +goose StatementEnd

-- The end of an attempt opens the key that had reached its limit. It does not come before those that have waited.
-- +goose StatementBegin
CREATE TRIGGER task_queue_key_opens AFTER UPDATE OF status ON task_queue
WHEN OLD.concurrency_key IS NOT NULL AND OLD.status = 'processing' AND NEW.status <> 'processing'
BEGIN
    UPDATE lane_keys SET shut = 0, turn = max(turn, coalesce(
        (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = lane_keys.lane_id AND o.shut = 0 ORDER BY o.turn LIMIT 1), turn))
    WHERE concurrency_key = OLD.concurrency_key AND shut = 1 AND open_utc IS NULL
      AND lane_id IN (SELECT l.id FROM lanes AS l WHERE l.type = OLD.type);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER task_queue_key_opens;
DROP TRIGGER task_queue_key_returns;
DROP TRIGGER task_queue_key_goes;
DROP TRIGGER task_queue_key_comes;
DROP TRIGGER task_queue_key_fixed;
DROP TRIGGER task_queue_key_move;
DROP TRIGGER task_queue_key_insert;
-- Tasks with keys go to the lanes of those without.
INSERT INTO lanes (type, compatibility, priority)
SELECT k.type, rtrim(k.compatibility), k.priority FROM lanes AS k WHERE substr(k.compatibility, -1) = ' '
ON CONFLICT (type, compatibility, priority) DO NOTHING;
UPDATE task_queue SET lane_id = (
    SELECT p.id FROM lanes AS k JOIN lanes AS p ON p.type = k.type AND p.priority = k.priority AND p.compatibility = rtrim(k.compatibility)
    WHERE k.id = task_queue.lane_id)
WHERE concurrency_key IS NOT NULL;
DROP TABLE key_rates;
DROP TABLE lane_keys;
ALTER TABLE task_types DROP COLUMN per_key;
DROP INDEX task_queue_key_held;
DROP INDEX task_queue_key_ready;
ALTER TABLE task_queue DROP COLUMN concurrency_key;
