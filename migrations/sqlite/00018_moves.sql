-- +goose Up

-- A move of the store to another database. One row while there is one, or has been: here as in the other database, under the same move_id.
-- leaving: this store is being copied, and changes of tasks and answers are noted in move_changes. fenced: it takes no changes while the last of them are
-- followed. left: it has been moved to peer, and takes no changes any more. arriving: it is being filled from peer. arrived: it has been, and is in use.
CREATE TABLE store_move (
    one       BOOLEAN   PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    move_id   TEXT      NOT NULL CHECK (move_id <> ''),
    state     TEXT      NOT NULL CHECK (state IN ('leaving', 'fenced', 'left', 'arriving', 'arrived')),
    peer      TEXT      NOT NULL, -- the other database, without a password
    copied    TEXT      NOT NULL DEFAULT '{}' CHECK (json_valid(copied)), -- how far the copy has come, here where it arrives
    since_utc TIMESTAMP NOT NULL CHECK (typeof(since_utc) = 'integer')
) WITHOUT ROWID;

-- What has changed since the copy began: the row of a task, or what belongs to it, or an answer.
CREATE TABLE move_changes (
    seq         INTEGER PRIMARY KEY,
    task_id     INTEGER,
    request_key TEXT,
    CHECK ((task_id IS NULL) <> (request_key IS NULL))
);

