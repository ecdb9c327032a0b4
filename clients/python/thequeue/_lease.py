"""Keeps one lease alive in the background, and carries progress and log lines to the server."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Callable, Coroutine, Literal

from ._wire import backoff
from ._within import within
from .aio import AsyncClient
from .errors import Busy, ConnectionFailed, LeaseLost, NotFound, QueueError, ResultUnknown
from .types import Json, Lease, Level, parse_time

log = logging.getLogger("thequeue")

DEFAULT_LEASE = 60.0
PROGRESS_INTERVAL = 1.0
"""The shortest time between two heartbeats that only bring news."""
LONGEST_OUTBOX = 1000
"""Log lines that wait to be sent; what comes faster than it can be stored is not kept, which the log says."""

End = Literal["cancelled", "lost"]


def length(lease: Lease) -> float:
    """Return how long a lease lasts, in seconds."""
    since, until = lease.get("reserved_at_utc"), lease.get("lease_until_utc")
    if not since or not until:
        return DEFAULT_LEASE
    return max((parse_time(until) - parse_time(since)).total_seconds(), 0.0) or DEFAULT_LEASE


class Hold:
    """A lease that is renewed at every third of it, so that two heartbeats may be lost.

    ``ended`` is called once, in the event loop: "cancelled" when the task was cancelled, "lost" when the lease is over on the server or
    must be by now. Only durations are measured here: the lease counts from before a heartbeat was sent, so that it ends here no later than
    on the server.
    """

    def __init__(self, client: AsyncClient, lease: Lease, ended: Callable[[End], None], drain: Callable[[], None]) -> None:
        self.lease, self.length = lease, length(lease)
        self._client, self._ended, self._drain = client, ended, drain
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._percent: int | None = None
        self._message: str | None = None
        self._outbox: list[tuple[Level, str, Json]] = []
        self._dropped = 0
        self._resting = False
        self.over: End | None = None
        self._expiry = self._countdown(self._loop.time())
        self._beats = asyncio.create_task(self._run())

    @property
    def left(self) -> float:
        """Seconds until the lease must be over; 0 when it is."""
        return 0.0 if self.over else max(self._expiry.when() - self._loop.time(), 0.0)

    def progress(self, percent: int, message: str | None) -> None:
        """Note how far the work is. The first news is sent at once, later ones at most every second. Safe to call from any thread."""
        with self._lock:
            self._percent = min(max(int(percent), 0), 100)
            if message:
                self._message = clean(message, 500)
        self._wake()

    def log(self, level: Level, message: str, details: Json) -> None:
        """Note a line for the log of the task. Safe to call from any thread."""
        with self._lock:
            if len(self._outbox) < LONGEST_OUTBOX:
                self._outbox.append((level, clean(message, 60 << 10), details))
            else:
                self._dropped += 1
        self._wake()

    async def rest(self) -> None:
        """End the heartbeats, and send what is left of the log. The lease still counts down until :meth:`end`."""
        self._resting = True
        self._beats.cancel()
        await asyncio.wait({self._beats})
        if not self.over:
            await self._flush()

    def end(self) -> None:
        """Give up the lease: nothing more is said about it."""
        self.over = self.over or "lost"
        self._expiry.cancel()
        self._beats.cancel()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:
            pass  # the loop has ended, and with it the attempt

    def _countdown(self, since: float) -> asyncio.TimerHandle:
        return self._loop.call_at(since + self.length, self._finish, "lost")

    def _finish(self, how: End) -> None:
        if self.over is None:
            self.over = how
            self._expiry.cancel()
            self._ended(how)

    async def _run(self) -> None:
        due = self.length / 3
        quiet_until = 0.0
        while self.over is None and not self._resting:
            quiet = quiet_until - self._loop.time()
            if self._news.is_set() and quiet > 0:
                await asyncio.sleep(min(quiet, due))
            else:
                try:
                    await within(due, self._news.wait())
                except asyncio.TimeoutError:
                    pass
            self._news.clear()
            await self._flush()
            due = await self._beat()
            quiet_until = self._loop.time() + PROGRESS_INTERVAL

    async def _beat(self) -> float:
        """Send a heartbeat and return the seconds until the next."""
        since = self._loop.time()
        with self._lock:
            percent, message = self._percent, self._message
        beating = self._client.heartbeat(self.lease["task_id"], self.lease["lease_token"], lease_seconds=self.length, progress=percent,
            message=message)
        try:
            pulse = await within(self.length / 3, beating)
        except (LeaseLost, NotFound):
            self._finish("lost")
            return 0
        except (QueueError, asyncio.TimeoutError) as e:
            log.warning("heartbeat of task %d did not get through: %s", self.lease["task_id"], e or "no answer in time")
            return self.length / 12
        if pulse["drain"]:
            self._drain()
        if pulse["cancel_requested"]:
            self._finish("cancelled")
            return 0
        if self.over is None:
            self._expiry.cancel()
            self._expiry = self._countdown(since)
        return self.length / 3

    async def _flush(self) -> None:
        """Send the lines that wait, in their order."""
        while self.over is None:
            with self._lock:
                if not self._outbox and self._dropped:
                    self._outbox.append(("warning", f"{self._dropped} lines came faster than they could be stored", None))
                    self._dropped = 0
                if not self._outbox:
                    return
                level, message, details = self._outbox[0]
            try:
                sending = self._client.append_log(self.lease["task_id"], self.lease["lease_token"], message, level=level, details=details)
                await within(self.length / 3, sending)
            except (QueueError, ValueError, asyncio.TimeoutError) as e:
                log.warning("a line for the log of task %d did not get through: %s", self.lease["task_id"], e or "no answer in time")
            with self._lock:
                del self._outbox[0]


def clean(text: str, limit: int) -> str:
    """Return a text that every store takes: no NUL, no lone surrogates, at most so many bytes."""
    return text.replace("\0", "").encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


async def insist(hold: Hold, call: Callable[[], Coroutine[object, None, object]]) -> None:
    """Make a call about a lease until it is answered for good or the lease is over; raises what it was answered with at last."""
    failures = 0
    while True:
        try:
            await within(max(hold.left, 0.1), call())
            return
        except asyncio.TimeoutError:
            raise ResultUnknown("the server did not answer before the lease was over") from None
        except (Busy, ConnectionFailed, ResultUnknown):
            if hold.left <= 0:
                raise
        await asyncio.sleep(min(backoff(failures), hold.left))
        failures += 1
