"""One run on its way, whoever keeps account of it."""

from __future__ import annotations

import asyncio
import inspect
import logging
from datetime import datetime, timezone
from typing import Any, Awaitable, Callable, Union

from ._lease import Hold
from .runs import Registry, put, put_status

log = logging.getLogger("thequeue")

Work = Union[Awaitable[Any], Callable[[], Awaitable[Any]]]
"""A coroutine, or a function that makes one."""
Outcome = tuple[str, Any]
"""completed and the result, failed and the exception or a text, or cancelled and None."""


class Drive:
    """One run, its work, and the lease under which it is executed."""

    def __init__(self, run: Any, work: Work) -> None:
        self.run, self._work = run, work
        self.run_id: str = run.run_id
        self.task_id: int | None = None
        """Of its task in the queue, once it is known to be stored."""
        self.hold: Hold | None = None
        self.inner: asyncio.Future[Any] | None = None
        """The work, once it has begun."""
        self.cancel_asked = False
        self.gone = False
        """The work is not ours any more: it was cancelled, has ended, or another process has it."""
        self.changed = asyncio.Event()

    def stop(self) -> None:
        """Have the work end."""
        self.changed.set()
        if self.inner:
            self.inner.cancel()

    def lose(self) -> None:
        """Have the work end because it is not ours any more."""
        self.gone = True
        self.stop()

    def leased(self) -> bool:
        """Return whether there is a lease that is not over."""
        return self.hold is not None and self.hold.over is None

    def drop(self) -> None:
        """Dispose of work that never began; call it at the end."""
        if inspect.iscoroutine(self._work):
            self._work.close()

    async def execute(self) -> Outcome:
        """Do the work and return how it ended. When this is cancelled, so is the work."""
        inner = self.inner = asyncio.ensure_future(self._begun())
        try:
            await asyncio.wait({inner})
        except asyncio.CancelledError:
            inner.cancel()
            await asyncio.wait({inner})
            raise
        if inner.cancelled():
            return "cancelled", None
        error = inner.exception()
        return ("failed", error) if error else ("completed", inner.result())

    async def _begun(self) -> Any:
        if callable(self._work):
            return await self._work()
        return await self._work


class Ledger:
    """Writes what becomes of runs to a registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def queued(self, run: Any) -> None:
        """A run waits again."""
        put_status(run, "queued")
        self._store(run)

    def running(self, run: Any) -> None:
        """A run begins."""
        put_status(run, "running")
        put(run, started_at=_now())
        self._store(run)

    def ended(self, run: Any, how: str, detail: Any = None) -> None:
        """A run has ended; detail is the exception or the text of a failure."""
        put_status(run, how)
        put(run, completed_at=_now())
        if how == "completed":
            put(run, exit_code=0, error_message=None)
        elif how == "failed":
            put(run, exit_code=1, error_message=str(detail) or type(detail).__name__)
        self._store(run)

    def _store(self, run: Any) -> None:
        try:
            self.registry.update_run(run)
        except Exception:  # a registry that cannot be written must not lose the run
            log.exception("the registry does not take run %s", run.run_id)


def _now() -> datetime:
    return datetime.now(timezone.utc)
