-- +goose Up

-- Whom or what the task is for: tasks of one type with the same key share limits, and keys take turns. Null: nobody's.
ALTER TABLE task_queue ADD COLUMN concurrency_key text CHECK (concurrency_key <> '');
CREATE INDEX task_queue_key_ready ON task_queue (lane_id, concurrency_key, id) WHERE ready AND concurrency_key IS NOT NULL;
CREATE INDEX task_queue_key_held ON task_queue (type, concurrency_key, lease_until_utc) WHERE status = 'processing' AND concurrency_key IS NOT NULL;
-- What holds for each key of the type: {"max_concurrency": n, "rate_limit": {...}, "weights": {...}}; null: nothing.
ALTER TABLE task_types ADD COLUMN per_key json CHECK (json_typeof(per_key) = 'object');

-- The keys that have a task to claim in a lane, and whose turn it is: the least turn comes first, of equal ones the least since_id. Each task taken moves the key on
-- by a million divided by its weight. Tasks with a key have lanes of their own, whose compatibility ends with a space.
CREATE TABLE lane_keys (
    lane_id         bigint  NOT NULL REFERENCES lanes (id),
    concurrency_key text    NOT NULL CHECK (concurrency_key <> ''),
    turn            bigint  NOT NULL,
    since_id        bigint  NOT NULL, -- the task with which the key came
    shut            boolean NOT NULL DEFAULT false, -- a claim has found that its limit or rate gives nothing
    open_utc        timestamptz, -- until when the rate does; null: until a task of the key ends
    PRIMARY KEY (concurrency_key, lane_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
CREATE INDEX lane_keys_turn ON lane_keys (lane_id, shut, turn, since_id);
CREATE INDEX lane_keys_opening ON lane_keys (open_utc) WHERE open_utc IS NOT NULL;

-- The buckets of keys that are not full: from when on the rate gives a task again, and from when on the bucket is full and its row says nothing.
CREATE TABLE key_rates (
    type            text        NOT NULL,
    concurrency_key text        NOT NULL,
    open_utc        timestamptz NOT NULL,
    full_utc        timestamptz NOT NULL,
    PRIMARY KEY (type, concurrency_key)
);
CREATE INDEX key_rates_full ON key_rates (full_utc);

CREATE TRIGGER task_queue_key_fixed BEFORE UPDATE OF concurrency_key ON task_queue FOR EACH ROW
    WHEN (NEW.concurrency_key IS DISTINCT FROM OLD.concurrency_key) EXECUTE FUNCTION task_queue_refuse('concurrency_key is fixed');

-- Whoever changes lane_keys holds this lock until the end of the transaction, so that a key neither goes while a task for it comes, nor gives what two have counted. It
-- comes before the lock on a type.
CREATE FUNCTION keys_lock() RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(7162) $$;

-- The keys follow the tasks, as the counters do. A key comes behind all that have had no turn since it came. The end of an attempt opens the key that had reached its
-- limit; it does not come before those that have waited.
-- +goose StatementBegin
CREATE FUNCTION task_queue_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM keys_lock();
    IF TG_OP = 'UPDATE' THEN
        IF OLD.ready AND (NOT NEW.ready OR NEW.lane_id <> OLD.lane_id) THEN
            DELETE FROM lane_keys AS k WHERE k.concurrency_key = OLD.concurrency_key AND k.lane_id = OLD.lane_id AND NOT EXISTS (
                SELECT 1 FROM task_queue AS t
                WHERE t.ready AND t.lane_id >= OLD.lane_id AND t.lane_id <= OLD.lane_id AND t.concurrency_key = OLD.concurrency_key
                ORDER BY t.lane_id, t.concurrency_key, t.id LIMIT 1);
        END IF;
        IF OLD.status = 'processing' AND NEW.status <> 'processing' THEN
            UPDATE lane_keys AS k SET shut = false, turn = greatest(k.turn,
                (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = k.lane_id AND o.shut = false ORDER BY o.turn LIMIT 1))
            WHERE k.concurrency_key = OLD.concurrency_key AND k.shut AND k.open_utc IS NULL
              AND EXISTS (SELECT 1 FROM lanes AS l WHERE l.id = k.lane_id AND l.type = OLD.type);
        END IF;
        IF NOT NEW.ready OR (OLD.ready AND NEW.lane_id = OLD.lane_id) THEN
            RETURN NULL;
        END IF;
    ELSIF NOT EXISTS (SELECT 1 FROM lanes AS l WHERE l.id = NEW.lane_id AND right(l.compatibility, 1) = ' ') THEN
        RAISE EXCEPTION 'task_queue: a task with a concurrency_key has a lane whose compatibility ends with a space' USING ERRCODE = 'check_violation';
    ELSIF NOT NEW.ready THEN
        RETURN NULL;
    END IF;
    INSERT INTO lane_keys (lane_id, concurrency_key, turn, since_id)
    SELECT NEW.lane_id, NEW.concurrency_key, 999999 + coalesce(
        (SELECT o.turn FROM lane_keys AS o WHERE o.lane_id = NEW.lane_id AND o.shut = false ORDER BY o.turn LIMIT 1),
        (SELECT s.turn FROM lane_keys AS s WHERE s.lane_id = NEW.lane_id AND s.shut = true ORDER BY s.turn DESC LIMIT 1), 0), NEW.id
    ON CONFLICT (concurrency_key, lane_id) DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER task_queue_key_insert AFTER INSERT ON task_queue FOR EACH ROW WHEN (NEW.concurrency_key IS NOT NULL) EXECUTE FUNCTION task_queue_keys();
CREATE TRIGGER task_queue_key_update AFTER UPDATE OF status, ready, lane_id ON task_queue FOR EACH ROW
    WHEN (OLD.concurrency_key IS NOT NULL AND (OLD.ready <> NEW.ready OR OLD.lane_id <> NEW.lane_id OR OLD.status = 'processing' AND NEW.status <> 'processing'))
    EXECUTE FUNCTION task_queue_keys();

-- +goose Down
DROP TRIGGER task_queue_key_update ON task_queue;
DROP TRIGGER task_queue_key_insert ON task_queue;
DROP TRIGGER task_queue_key_fixed ON task_queue;
DROP FUNCTION task_queue_keys();
DROP FUNCTION keys_lock();
-- Tasks with keys go to the lanes of those without.
INSERT INTO lanes (type, compatibility, priority)
SELECT k.type, rtrim(k.compatibility), k.priority FROM lanes AS k WHERE right(k.compatibility, 1) = ' '
ON CONFLICT (type, lane_hash(compatibility), priority) DO NOTHING;
UPDATE task_queue AS t SET lane_id = p.id
FROM lanes AS k JOIN lanes AS p ON p.type = k.type AND p.priority = k.priority AND p.compatibility = rtrim(k.compatibility)
WHERE t.concurrency_key IS NOT NULL AND k.id = t.lane_id AND right(k.compatibility, 1) = ' ';
DROP TABLE key_rates;
DROP TABLE lane_keys;
ALTER TABLE task_types DROP COLUMN per_key;
DROP INDEX task_queue_key_held;
DROP INDEX task_queue_key_ready;
ALTER TABLE task_queue DROP COLUMN concurrency_key;
