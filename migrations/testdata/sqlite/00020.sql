-- One task in each state, of which one has lost a worker and one a trace, and one operation in each status, with log, history, worker, types with rules, answers, and a schedule that has made one of the tasks, as of this version.
INSERT INTO lanes (id, type, compatibility, priority) VALUES (1, 'mail', '{}', 100), (2, 'render', '{"gpu":true}', 5), (3, 'mail', '{} ', 100);
INSERT INTO task_queue (id, lane_id, type, priority, payload, compatibility, status, outcome, attempts, max_attempts, run_after_utc, ready, fence, lease_secret, locked_by, last_worker_id, lease_until_utc, reserved_at_utc, processing_started_utc, attempt_outcome, finished_at_utc, error_message, result, idempotency_key, created_at_utc, updated_at_utc, lost, concurrency_key, error_fingerprint, traceparent) VALUES
    (1, 3, 'mail', 100, '{"to": "a@b.example"}', '{}', 'queued', NULL, 0, 5, 1769846400123456, 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'key-1', 1769846400123456, 1769846400123456, 0, 'tenant-1', NULL, '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
    (2, 1, 'mail', 100, '{}', '{}', 'queued', NULL, 1, 5, 1769932800123456, 0, 1, '0a', NULL, 'w1', NULL, NULL, NULL, 'lost', NULL, 'Lease expired: worker w1 did not report in time (attempt 1 of 5)', NULL, NULL, 1769846400123456, 1769846402123456, 1, NULL, NULL, NULL),
    (3, 2, 'render', 5, '{}', '{ "gpu": true }', 'processing', NULL, 1, 5, 1769846400123456, 0, 1, '0b', 'w1', 'w1', 1769846460123456, 1769846401123456, 1769846401123456, NULL, NULL, NULL, NULL, NULL, 1769846400123456, 1769846401123456, 0, NULL, NULL, NULL),
    (4, 2, 'render', 5, '{}', '{"gpu":true}', 'completed', 'succeeded', 1, 5, 1769846400123456, 0, 1, '0c', NULL, 'w1', NULL, NULL, 1769846401123456, 'succeeded', 1769846403123456, NULL, '{"frames":[1,2]}', NULL, 1769846400123456, 1769846403123456, 0, NULL, NULL, NULL),
    (5, 1, 'mail', 100, '{}', '{}', 'failed', 'exhausted', 1, 1, 1769846400123456, 0, 1, '0d', NULL, 'w1', NULL, NULL, 1769846401123456, 'failed', 1769846403123456, 'refused', NULL, NULL, 1769846400123456, 1769846403123456, 0, NULL, '0a1b2c3d4e5f6071', NULL);
INSERT INTO task_attempts (task_id, fence, attempt, worker_id, started_at_utc, finished_at_utc, outcome, error_message) VALUES
    (2, 1, 1, 'w1', 1769846401123456, 1769846402123456, 'lost', 'Lease expired: worker w1 did not report in time (attempt 1 of 5)'),
    (5, 1, 1, 'w1', 1769846401123456, 1769846403123456, 'failed', 'refused');
INSERT INTO task_logs (log_id, task_id, at_utc, level, message, details, fence, event) VALUES
    (1769846402123456, 3, 1769846402123456, 'info', 'half way', '{"percent": 50}', 1, NULL),
    (1769846402123456, 2, 1769846402123456, 'warning', 'Lost by w1', '{"event":"lost","worker_id":"w1","attempt":1,"fence":1,"error_message":"Lease expired: worker w1 did not report in time (attempt 1 of 5)"}', 1, 'lost'),
    (1769846403123456, 5, 1769846403123456, 'error', 'Failed: exhausted', '{"event":"failed","worker_id":"w1","attempt":1,"fence":1,"outcome":"exhausted","error_message":"refused"}', 1, 'failed');
INSERT INTO workers (worker_id, capabilities, types, registered_at_utc, heartbeat_utc) VALUES ('w1', '{"gpu": true}', '["mail", "render"]', 1769846400123456, 1769846402123456);
INSERT INTO task_types (type, paused, max_concurrency, max_attempts, retry_policy, timeout_seconds, max_payload_bytes, payload_schema, updated_at_utc, rate_limit, rate_open_utc, breaker, breaker_until_utc, lease_seconds, retention, per_key) VALUES ('mail', 0, 7, 3, '{"jitter": 0}', 1.5, 1000, '{"required": ["to"]}', 1769846402123456, '{"tasks":3,"per_seconds":60,"burst":3}', 1769846403123456, NULL, NULL, 90.5, NULL, '{"max_concurrency":2,"rate_limit":null,"weights":{"a":3}}'), ('render', 1, NULL, NULL, NULL, NULL, NULL, NULL, 1769846402123456, NULL, NULL, '{"failure_share":0.5,"min_attempts":20,"window_seconds":60,"open_seconds":30}', 1769846403123456, NULL, '{"completed_seconds":86400,"failed_seconds":null}', NULL);
INSERT INTO http_answers (request_key, fingerprint, owner, status_code, media_type, body, created_at_utc, held_until_utc, expires_at_utc) VALUES
    ('order-17', 'f1', 'o1', 201, 'application/json', '{"task_id":1}', 1769846400123456, 1769846415123456, 1769932800123456),
    ('order-18', 'f2', 'o2', NULL, NULL, NULL, 1769846400123456, 1769846415123456, 1769932800123456);
INSERT INTO operations (id, action, filter, priority, status, matched, changed, skipped, failed, done_id, upper_id, confirm_hash, expires_at_utc, runner, runner_until_utc, error_message, created_at_utc, updated_at_utc, finished_at_utc) VALUES
    (1, 'requeue', 'status:failed', NULL, 'completed', 4, 2, 1, 1, 5, 5, 'a1', 1769847000123456, 'r1', 1769846408123456, 'task 3: refused', 1769846401123456, 1769846403123456, 1769846403123456),
    (2, 'set_priority', 'type:mail', 7, 'running', 0, 0, 0, 0, 0, 5, 'a2', 1769847000123456, 'r1', 1769846408123456, NULL, 1769846401123456, 1769846403123456, NULL),
    (3, 'delete', '', NULL, 'cancelled', 1, 1, 0, 0, 4, 5, 'a3', 1769847000123456, NULL, NULL, NULL, 1769846401123456, 1769846403123456, 1769846403123456),
    (4, 'cancel', 'age>1d', NULL, 'proposed', 0, 0, 0, 0, 0, 0, 'a4', 1769847000123456, NULL, NULL, NULL, 1769846400123456, 1769846400123456, NULL);
INSERT INTO schedules (name, cron, timezone, task, misfire, max_misfires, overlap, jitter_seconds, paused, next_tick_utc, last_tick_utc, last_task_id, last_skipped, version, created_at_utc, updated_at_utc) VALUES
    ('nightly', '30 2 * * *', 'Europe/Berlin', '{"type":"mail"}', 'once', 10, 'skip', 1.5, 0, 1769909400000000, 1769823000000000, 1, NULL, 1769823000123456, 1769823000123456, 1769846400123456),
    ('resting', '@hourly', 'UTC', '{"type":"mail","payload":{"n": 1.50}}', 'all', 3, 'cancel', 0.0, 1, NULL, NULL, NULL, 'it was missed', 7, 1769823000123456, 1769846400123456);
INSERT INTO schedule_ticks (schedule, tick_utc, task_id, live) VALUES ('nightly', 1769823000000000, 1, 1), ('gone', 1769823000000000, 4, 0);
INSERT INTO task_unique_keys (type, unique_key, task_id) VALUES ('mail', 'order-17', 1), ('mail', 'order-17', 4), ('render', 'order-17', 5);
UPDATE lane_keys SET shut = 1, open_utc = 1769846400123456 WHERE concurrency_key = 'tenant-1';
INSERT INTO key_rates (type, concurrency_key, open_utc, full_utc) VALUES ('mail', 'tenant-1', 1769846400123456, 1769846400123456);
INSERT INTO task_rollups (seconds, type, at_utc, node, counts) VALUES (60, '', 1769846400000000, 'n1', '{"completed":1}'), (3600, 'mail', 1769842800000000, 'n1', '{"completed":1,"runs":{"n":1,"sum_us":2000000,"max_us":2000000,"b":{"58":1}}}');
INSERT INTO failure_groups (fingerprint, type, pattern, sample_message, sample_task_id, first_seen_utc, last_seen_utc, count) VALUES ('0a1b2c3d4e5f6071', 'mail', 'refused', 'refused', 5, 1769846401123456, 1769846403123456, 2), ('0a1b2c3d4e5f6072', '', '<other errors>', 'no', 2, 1769846403123456, 1769846403123456, 1);
INSERT INTO audit_log (at_utc, actor, action, subject, message) VALUES (1769846400000000, 'dashboard from 127.0.0.1', 'pause', 'mail', 'Type mail was paused');
INSERT INTO store_move (move_id, state, peer, since_utc) VALUES ('m1', 'arrived', 'postgres://db.example/queue', 1769846400000000);
INSERT INTO move_changes (task_id, request_key) VALUES (1, NULL), (NULL, 'order-17');
INSERT INTO api_keys (key_id, name, role, types, secret_hash, created_at_utc, expires_at_utc, revoked_at_utc, last_used_at_utc) VALUES
    ('aaaabbbbcccc', 'ops', 'admin', NULL, '0000000000000000000000000000000000000000000000000000000000000001', 1769846400123456, NULL, NULL, 1769846460123456),
    ('ddddeeeeffff', 'shop', 'producer', '["mail.*"]', '0000000000000000000000000000000000000000000000000000000000000002', 1769846400123456, 1769932800123456, 1769846401123456, NULL);
