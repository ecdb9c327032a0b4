"""The JSON of the API as types: every answer is a dict as the server sent it.

Answers may gain fields; those named here stay. Times are RFC 3339 texts in UTC; :func:`parse_time` reads them.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any, Literal, Mapping, Sequence, TypedDict, Union

Json = Any
"""Any JSON value: dict, list, str, int, float, bool or None."""

Status = Literal["queued", "processing", "completed", "failed"]
Outcome = Literal["succeeded", "cancelled", "exhausted", "rejected", "expired"]
Strategy = Literal["fifo", "lifo", "priority", "weighted_random"]
RunWord = Literal["queued", "running", "completed", "failed", "cancelled"]
Level = Literal["debug", "info", "warning", "error"]
Role = Literal["producer", "worker", "viewer", "operator", "admin"]
Action = Literal["cancel", "requeue", "delete", "set_priority"]
Time = Union[datetime, str]
"""An instant: a datetime (without a time zone it is UTC) or an RFC 3339 text."""

_FRACTION = re.compile(r"\.(\d+)")


def parse_time(text: str) -> datetime:
    """Read a time of the API, to the microsecond, as a datetime in UTC."""
    text = _FRACTION.sub(lambda m: "." + m[1][:6].ljust(6, "0"), text.replace("Z", "+00:00"))
    return datetime.fromisoformat(text).astimezone(timezone.utc)


def format_time(when: Time) -> str:
    """Write an instant as the API reads it."""
    if isinstance(when, str):
        return when
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return when.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


class RetryPolicy(TypedDict, total=False):
    """The n-th retry waits ``min(initial_seconds * multiplier**(n-1), max_seconds) * (1 ± jitter)``."""

    initial_seconds: float
    multiplier: float
    max_seconds: float
    jitter: float


class _NewTaskRequired(TypedDict):
    type: str


class NewTask(_NewTaskRequired, total=False):
    """A task to be enqueued; only ``type`` must be there. Times are texts or datetimes."""

    priority: int
    payload: Mapping[str, Json]
    compatibility: Mapping[str, Json]
    max_attempts: int
    run_after_utc: Time
    deadline_utc: Time
    timeout_seconds: float
    retry_policy: RetryPolicy
    idempotency_key: str
    concurrency_key: str
    unique_key: str
    unique_scope: Literal["queued", "live", "period"]
    unique_period_seconds: float
    traceparent: str


class Receipt(TypedDict):
    """What a producer learns of a task. ``created`` is false when the key was known and this is the task that has it."""

    task_id: int
    status: Status
    created_at_utc: str
    created: bool


class Task(TypedDict, total=False):
    """A task. ``traceparent`` and ``error_fingerprint`` may be absent, all others are always there."""

    task_id: int
    type: str
    status: Status
    outcome: Outcome | None
    priority: int
    attempts: int
    max_attempts: int
    lost: int
    quarantined: bool
    payload: dict[str, Json]
    compatibility: dict[str, Json]
    run_after_utc: str
    deadline_utc: str | None
    timeout_seconds: float | None
    retry_policy: RetryPolicy | None
    locked_by: str | None
    last_worker_id: str | None
    fence: int
    lease_until_utc: str | None
    reserved_at_utc: str | None
    processing_started_utc: str | None
    attempt_outcome: str | None
    finished_at_utc: str | None
    error_message: str | None
    error_fingerprint: str
    result: Json
    progress: int | None
    progress_message: str | None
    idempotency_key: str | None
    concurrency_key: str | None
    traceparent: str
    created_at_utc: str
    updated_at_utc: str


class Lease(Task, total=False):
    """A claimed task with the token that every further call about it carries."""

    lease_token: str


class Cancelled(TypedDict):
    """The status that the task has now; ``message`` is "Task cancelled successfully" when this call did it."""

    task_id: int
    status: Status
    message: str


class Attempt(TypedDict):
    """One attempt of a task; outcome and end are None while it runs."""

    attempt: int
    fence: int
    worker_id: str
    started_at_utc: str
    finished_at_utc: str | None
    outcome: str | None
    error_message: str | None
    duration_seconds: float | None


class _ReasonRequired(TypedDict):
    code: str
    message: str


class Reason(_ReasonRequired, total=False):
    """Why a task does not run, or what has become of it."""

    until_utc: str
    details: dict[str, Json]


class Explanation(TypedDict):
    """The reasons in the order in which they must be dealt with."""

    task_id: int
    status: Status
    reasons: list[Reason]


class Stranded(TypedDict):
    """Queued tasks that no live worker may take."""

    type: str
    compatibility: dict[str, Json]
    priority: int
    ready_tasks: int
    scheduled_tasks: int
    reason: Reason


class LogLine(TypedDict):
    """One line of the log of a task."""

    log_id: int
    task_id: int
    at_utc: str
    level: Level
    message: str
    details: Json


class RunEntry(TypedDict):
    """A task as clients of the older task manager know it."""

    run_id: str
    module_id: str
    module_name: str
    status: RunWord
    parameters: dict[str, Json] | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    duration_seconds: int | None
    progress_percent: int | None
    items_processed: int | None
    items_total: int | None
    exit_code: int | None
    error_message: str | None
    task_id: int


class RunPage(TypedDict):
    """Runs, newest first, and how many there are in all."""

    runs: list[RunEntry]
    total: int
    limit: int
    offset: int


class RunLine(TypedDict):
    """One line of the log of a run."""

    timestamp: str
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    message: str
    log_id: int


class RunLog(TypedDict):
    """The end of the log of a run."""

    run_id: str
    logs: list[RunLine]
    total_lines: int
    truncated: bool


class RecentLogLine(LogLine):
    """A line of the logs of all tasks, with the type of its task."""

    type: str


class DeletedLogs(TypedDict):
    """How many lines were deleted, or found by a dry run; ``more``: call again."""

    before_utc: str
    lines: int
    dry_run: bool
    more: bool


class Event(TypedDict, total=False):
    """Something that has happened to a task. ``event`` is "missed", with no other field, when some before it were not kept any more."""

    event_id: int
    event: str
    at_utc: str
    task_id: int
    type: str
    status: Status
    outcome: Outcome | None
    priority: int
    attempts: int
    max_attempts: int
    worker_id: str | None
    progress: int | None
    level: Level | None
    message: str | None


class Stats(TypedDict):
    """Exact counts of one instant."""

    total_tasks: int
    queued_tasks: int
    processing_tasks: int
    completed_tasks: int
    failed_tasks: int
    oldest_queued_age_seconds: float | None
    ready_tasks: int
    scheduled_tasks: int
    deleted_tasks: int


class Spread(TypedDict):
    """How long many things took, in seconds; None where there are none."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


