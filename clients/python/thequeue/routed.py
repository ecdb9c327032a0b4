"""RoutedTaskManager: each module of a program in memory, in a queue, or in memory with a shadow in a queue, as one file says."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Mapping, cast

from ._drive import Work
from .aio import AsyncClient
from .background import BackgroundTaskManager, RunHandler
from .client import Client
from .runs import Registry, Run, RunRegistry, RunStatus, status_of

log = logging.getLogger("thequeue")

Route = Literal["in-memory", "queue", "shadow"]
ROUTES = ("in-memory", "queue", "shadow")
SHADOW = "shadow:"
"""Stands before the module and the id of a run in its shadow."""
MAX_DIFFERENCES = 1_000
"""How many differences a manager keeps."""


@dataclass
class Routes:
    """Where the runs of each module go. The package for Go reads the same file."""

    queue: str | None = None
    """The address of the server; needed where anything goes to the queue."""
    default: Route = "in-memory"
    modules: dict[str, Route] = field(default_factory=dict)

    def route(self, module_id: str) -> Route:
        """Return where runs of a module go."""
        return self.modules.get(module_id, self.default)


def read_routes(path: str | os.PathLike[str]) -> Routes:
    """Read routes from a JSON file with the keys queue, default and modules. Raises ValueError with everything that is wrong with it."""
    try:
        data = json.loads(Path(path).read_text("utf-8-sig"))
    except (OSError, ValueError) as e:
        raise ValueError(f"{path}: {e}") from e
    if not isinstance(data, dict):
        raise ValueError(f"{path}: must be a JSON object with the keys queue, default and modules")
    bad = [f"{key}: is not a known key" for key in data if key not in ("queue", "default", "modules")]
    queue, default, modules = data.get("queue"), data.get("default", "in-memory"), data.get("modules", {})
    if queue is not None and not isinstance(queue, str):
        bad.append("queue: must be the address of a server")
    if not isinstance(modules, dict):
        bad.append("modules: must be an object of routes by module")
        modules = {}
    for name, route in [("default", default), *((f"modules.{m}", r) for m, r in modules.items())]:
        if route not in ROUTES:
            bad.append(f"{name}: must be one of {', '.join(ROUTES)}")
        elif route != "in-memory" and not queue:
            bad.append(f"queue: is missing, and {name} is {route}")
    if bad:
        raise ValueError(f"{path}: " + "; ".join(bad))
    return Routes(queue, cast(Route, default), modules)


class RoutedTaskManager:
    """The methods of :class:`~thequeue.BackgroundTaskManager`, over a backend for each module.

    A module on ``shadow`` runs in memory, and a task beside each run, of the type ``shadow:MODULE``, does in the queue what the run would have
    done there: it is stored, claimed, and ends as the run does. A queue that is away does not hold the run up. Where both end differently a
    warning is logged, and ``differences`` has both.
    """

    def __init__(self, registry: Registry, routes: Routes | str | os.PathLike[str], *, queue: AsyncClient | Client | None = None,
                 handlers: Mapping[str, RunHandler] | None = None, name: str = "background", **options: Any) -> None:
        """Make a manager; ``routes`` may be the path of their file. ``options`` are those of the manager of the queue."""
        self.registry = registry
        self.routes = routes if isinstance(routes, Routes) else read_routes(routes)
        self.differences: list[tuple[str, str, str]] = []
        """The id of each run whose shadow ended differently, how the run ended, and how its shadow: the last 1,000."""
        self._shadows = RunRegistry()
        self._cancelling: set[asyncio.Task[bool]] = set()
        self._memory = BackgroundTaskManager(registry)
        used = {self.routes.default, *self.routes.modules.values()}
        server = queue or self.routes.queue
        self._queue = BackgroundTaskManager(registry, server, name=name, handlers=dict(handlers or {}), **options) if "queue" in used else None
        self._shadow: BackgroundTaskManager | None = None
        if "shadow" in used:
            if options.get("worker_id"):  # a second manager of the same id would take the leases of the first
                options["worker_id"] += "-shadow"
            self._shadow = BackgroundTaskManager(self._shadows, server, name=name + "-shadow", **options)

    @property
    def _all(self) -> list[BackgroundTaskManager]:
        return [m for m in (self._memory, self._queue) if m is not None]

    def start_task(self, run: Any, work: Work) -> str:
        """Start a run where its module goes, and return its id at once."""
        if self.is_task_active(run.run_id):
            log.warning("run %s is active already", run.run_id)
            if inspect.iscoroutine(work):
                work.close()
            return str(run.run_id)
        route = self.routes.route(run.module_id)
        if route == "queue" and self._queue:
            return self._queue.start_task(run, work)
        run_id = self._memory.start_task(run, work)
        if route == "shadow" and self._shadow:
            self._cast_shadow(self._shadow, run)
        return run_id

    def _cast_shadow(self, manager: BackgroundTaskManager, run: Any) -> None:
        original = self._memory.tasks[run.run_id]
        shadow = Run(run_id=SHADOW + run.run_id, module_id=SHADOW + run.module_id, parameters=dict(getattr(run, "parameters", None) or {}))
        manager.registry.add_run(shadow)

        async def do_the_same() -> None:
            await asyncio.wait({original})
            if status_of(run) == "failed":
                raise RuntimeError(str(getattr(run, "error_message", "") or "failed"))
            if status_of(run) == "cancelled":
                cancelling = asyncio.get_running_loop().create_task(manager.cancel_task(shadow.run_id))
                self._cancelling.add(cancelling)
                cancelling.add_done_callback(self._cancelling.discard)
                await asyncio.Event().wait()

        try:
            manager.start_task(shadow, do_the_same)
        except Exception as e:  # the run has begun, and goes on without
            shadow.status, shadow.error_message = RunStatus.FAILED, str(e)
            original.add_done_callback(lambda _: self._compare(run, shadow))
            return
        manager.tasks[shadow.run_id].add_done_callback(lambda _: self._compare(run, shadow))

    def _compare(self, run: Any, shadow: Run) -> None:
        if self._shadows.get_run(shadow.run_id) is shadow:
            del self._shadows.runs[shadow.run_id]
        if shadow.status.value in ("queued", "running") or status_of(run) == shadow.status.value:
            return
        self._differ(run, shadow)

    def _differ(self, run: Any, shadow: Run) -> None:
        self.differences.append((run.run_id, status_of(run), shadow.status.value))
        del self.differences[:-MAX_DIFFERENCES]
        log.warning("run %s is %s, and would have been %s in the queue: %s", run.run_id, status_of(run), shadow.status.value,
                    shadow.error_message)

    async def cancel_task(self, run_id: str) -> bool:
        """Cancel a run and return when it has ended; true only if this cancelled it."""
        if self._memory.is_task_active(run_id) or not self._queue:
            return await self._memory.cancel_task(run_id)
        return await self._queue.cancel_task(run_id)

    async def wait_all(self) -> None:
        """Wait until no run is active; shadows are not waited for."""
        while self.get_active_task_count():
            for manager in self._all:
                await manager.wait_all()

    async def wait_shadows(self) -> None:
        """Wait until no shadow is active."""
        if self._shadow:
            await self._shadow.wait_all()

    def get_active_task_count(self) -> int:
        """Return how many runs have not ended."""
        return len(self.get_active_task_ids())

    def get_active_task_ids(self) -> list[str]:
        """Return the ids of the runs that have not ended."""
        return [run_id for manager in self._all for run_id in manager.get_active_task_ids()]

    def is_task_active(self, run_id: str) -> bool:
        """Return whether a run has not ended."""
        return any(manager.is_task_active(run_id) for manager in self._all)

    def register_handler(self, module_id: str, handler: RunHandler) -> None:
        """Say how a run of a module in the queue is resumed."""
        if self._queue:
            self._queue.register_handler(module_id, handler)

    async def start(self) -> None:
        """Resume what an earlier process has left in the queue."""
        for manager in self._all:
            await manager.start()

    async def close(self) -> None:
        """Hand back what still runs in the queue, cancel what runs in memory, and end the manager."""
        for manager in [*self._all, *([self._shadow] if self._shadow else [])]:
            await manager.close()

    async def __aenter__(self) -> "RoutedTaskManager":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
