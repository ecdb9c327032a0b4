-- The tables of the older queue, a Python program on SQLite, as far as they are read. A column of SQLite holds values of any kind, whatever was declared for it,
-- and the file may come from anybody: so nothing is taken for granted but that there are such columns.
CREATE TABLE task_queue (
    id                     INTEGER PRIMARY KEY,
    type                   ANY,
    priority               ANY,
    payload                ANY,
    compatibility          ANY,
    status                 ANY,
    attempts               ANY,
    max_attempts           ANY,
    run_after_utc          ANY,
    lease_until_utc        ANY,
    reserved_at_utc        ANY,
    processing_started_utc ANY,
    finished_at_utc        ANY,
    locked_by              ANY,
    error_message          ANY,
    idempotency_key        ANY,
    created_at_utc         ANY,
    updated_at_utc         ANY
);

CREATE TABLE task_logs (
    log_id  INTEGER PRIMARY KEY,
    task_id ANY,
    at_utc  ANY,
    level   ANY,
    message ANY,
    details ANY
);

CREATE TABLE workers (
    worker_id     ANY,
    capabilities  ANY,
    heartbeat_utc ANY
);