class Depth(TypedDict):
    """How many tasks there are now."""

    queued_tasks: int
    ready_tasks: int
    scheduled_tasks: int
    processing_tasks: int
    completed_tasks: int
    failed_tasks: int
    oldest_queued_age_seconds: float | None


class Figures(TypedDict):
    """What has happened in a window."""

    enqueued: int
    claimed: int
    completed: int
    failed: int
    exhausted: int
    rejected: int
    expired: int
    cancelled: int
    retries: int
    released: int
    lost: int
    success_rate: float | None
    failure_rate: float | None
    completed_per_minute: float
    retried_share: float | None
    mean_attempts: float | None
    processing_seconds: Spread
    start_latency_seconds: Spread


class TypeFigures(Figures):
    """The figures of one type."""

    type: str
    depth: Depth


class HealthProblem(TypedDict):
    """Something that is wrong; ``subject`` is the type, worker, schedule or task it is about, empty for the whole."""

    code: str
    severity: Literal["warning", "critical"]
    message: str
    subject: str


class QueueHealth(TypedDict):
    """Whether the whole queue does well; the gravest problem is first."""

    status: Literal["ok", "warning", "critical"]
    problems: list[HealthProblem]


class WorkerCounts(TypedDict):
    """How many workers there are."""

    total: int
    live: int
    busy: int
    draining: int
    stale: int
    held_tasks: int


