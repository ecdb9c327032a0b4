-- +goose Up

-- A move of the store to another database. One row while there is one, or has been: here as in the other database, under the same move_id.
-- leaving: this store is being copied, and changes of tasks and answers are noted in move_changes. fenced: it takes no changes while the last of them are
-- followed. left: it has been moved to peer, and takes no changes any more. arriving: it is being filled from peer. arrived: it has been, and is in use.
CREATE TABLE store_move (
    one       boolean     PRIMARY KEY DEFAULT true CHECK (one),
    move_id   text        NOT NULL CHECK (move_id <> ''),
    state     text        NOT NULL CHECK (state IN ('leaving', 'fenced', 'left', 'arriving', 'arrived')),
    peer      text        NOT NULL, -- the other database, without a password
    copied    text        NOT NULL DEFAULT '{}' CHECK (copied::json IS NOT NULL), -- how far the copy has come, here where it arrives
    since_utc timestamptz NOT NULL
);

-- What has changed since the copy began: the row of a task, or what belongs to it, or an answer.
CREATE TABLE move_changes (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id     bigint,
    request_key text,
    CHECK ((task_id IS NULL) <> (request_key IS NULL))
);

-- The triggers that note changes, and those that refuse them, are switched off until there is a move, and cost nothing.
-- +goose StatementBegin
CREATE FUNCTION move_record_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO move_changes (task_id) VALUES (coalesce(NEW.id, OLD.id));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION move_record_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO move_changes (task_id) VALUES (coalesce(NEW.task_id, OLD.task_id));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION move_record_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO move_changes (request_key) VALUES (coalesce(NEW.request_key, OLD.request_key));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION move_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the store has been moved to %', (SELECT m.peer FROM store_move AS m)
        USING ERRCODE = 'TQ001', DETAIL = (SELECT m.state FROM store_move AS m), HINT = (SELECT m.peer FROM store_move AS m);
END
$$;
-- +goose StatementEnd
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON task_queue FOR EACH ROW EXECUTE FUNCTION move_record_task();
ALTER TABLE task_queue DISABLE TRIGGER move_record;
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON task_attempts FOR EACH ROW EXECUTE FUNCTION move_record_part();
ALTER TABLE task_attempts DISABLE TRIGGER move_record;
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON task_logs FOR EACH ROW EXECUTE FUNCTION move_record_part();
ALTER TABLE task_logs DISABLE TRIGGER move_record;
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON schedule_ticks FOR EACH ROW EXECUTE FUNCTION move_record_part();
ALTER TABLE schedule_ticks DISABLE TRIGGER move_record;
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON task_unique_keys FOR EACH ROW EXECUTE FUNCTION move_record_part();
ALTER TABLE task_unique_keys DISABLE TRIGGER move_record;
CREATE TRIGGER move_record AFTER INSERT OR UPDATE OR DELETE ON http_answers FOR EACH ROW EXECUTE FUNCTION move_record_answer();
ALTER TABLE http_answers DISABLE TRIGGER move_record;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON lanes FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE lanes DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON lane_counts FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE lane_counts DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON workers FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE workers DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_types FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_types DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON type_rules FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE type_rules DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON operations FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE operations DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON schedules FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE schedules DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON lane_keys FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE lane_keys DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON key_rates FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE key_rates DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_rollups FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_rollups DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON failure_groups FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE failure_groups DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON audit_log FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE audit_log DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_queue FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_queue DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_attempts FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_attempts DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_logs FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_logs DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON schedule_ticks FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE schedule_ticks DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON task_unique_keys FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE task_unique_keys DISABLE TRIGGER move_refuse;
CREATE TRIGGER move_refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON http_answers FOR EACH STATEMENT EXECUTE FUNCTION move_refuse();
ALTER TABLE http_answers DISABLE TRIGGER move_refuse;

-- Switches the triggers on or off. Each change of a table waits for those who write to it, and comes before those who will.
-- +goose StatementBegin
CREATE FUNCTION move_triggers(recording boolean, refusing boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    g record;
BEGIN
    FOR g IN SELECT t.tgrelid::regclass AS place, t.tgname AS name, CASE t.tgname WHEN 'move_record' THEN recording ELSE refusing END AS wanted
             FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
             WHERE t.tgname IN ('move_record', 'move_refuse') AND pg_table_is_visible(c.oid)
               AND (t.tgenabled <> 'D') <> CASE t.tgname WHEN 'move_record' THEN recording ELSE refusing END
             ORDER BY c.relname = 'task_queue' DESC, c.relname
    LOOP
        EXECUTE format('ALTER TABLE %s %s TRIGGER %I', g.place, CASE WHEN g.wanted THEN 'ENABLE' ELSE 'DISABLE' END, g.name);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- Switches all triggers of the schema off, so that rows can be written as they are, or on again.
-- +goose StatementBegin
CREATE FUNCTION move_silence(silent boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    place regclass;
BEGIN
    FOR place IN SELECT DISTINCT t.tgrelid::regclass FROM pg_trigger AS t WHERE t.tgname = 'move_refuse' AND pg_table_is_visible(t.tgrelid)
    LOOP
        EXECUTE format('ALTER TABLE %s %s TRIGGER USER', place, CASE WHEN silent THEN 'DISABLE' ELSE 'ENABLE' END);
    END LOOP;
    PERFORM move_triggers(false, false);
END
$$;
-- +goose StatementEnd

-- Gathers the statistics that the planner goes by.
-- +goose StatementBegin
CREATE FUNCTION move_analyze() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    ANALYZE;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION move_analyze();
DROP FUNCTION move_silence(boolean);
DROP FUNCTION move_triggers(boolean, boolean);
DROP TRIGGER move_refuse ON http_answers;
DROP TRIGGER move_refuse ON task_unique_keys;
DROP TRIGGER move_refuse ON schedule_ticks;
DROP TRIGGER move_refuse ON task_logs;
DROP TRIGGER move_refuse ON task_attempts;
DROP TRIGGER move_refuse ON task_queue;
DROP TRIGGER move_refuse ON audit_log;
DROP TRIGGER move_refuse ON failure_groups;
DROP TRIGGER move_refuse ON task_rollups;
DROP TRIGGER move_refuse ON key_rates;
DROP TRIGGER move_refuse ON lane_keys;
DROP TRIGGER move_refuse ON schedules;
DROP TRIGGER move_refuse ON operations;
DROP TRIGGER move_refuse ON type_rules;
DROP TRIGGER move_refuse ON task_types;
DROP TRIGGER move_refuse ON workers;
DROP TRIGGER move_refuse ON lane_counts;
DROP TRIGGER move_refuse ON lanes;
DROP TRIGGER move_record ON http_answers;
DROP TRIGGER move_record ON task_unique_keys;
DROP TRIGGER move_record ON schedule_ticks;
DROP TRIGGER move_record ON task_logs;
DROP TRIGGER move_record ON task_attempts;
DROP TRIGGER move_record ON task_queue;
DROP FUNCTION move_refuse();
DROP FUNCTION move_record_answer();
DROP FUNCTION move_record_part();
DROP FUNCTION move_record_task();
DROP TABLE move_changes;
DROP TABLE store_move;
