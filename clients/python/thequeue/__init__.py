"""The Queue for Python: a client, a worker, and background tasks that outlive their process. The standard library is all it needs."""

from .aio import AsyncClient
from .background import BackgroundTaskManager, Interrupted
from .client import Client
from .errors import (
    AnswerError, BackupUnusable, Busy, Conflict, ConnectionFailed, Denied, DiskFull, FieldError, Invalid, KeyReused, LeaseLost, NotFound, QueueError,
    ResultUnknown,
    ServerFault,
)
from .queued import QueuedTaskManager, create_queued_task_manager, create_task_manager
from .routed import RoutedTaskManager, Routes, read_routes
from .runs import Registry, Run, RunRegistry, RunStatus
from .types import format_time, parse_time
from .worker import Handler, Job, Reject, RetryAfter, Snooze, Stopped, Worker

__version__ = "1.0.0"

__all__ = [
    "AnswerError", "AsyncClient", "BackgroundTaskManager", "BackupUnusable", "Busy", "Client", "Conflict", "ConnectionFailed", "Denied", "DiskFull",
    "FieldError", "Handler",
    "Interrupted", "Invalid", "Job", "KeyReused", "LeaseLost", "NotFound", "QueueError", "QueuedTaskManager", "Registry", "Reject",
    "ResultUnknown",
    "RetryAfter", "RoutedTaskManager", "Routes", "Run", "RunRegistry", "RunStatus", "ServerFault", "Snooze", "Stopped", "Worker", "create_queued_task_manager",
    "create_task_manager",
    "format_time", "parse_time", "read_routes",
]