class Metrics(Figures):
    """How the queue does; ``type`` is None for all types."""

    from_utc: str
    to_utc: str
    type: str | None
    depth: Depth
    types: list[TypeFigures]
    workers: WorkerCounts
    health: QueueHealth


class Point(Figures):
    """The figures of one minute or hour."""

    from_utc: str
    seconds: int
    ready_tasks: int
    scheduled_tasks: int
    processing_tasks: int
    oldest_queued_age_seconds: float


class Pulse(TypedDict):
    """The answer to a heartbeat. ``cancel_requested``: stop, the lease is over. ``drain``: finish this and take no other."""

    lease_until_utc: str | None
    cancel_requested: bool
    drain: bool


class WorkerPulse(TypedDict):
    """The answer to the heartbeat of a worker."""

    drain: bool


class WorkerEntry(TypedDict):
    """A worker in the registry; ``types`` is None for every type."""

    worker_id: str
    capabilities: dict[str, Json]
    types: list[str] | None
    drain: bool
    registered_at_utc: str
    heartbeat_utc: str


class HeldTask(TypedDict):
    """A task that a worker holds."""

    task_id: int
    type: str
    worker_id: str
    lease_until_utc: str


class WorkerStatus(WorkerEntry, total=False):
    """A worker and how it does; ``tasks`` is there only when one worker was asked for that holds some."""

    state: Literal["live", "draining", "stale"]
    held_tasks: int
    completed_per_minute: float
    failed_per_minute: float
    tasks: list[HeldTask]


class CleanedWorkers(TypedDict):
    """Ids of the stale workers that were removed, and of those that were kept because they hold tasks."""

    deleted: list[str]
    kept: list[str]


class RateLimit(TypedDict, total=False):
    """So many ``tasks`` in ``per_seconds``, at most ``burst`` at once after a pause."""

    tasks: int
    per_seconds: float
    burst: int


class Breaker(TypedDict, total=False):
    """When claims stop because too many attempts fail."""

    failure_share: float
    min_attempts: int
    window_seconds: float
    open_seconds: float


class Retention(TypedDict, total=False):
    """How long ended tasks are kept; None: for good."""

    completed_seconds: float | None
    failed_seconds: float | None


class PerKey(TypedDict, total=False):
    """What holds for each concurrency key by itself."""

    max_concurrency: int | None
    rate_limit: RateLimit | None
    weights: dict[str, int] | None


class TypeRules(TypedDict, total=False):
    """The rules of a type; what is absent has no limit, or the default. ``paused``: absent, it stays as it is."""

    paused: bool | None
    max_concurrency: int | None
    max_attempts: int | None
    retry_policy: RetryPolicy | None
    timeout_seconds: float | None
    payload_schema: dict[str, Json] | None
    max_payload_bytes: int | None
    rate_limit: RateLimit | None
    breaker: Breaker | None
    lease_seconds: float | None
    retention: Retention | None
    per_key: PerKey | None


class TaskType(TypeRules):
    """A type: its rules and how many tasks it has."""

    type: str
    updated_at_utc: str | None
    rate_open_utc: str | None
    breaker_until_utc: str | None
    queued_tasks: int
    ready_tasks: int
    scheduled_tasks: int
    processing_tasks: int
    completed_tasks: int
    failed_tasks: int


class Proposal(TypedDict):
    """What an operation would change, and the token that starts it."""

    action: Action
    filter: str
    priority: int | None
    matched: int
    at_least: bool
    sample: list[Task]
    confirm_token: str
    expires_at_utc: str


class Operation(TypedDict):
    """A change of every task that a filter finds, and how far it has come."""

    id: int
    action: Action
    filter: str
    priority: int | None
    status: Literal["running", "completed", "cancelled"]
    matched: int
    changed: int
    skipped: int
    failed: int
    done_id: int
    upper_id: int
    error_message: str | None
    created_at_utc: str
    updated_at_utc: str
    finished_at_utc: str | None


class FailureSample(TypedDict):
    """The last failure of its kind."""

    task_id: int
    error_message: str


class Failure(TypedDict):
    """Failures for one reason."""

    failure_id: str
    pattern: str
    count: int
    failed_tasks: int
    at_least: bool
    first_seen_utc: str
    last_seen_utc: str
    types: list[str]
    sample: FailureSample


