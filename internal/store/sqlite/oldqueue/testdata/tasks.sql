-- One task for each thing that can have become of it; the times are in every form in which they were written.
INSERT INTO task_queue (id, type, priority, payload, compatibility, status, attempts, max_attempts, run_after_utc, lease_until_utc, reserved_at_utc, processing_started_utc,
                        finished_at_utc, locked_by, error_message, idempotency_key, created_at_utc, updated_at_utc) VALUES
(1, 'mail', 100, '{"to": "ada", "n": 12345678901234567890.10}', '{}', 'queued', 0, 5, '2025-11-05 08:00:00', NULL, NULL, NULL, NULL, NULL, NULL, 'order-1', '2025-11-05 08:00:00', '2025-11-05 08:00:00'),
(2, 'mail', 5, '{}', '{"region": "eu"}', 'queued', 2, 5, '2999-01-01T09:30:00.250000+02:00', NULL, NULL, '2025-11-05 08:05:00', NULL, NULL, 'TimeoutError: no answer', NULL, '2025-11-05 08:00:01', '2025-11-05 08:05:02'),
(3, 'mail', 100, '{}', '{}', 'queued', 3, 3, '2025-11-05 08:00:02', NULL, NULL, NULL, NULL, NULL, 'ValueError: bad', NULL, '2025-11-05 08:00:02', '2025-11-05 08:00:09'),
(4, 'video', 1000, '{"format": "mp4"}', '{}', 'leased', 1, 5, '2025-11-05T08:00:03Z', '2025-11-05 08:11:03', '2025-11-05 08:10:03', '2025-11-05 08:10:04', NULL, 'worker-1', 'OSError: disk', NULL, '2025-11-05T08:00:03Z', '2025-11-05 08:10:04'),
(5, 'video', 1, '{}', '{}', 'processing', 2, 3, '2025-11-05T08:00:04+00:00', '2025-11-05 08:15:03', '2025-11-05 08:10:05', '2025-11-05 08:10:05', NULL, 'worker-2', NULL, 'video-5', '2025-11-05T08:00:04+00:00', '2025-11-05 08:10:05'),
(6, 'video', 100, '{}', '{}', 'completed', 0, 5, '2025-11-05T08:00:05.123456', NULL, '2025-11-05 08:01:00', '2025-11-05 08:01:01', '2025-11-05 08:01:31', 'worker-1', NULL, NULL, '2025-11-05T08:00:05.123456', '2025-11-05 08:01:31'),
(7, 'video', 100, '{}', '{}', 'completed', 2, 3, '2025-11-05T08:00:06.5+0000', NULL, NULL, NULL, '2025-11-05 08:02:31', NULL, 'RuntimeError: once', NULL, '2025-11-05T08:00:06.5+0000', '2025-11-05 08:02:31'),
(8, 'mail', 100, '{}', '{}', 'failed', 5, 5, '2025-11-05 08:00:07+00:00', NULL, '2025-11-05 08:03:00', '2025-11-05 08:03:01', '2025-11-05 08:03:02', 'worker-1', 'SMTPError: 550', NULL, '2025-11-05 08:00:07+00:00', '2025-11-05 08:03:02'),
(9, 'mail', 100, '{}', '{}', 'failed', 1, 5, '2025-11-05 03:00:08-05', NULL, '2025-11-05 08:03:00', '2025-11-05 08:03:01', '2025-11-05 08:03:02', 'worker-1', 'ValueError: never', NULL, '2025-11-05 03:00:08-05', '2025-11-05 08:03:02'),
(10, 'mail', 100, '{}', '{}', 'failed', 0, 5, '2025-11-05 08:00:09.000001', NULL, NULL, NULL, '2025-11-05 08:04:00', NULL, 'Cancelled by user', NULL, '2025-11-05 08:00:09.000001', '2025-11-05 08:04:00'),
(11, 'mail', 100, '{}', '{}', 'failed', 0, 5, '2025-11-05 08:00:10', '2025-11-05 08:05:00', '2025-11-05 08:04:00', '2025-11-05 08:04:01', '2025-11-05 07:04:30', 'worker-2', 'Cancelled by user', NULL, '2025-11-05 08:00:10', '2025-11-05 07:04:30'),
(12, 'mail', 100, '{}', '{}', 'dead_letter', 7, 5, '2025-11-05 08:00:11', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2025-11-05 08:00:11', '2025-11-05 08:06:00');

INSERT INTO task_logs (task_id, at_utc, level, message, details) VALUES
(6, '2025-11-05 08:00:30', 'DEBUG', 'Status transition: queued to leased', '{"from_status": "queued"}'),
(6, '2025-11-05 08:01:10', 'INFO', 'halfway', NULL),
(6, '2025-11-05 08:01:10', 'WARNING', 'slow', 'not JSON'),
(8, '2025-11-05T08:03:01.500000+00:00', 'CRITICAL', 'gave up', NULL),
(8, '2025-11-05 08:03:02', 'fatal', NULL, NULL);

INSERT INTO workers (worker_id, capabilities, heartbeat_utc) VALUES
('worker-1', '{"region": "eu"}', '2025-11-05 08:10:00'),
('worker-2', '{}', '2025-11-05T08:10:30Z');