-- The triggers note what others than the service's own writer change, which has copies of them, and refuse it where the store has been moved.
-- +goose StatementBegin
CREATE TRIGGER move_record_task_queue_insert AFTER INSERT ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_queue_update AFTER UPDATE ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_queue_delete AFTER DELETE ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (OLD.id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_attempts_insert AFTER INSERT ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_attempts_update AFTER UPDATE ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_attempts_delete AFTER DELETE ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (OLD.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_logs_insert AFTER INSERT ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_logs_update AFTER UPDATE ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_logs_delete AFTER DELETE ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (OLD.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_schedule_ticks_insert AFTER INSERT ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_schedule_ticks_update AFTER UPDATE ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_schedule_ticks_delete AFTER DELETE ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (OLD.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_unique_keys_insert AFTER INSERT ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_unique_keys_update AFTER UPDATE ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (NEW.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_task_unique_keys_delete AFTER DELETE ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (task_id) VALUES (OLD.task_id);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_http_answers_insert AFTER INSERT ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (request_key) VALUES (NEW.request_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_http_answers_update AFTER UPDATE ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (request_key) VALUES (NEW.request_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_record_http_answers_delete AFTER DELETE ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state = 'leaving')
BEGIN
    INSERT INTO move_changes (request_key) VALUES (OLD.request_key);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lanes_update BEFORE UPDATE ON lanes WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lanes_delete BEFORE DELETE ON lanes WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_counts_insert BEFORE INSERT ON lane_counts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_counts_update BEFORE UPDATE ON lane_counts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_counts_delete BEFORE DELETE ON lane_counts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_workers_insert BEFORE INSERT ON workers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_workers_update BEFORE UPDATE ON workers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_workers_delete BEFORE DELETE ON workers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_types_insert BEFORE INSERT ON task_types WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_types_update BEFORE UPDATE ON task_types WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_types_delete BEFORE DELETE ON task_types WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_type_rules_insert BEFORE INSERT ON type_rules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_type_rules_update BEFORE UPDATE ON type_rules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_type_rules_delete BEFORE DELETE ON type_rules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_operations_insert BEFORE INSERT ON operations WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_operations_update BEFORE UPDATE ON operations WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_operations_delete BEFORE DELETE ON operations WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedules_insert BEFORE INSERT ON schedules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedules_update BEFORE UPDATE ON schedules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedules_delete BEFORE DELETE ON schedules WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_keys_insert BEFORE INSERT ON lane_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_keys_update BEFORE UPDATE ON lane_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_lane_keys_delete BEFORE DELETE ON lane_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_key_rates_insert BEFORE INSERT ON key_rates WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_key_rates_update BEFORE UPDATE ON key_rates WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_key_rates_delete BEFORE DELETE ON key_rates WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_rollups_insert BEFORE INSERT ON task_rollups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_rollups_update BEFORE UPDATE ON task_rollups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_rollups_delete BEFORE DELETE ON task_rollups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_failure_groups_insert BEFORE INSERT ON failure_groups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_failure_groups_update BEFORE UPDATE ON failure_groups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_failure_groups_delete BEFORE DELETE ON failure_groups WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_audit_log_insert BEFORE INSERT ON audit_log WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_audit_log_update BEFORE UPDATE ON audit_log WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_audit_log_delete BEFORE DELETE ON audit_log WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_queue_insert BEFORE INSERT ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_queue_update BEFORE UPDATE ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_queue_delete BEFORE DELETE ON task_queue WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_attempts_insert BEFORE INSERT ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_attempts_update BEFORE UPDATE ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_attempts_delete BEFORE DELETE ON task_attempts WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_logs_insert BEFORE INSERT ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_logs_update BEFORE UPDATE ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_logs_delete BEFORE DELETE ON task_logs WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedule_ticks_insert BEFORE INSERT ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedule_ticks_update BEFORE UPDATE ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_schedule_ticks_delete BEFORE DELETE ON schedule_ticks WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_unique_keys_insert BEFORE INSERT ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_unique_keys_update BEFORE UPDATE ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_task_unique_keys_delete BEFORE DELETE ON task_unique_keys WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_http_answers_insert BEFORE INSERT ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_http_answers_update BEFORE UPDATE ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER move_refuse_http_answers_delete BEFORE DELETE ON http_answers WHEN EXISTS (SELECT 1 FROM store_move WHERE state IN ('fenced', 'left'))
BEGIN
    SELECT RAISE(ABORT, 'the store has been moved: the row in store_move has the new place');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER move_refuse_http_answers_delete;
DROP TRIGGER move_refuse_http_answers_update;
DROP TRIGGER move_refuse_http_answers_insert;
DROP TRIGGER move_refuse_task_unique_keys_delete;
DROP TRIGGER move_refuse_task_unique_keys_update;
DROP TRIGGER move_refuse_task_unique_keys_insert;
DROP TRIGGER move_refuse_schedule_ticks_delete;
DROP TRIGGER move_refuse_schedule_ticks_update;
DROP TRIGGER move_refuse_schedule_ticks_insert;
DROP TRIGGER move_refuse_task_logs_delete;
DROP TRIGGER move_refuse_task_logs_update;
DROP TRIGGER move_refuse_task_logs_insert;
DROP TRIGGER move_refuse_task_attempts_delete;
DROP TRIGGER move_refuse_task_attempts_update;
DROP TRIGGER move_refuse_task_attempts_insert;
DROP TRIGGER move_refuse_task_queue_delete;
DROP TRIGGER move_refuse_task_queue_update;
DROP TRIGGER move_refuse_task_queue_insert;
DROP TRIGGER move_refuse_audit_log_delete;
DROP TRIGGER move_refuse_audit_log_update;
DROP TRIGGER move_refuse_audit_log_insert;
DROP TRIGGER move_refuse_failure_groups_delete;
DROP TRIGGER move_refuse_failure_groups_update;
DROP TRIGGER move_refuse_failure_groups_insert;
DROP TRIGGER move_refuse_task_rollups_delete;
DROP TRIGGER move_refuse_task_rollups_update;
DROP TRIGGER move_refuse_task_rollups_insert;
DROP TRIGGER move_refuse_key_rates_delete;
DROP TRIGGER move_refuse_key_rates_update;
DROP TRIGGER move_refuse_key_rates_insert;
DROP TRIGGER move_refuse_lane_keys_delete;
DROP TRIGGER move_refuse_lane_keys_update;
DROP TRIGGER move_refuse_lane_keys_insert;
DROP TRIGGER move_refuse_schedules_delete;
DROP TRIGGER move_refuse_schedules_update;
DROP TRIGGER move_refuse_schedules_insert;
DROP TRIGGER move_refuse_operations_delete;
DROP TRIGGER move_refuse_operations_update;
DROP TRIGGER move_refuse_operations_insert;
DROP TRIGGER move_refuse_type_rules_delete;
DROP TRIGGER move_refuse_type_rules_update;
DROP TRIGGER move_refuse_type_rules_insert;
DROP TRIGGER move_refuse_task_types_delete;
DROP TRIGGER move_refuse_task_types_update;
DROP TRIGGER move_refuse_task_types_insert;
DROP TRIGGER move_refuse_workers_delete;
DROP TRIGGER move_refuse_workers_update;
DROP TRIGGER move_refuse_workers_insert;
DROP TRIGGER move_refuse_lane_counts_delete;
DROP TRIGGER move_refuse_lane_counts_update;
DROP TRIGGER move_refuse_lane_counts_insert;
DROP TRIGGER move_refuse_lanes_delete;
DROP TRIGGER move_refuse_lanes_update;
DROP TRIGGER move_record_http_answers_delete;
DROP TRIGGER move_record_http_answers_update;
DROP TRIGGER move_record_http_answers_insert;
DROP TRIGGER move_record_task_unique_keys_delete;
DROP TRIGGER move_record_task_unique_keys_update;
DROP TRIGGER move_record_task_unique_keys_insert;
DROP TRIGGER move_record_schedule_ticks_delete;
DROP TRIGGER move_record_schedule_ticks_update;
DROP TRIGGER move_record_schedule_ticks_insert;
DROP TRIGGER move_record_task_logs_delete;
DROP TRIGGER move_record_task_logs_update;
DROP TRIGGER move_record_task_logs_insert;
DROP TRIGGER move_record_task_attempts_delete;
DROP TRIGGER move_record_task_attempts_update;
DROP TRIGGER move_record_task_attempts_insert;
DROP TRIGGER move_record_task_queue_delete;
DROP TRIGGER move_record_task_queue_update;
DROP TRIGGER move_record_task_queue_insert;
DROP TABLE move_changes;
DROP TABLE store_move;