class _ScheduleRequired(TypedDict):
    cron: str
    task: NewTask


class ScheduleSpec(_ScheduleRequired, total=False):
    """A schedule to be set; ``cron`` and ``task`` must be there."""

    timezone: str
    misfire: Literal["skip", "once", "all"]
    max_misfires: int
    overlap: Literal["allow", "skip", "cancel"]
    jitter_seconds: float
    paused: bool


class Schedule(ScheduleSpec):
    """A schedule and its last and next tick."""

    name: str
    next_tick_utc: str | None
    last_tick_utc: str | None
    last_task_id: int | None
    last_skipped: str | None
    created_at_utc: str
    updated_at_utc: str


class Occurrence(TypedDict):
    """A time of a schedule: in UTC, on the clocks of its time zone, and when its task may run."""

    tick_utc: str
    local: str
    run_after_utc: str


class ApiKey(TypedDict):
    """An API key, without its secret; ``types`` are patterns of the task types that it is limited to, None for all types."""

    key_id: str
    name: str
    role: Role
    types: list[str] | None
    created_at_utc: str
    expires_at_utc: str | None
    revoked_at_utc: str | None
    last_used_at_utc: str | None


class NewApiKey(ApiKey):
    """A key that has just been made: ``key`` is shown this once."""

    key: str


class Backup(TypedDict):
    """A backup of the database; ``state`` is running, complete or failed."""

    name: str
    file: str
    state: Literal["running", "complete", "failed"]
    size_bytes: int
    created_at_utc: str
    schema_version: int | None
    compressed: bool
    sha256: str | None
    verified_at_utc: str | None
    progress: int
    error_message: str | None


class TableStats(TypedDict):
    """The sizes of a table."""

    name: str
    rows: int | None
    estimated: bool
    bytes: int | None
    dead_rows: int | None


class Running(TypedDict):
    """A long piece of maintenance that the server does."""

    verb: str


class DatabaseStats(TypedDict):
    """The sizes of the database; what an engine does not tell is None."""

    engine: Literal["sqlite", "postgres"]
    version: str
    bytes: int
    wal_bytes: int | None
    page_bytes: int
    pages: int | None
    free_pages: int | None
    auto_vacuum: str | None
    disk_free: int | None
    tables: list[TableStats]
    running: Running | None


class Checkpoint(TypedDict):
    """What a checkpoint came to."""

    mode: str
    busy: bool
    log_pages: int | None
    checkpointed_pages: int | None
    note: str


class Vacuum(TypedDict):
    """What a vacuum has done."""

    full: bool
    bytes_before: int
    bytes_after: int
    freed_pages: int | None
    free_pages: int | None
    stopped: bool
    note: str


class VacuumCost(TypedDict):
    """What a full vacuum would take."""

    bytes: int
    needs_bytes: int
    free_bytes: int | None
    estimated_seconds: float
    message: str


class Analysis(TypedDict):
    """The tables of which the planner has learned, and those that were too large for that."""

    tables: list[str]
    skipped: list[str]
    stopped: bool


class Integrity(TypedDict):
    """What a check of the database has found; ``ok`` is None where it was not checked to its end."""

    ok: bool | None
    problems: list[str]
    checked: list[str]
    stopped: bool
    note: str


class Optimization(TypedDict):
    """What an optimization has done."""

    full: bool
    analyzed: list[str]
    vacuum: Vacuum | None
    checkpoint: Checkpoint | None
    stopped: bool


class Retained(TypedDict):
    """What was deleted since its retention was over."""

    tasks: int
    types: dict[str, int]
    lines: int
    stopped: bool


class Reclaimed(TypedDict):
    """What has become of the tasks whose leases had run out."""

    requeued: int
    failed: int


class Health(TypedDict):
    """Whether the server lives or is ready."""

    status: Literal["live", "ready"]
    version: str


class Page(TypedDict):
    """One page of a list of tasks; ``cursor`` is that of the next, None on the last."""

    tasks: list[Task]
    cursor: str | None


Names = Union[str, Sequence[str]]
"""One name or several."""
