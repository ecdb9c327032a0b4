"""BackgroundTaskManager: coroutines of this process as runs, in memory or persisted in a queue."""

from __future__ import annotations

import asyncio
import logging
from typing import IO, Any, Awaitable, Callable

from ._drive import Drive, Ledger, Outcome, Work
from ._lease import DEFAULT_LEASE
from ._persisted import Interrupted, Persisted
from ._slot import take_slot
from .aio import AsyncClient
from .client import Client
from .runs import ENDED, Registry, status_of
from .types import Lease, NewTask

log = logging.getLogger("thequeue")

RunHandler = Callable[[Any], Awaitable[Any]]
"""Does the work of a run that is resumed; it is given the run."""


class BackgroundTaskManager:
    """Runs coroutines in the background and keeps account of them in a registry.

    Without ``queue`` everything is in memory: what runs when the process dies is lost. With ``queue``, a base URL or a client, each run is
    a task of the queue: ``module_id`` is its type, ``parameters`` its payload, ``run_id`` its idempotency key. It is stored before it
    begins, and this process executes it under a lease. When the process dies, the next one with the same name on this host resumes a run
    whose type has a registered handler, and fails any other with the reason. Both modes have the same methods and outcomes.

    ``start_task`` wants a running event loop; all methods are for use in that loop alone.
    """

    def __init__(self, registry: Registry, queue: str | AsyncClient | Client | None = None, *, name: str = "background",
                 worker_id: str | None = None,
                 lease_seconds: float = DEFAULT_LEASE, max_attempts: int = 10, priority: int | None = None, handlers: dict[str,
                 RunHandler] | None = None,
                 api_key: str | None = None) -> None:
        """Make a manager; nothing runs yet.

        ``name``: of the application, so that several may use one queue. ``worker_id``: of this process, where the host name is not the same
        after a restart; no other process may have it at the same time. Default: name, host, and the first number that is free on it.
        ``lease_seconds``: how long the queue waits for a process that is silent. ``max_attempts``: how many processes may die over a run.
        ``handlers``: see :meth:`register_handler`.
        """
        if not 1 <= len(name) <= 60:
            raise ValueError("name: must have 1 to 60 characters")
        self.registry, self.name, self.lease_seconds = registry, name, lease_seconds
        self.handlers: dict[str, RunHandler] = dict(handlers or {})
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._drives: dict[str, Drive] = {}
        self._ledger = Ledger(registry)
        self._defaults: NewTask = {"type": "", "max_attempts": max_attempts}
        if priority is not None:
            self._defaults["priority"] = priority
        self._client, self._own = _client(queue, api_key)
        self._worker_id = worker_id
        self._slot: IO[str] | None = None
        self._persisted: Persisted | None = None
        self._closed = False

    def start_task(self, run: Any, work: Work) -> str:
        """Start a run and return its id at once. ``work`` is a coroutine, or a function that makes one. A run that is active already is not
        started twice."""
        asyncio.get_running_loop()
        drive = Drive(run, work)
        if drive.run_id in self.tasks:
            log.warning("run %s is active already", drive.run_id)
            drive.drop()
            return drive.run_id
        self._open()
        self._begin(drive, None)
        return drive.run_id

    async def cancel_task(self, run_id: str) -> bool:
        """Cancel a run and return when it has ended; true only if this cancelled it. With a queue also a run of another process."""
        task, drive = self.tasks.get(run_id), self._drives.get(run_id)
        if task is None or drive is None:
            self._open()
            return await self._persisted.cancel_elsewhere(run_id) if self._persisted else False
        drive.cancel_asked = True
        drive.stop()
        await asyncio.wait({task})
        return status_of(drive.run) == "cancelled"

    async def wait_all(self) -> None:
        """Wait until no run is active. Failures are in the registry and raise nothing here."""
        while self.tasks:
            await asyncio.wait(set(self.tasks.values()))

    def get_active_task_count(self) -> int:
        """Return how many runs have not ended."""
        return len(self.tasks)

    def get_active_task_ids(self) -> list[str]:
        """Return the ids of the runs that have not ended."""
        return list(self.tasks)

    def is_task_active(self, run_id: str) -> bool:
        """Return whether a run has not ended."""
        return run_id in self.tasks

    def register_handler(self, module_id: str, handler: RunHandler) -> None:
        """Say how a run of a type is resumed: an async function that takes the run. Before :meth:`start`, so that it is known when the
        first one comes."""
        self.handlers[module_id] = handler

    async def start(self) -> None:
        """Resume what an earlier process has left. The first ``start_task`` does it too. Nothing happens without a queue."""
        self._open()
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Hand back what still runs, so that another process resumes it, and end the manager. Call :meth:`wait_all` first to let it end."""
        self._closed = True
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._persisted:
            await self._persisted.close()
        if self._slot:
            self._slot.close()
        if self._client and self._own:
            await self._client.close()

    async def __aenter__(self) -> "BackgroundTaskManager":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def worker_id(self) -> str:
        """The id under which this process claims its runs; the first use decides it."""
        if self._worker_id is None:
            self._worker_id, self._slot = take_slot(self.name)
        return self._worker_id

    def _open(self) -> None:
        if self._closed:
            raise RuntimeError("the manager is closed")
        if self._client and not self._persisted:
            family = self.name + "@"
            self._persisted = Persisted(self._client, self.worker_id, family, self._ledger, self.handlers, self.lease_seconds,
                self._defaults, self._begin,
                                        self._drives.get)

    def _begin(self, drive: Drive, lease: Lease | None) -> None:
        doing = self._persisted.drive(drive, lease) if self._persisted else self._in_memory(drive)
        task = asyncio.create_task(doing, name=f"run-{drive.run_id}")
        self.tasks[drive.run_id], self._drives[drive.run_id] = task, drive

        def ended(_: object) -> None:
            del self.tasks[drive.run_id], self._drives[drive.run_id]
            drive.drop()
            if task.cancelled():
                if not self._persisted and status_of(drive.run) not in ENDED:
                    self._ledger.ended(drive.run, "cancelled")
            elif task.exception():
                log.error("run %s ended in a way that it should not", drive.run_id, exc_info=task.exception())
        task.add_done_callback(ended)

    async def _in_memory(self, drive: Drive) -> None:
        outcome: Outcome = ("cancelled", None)
        try:
            if not drive.cancel_asked:
                self._ledger.running(drive.run)
                outcome = await drive.execute()
        finally:
            self._ledger.ended(drive.run, *outcome)


def _client(queue: str | AsyncClient | Client | None, api_key: str | None) -> tuple[AsyncClient | None, bool]:
    if isinstance(queue, str):
        return AsyncClient(queue, api_key=api_key), True
    if isinstance(queue, Client):
        made = AsyncClient(queue.base_url)
        made._http.at = queue._http.at
        return made, True
    return queue, False


__all__ = ["BackgroundTaskManager", "Interrupted", "RunHandler"]
