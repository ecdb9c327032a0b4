"""QueuedTaskManager and the switch between backends, as programs for the older queue know them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import datetime, timezone
from typing import Any, Awaitable, Callable, Literal, Mapping, Union

from .background import BackgroundTaskManager, RunHandler
from .client import Client
from .errors import NotFound, QueueError
from .runs import ENDED, Registry, put, put_status, status_of
from .types import Json, Task
from .worker import Handler, Worker

log = logging.getLogger("thequeue")

Backend = Literal["in-memory", "queue"]
_WORDS = {"queued": "queued", "processing": "running", "completed": "completed", "failed": "failed"}


class QueuedTaskManager:
    """Puts runs and tasks into a queue, where workers execute them by their handlers: coroutines that are passed in are not run.

    The methods of :class:`~thequeue.BackgroundTaskManager`, and ``register_task``, ``schedule_task`` and ``get_task_status``. Handlers that
    are registered here run in this process between :meth:`start_workers` and :meth:`stop_workers`; workers elsewhere may take the tasks as
    well.
    """

    def __init__(self, queue: str | Client, registry: Registry) -> None:
        """Make a manager on a server, named by its base URL or a client."""
        self.queue = Client(queue) if isinstance(queue, str) else queue
        self.registry = registry
        self.tasks: dict[str, int] = {}
        """The ids of tasks by run_id, of the runs that were not seen to have ended."""
        self.handlers: dict[str, Handler] = {}
        self._worker: Worker | None = None
        self._serving: asyncio.Task[None] | None = None

    async def register_task(self, task_type: str, handler: Handler, description: str = "") -> None:
        """Register the handler of a type; it is given a :class:`~thequeue.Job`. ValueError when the type has one."""
        if not task_type:
            raise ValueError("task_type: must not be empty")
        if not callable(handler):
            raise ValueError("handler: must be callable")
        if task_type in self.handlers:
            raise ValueError(f"task_type: {task_type!r} has a handler already")
        self.handlers[task_type] = handler

    def start_task(self, run: Any, coro: Union[Awaitable[Any], Callable[[], Any], None] = None) -> str:
        """Enqueue a run and return its id. ``coro`` is not run. It waits for the queue, so it is stored when this returns."""
        if inspect.iscoroutine(coro):
            coro.close()
        receipt = self.queue.enqueue(run.module_id, getattr(run, "parameters", None) or {}, idempotency_key=run.run_id)
        self.tasks[run.run_id] = receipt["task_id"]
        put_status(run, "queued")
        self.registry.update_run(run)
        return str(run.run_id)

    async def schedule_task(self, task_type: str, payload: Mapping[str, Json], priority: int = 100, run_after: datetime | None = None,
                            idempotency_key: str | None = None) -> str:
        """Enqueue a task, for later where ``run_after`` says so, and return its id. A known key gives the task that has it."""
        receipt = await asyncio.to_thread(self.queue.enqueue, task_type, payload, priority=priority, run_after=run_after,
            idempotency_key=idempotency_key)
        return str(receipt["task_id"])

    async def get_task_status(self, task_id: str) -> dict[str, Any]:
        """Return what is known of a task, by its id or the id of its run: task_id, status (queued, running, completed, failed), type,
        attempts, max_attempts, error_message, created_at, started_at, finished_at, locked_by. Status is not_found or error, with ``error``,
        when there is none."""
        try:
            task = await self._find(task_id)
        except QueueError as e:
            return {"status": "error", "task_id": task_id, "error": str(e)}
        if task is None:
            return {"status": "not_found", "task_id": task_id, "error": "Task not found"}
        self._note(task)
        return {
            "task_id": task["task_id"], "status": _WORDS[task["status"]], "type": task["type"], "attempts": task["attempts"],
            "max_attempts": task["max_attempts"], "error_message": task["error_message"], "created_at": task["created_at_utc"],
            "started_at": task["processing_started_utc"], "finished_at": task["finished_at_utc"], "locked_by": task["locked_by"]}

    async def cancel_task(self, run_id: str) -> bool:
        """Cancel a task, by the id of its run or its own; true only if this cancelled it."""
        try:
            task = await self._find(run_id)
            if task is None or task["status"] in ("completed", "failed"):
                return False
            answer = await asyncio.to_thread(self.queue.cancel, task["task_id"])
        except NotFound:
            return False
        if answer["message"] != "Task cancelled successfully":
            return False
        run = self.registry.get_run(run_id)
        if run is not None:
            put_status(run, "cancelled")
            put(run, completed_at=datetime.now(timezone.utc))
            self.registry.update_run(run)
        self.tasks.pop(run_id, None)
        return True

    async def wait_all(self) -> None:
        """Wait until every run that was started here has ended."""
        pause = 0.02
        while self.tasks:
            for run_id in list(self.tasks):
                if (await self.get_task_status(run_id))["status"] == "not_found":
                    self.tasks.pop(run_id, None)
            if self.tasks:
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, 0.5)

    def get_active_task_count(self) -> int:
        """Return how many runs were not seen to have ended."""
        return len(self.tasks)

    def get_active_task_ids(self) -> list[str]:
        """Return the ids of the runs that were not seen to have ended."""
        return list(self.tasks)

    def is_task_active(self, run_id: str) -> bool:
        """Return whether a run was not seen to have ended."""
        return run_id in self.tasks

    async def start_workers(self, concurrency: int = 4, **options: Any) -> None:
        """Execute tasks of the registered types in this process; ``options`` are those of :class:`~thequeue.Worker`."""
        if self._serving is not None:
            raise RuntimeError("the workers have been started")
        self._worker = Worker(self.queue.base_url, concurrency=concurrency, **options)
        self._worker.client._http.at = self.queue._http.at
        self._worker.handlers = dict(self.handlers)
        self._serving = asyncio.create_task(self._worker.serve())
        await asyncio.sleep(0)

    async def stop_workers(self) -> None:
        """Claim nothing more, and return when what runs has ended or, after the grace, was handed back."""
        if self._worker and self._serving:
            self._worker.stop()
            serving, self._serving, self._worker = self._serving, None, None
            await serving

    async def _find(self, name: str) -> Task | None:
        """Return a task by the id of its run, or its own id."""
        task_id = self.tasks.get(name)
        try:
            if task_id is None:
                quoted = name.replace("\\", "\\\\").replace('"', '\\"')
                found = (await asyncio.to_thread(self.queue.page, filter=f'key:"{quoted}"', limit=1))["tasks"]
                if found:
                    return found[0]
                if not name.isdecimal():
                    return None
                task_id = int(name)
            return await asyncio.to_thread(self.queue.get, task_id)
        except NotFound:
            return None

    def _note(self, task: Task) -> None:
        """Write what has become of a run of ours to the registry."""
        run_id = task["idempotency_key"]
        if run_id is None or run_id not in self.tasks:
            return
        run, word = self.registry.get_run(run_id), _WORDS[task["status"]]
        if task["outcome"] == "cancelled":
            word = "cancelled"
        if run is not None and status_of(run) != word:
            put_status(run, word)
            if word in ENDED:
                put(run, completed_at=datetime.now(timezone.utc), error_message=task["error_message"],
                    exit_code=0 if word == "completed" else 1)
            self.registry.update_run(run)
        if word in ENDED:
            del self.tasks[run_id]


def create_task_manager(registry: Registry, backend: Backend | str = "in-memory", queue: str | Client | None = None, *,
                        fallback: bool = True,
                        handlers: Mapping[str, RunHandler] | None = None, **options: Any) -> BackgroundTaskManager:
    """Return a manager on one of two backends: ``in-memory``, or ``queue``, with the base URL or a client as ``queue``.

    When the queue does not answer that it is ready, or refuses the key (a server with keys wants that of an admin), a warning is logged and
    the manager is in memory, unless ``fallback`` is false: then the error is raised. ``options`` are those of :class:`~thequeue.BackgroundTaskManager`.
    """
    if backend not in ("in-memory", "queue"):
        raise ValueError(f"backend: there is no {backend!r}: use in-memory or queue")
    if backend == "in-memory":
        return BackgroundTaskManager(registry, handlers=dict(handlers or {}))
    if queue is None:
        raise ValueError("queue: name the server, such as http://127.0.0.1:8000")
    probe = Client(queue, timeout=2, retries=0, api_key=options.get("api_key")) if isinstance(queue, str) else queue
    try:
        probe.ready()
        probe.keys()  # which only the key of an admin may, as what a manager does
    except QueueError as e:
        if not fallback:
            raise
        log.warning("the queue at %s cannot be used, runs are kept in memory: %s", probe.base_url, e)
        return BackgroundTaskManager(registry, handlers=dict(handlers or {}))
    finally:
        if isinstance(queue, str):
            probe.close()
    return BackgroundTaskManager(registry, queue, handlers=dict(handlers or {}), **options)


def create_queued_task_manager(queue: str | Client, registry: Registry) -> QueuedTaskManager:
    """Return a QueuedTaskManager."""
    return QueuedTaskManager(queue, registry)
