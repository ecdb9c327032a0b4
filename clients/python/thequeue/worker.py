"""A worker: claims tasks, runs their handlers under leases, and reports how they ended."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from typing import Any, Callable, Literal, Mapping, TypeVar

from ._lease import End, Hold, clean, insist
from ._wire import backoff
from .aio import AsyncClient
from .errors import Invalid, QueueError
from .types import Json, Lease, Level, Strategy

log = logging.getLogger("thequeue")

CLAIM_GRACE = 0.5
"""What a claim under way gets when the worker stops: its answer may be on the way already."""
LAST_WORDS = 1.0
"""How long handlers may take to stop after the grace is over."""
LAST_CALL = 4.0
"""How long the reports of those that have stopped are still tried after that."""
_LONGEST_ERROR = 8 << 10


class Reject(Exception):
    """Raise it in a handler when no further attempt is worth it: the task ends as rejected."""


class RetryAfter(Exception):
    """Raise it in a handler to fail the attempt and say when the next is due, instead of the policy of the task."""

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"to be tried again in {seconds:g} s")
        self.seconds = seconds


class Snooze(Exception):
    """Raise it in a handler to hand the task back and have it come again after some seconds; the attempt does not count."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"snoozed for {seconds:g} s")
        self.seconds = seconds


class Stopped(Exception):
    """Raised by the methods of a job in a thread when the work is to stop; ``job.stop_reason`` says why."""


StopReason = Literal["cancelled", "lost", "timeout", "shutdown"]


class Job:
    """One attempt of a task, as its handler sees it."""

    def __init__(self, lease: Lease) -> None:
        self.task = lease
        self.stop_reason: StopReason | None = None
        """Why the work is to stop; None while it may go on. cancelled: by somebody; lost: another worker may have the task; timeout;
        shutdown."""
        self._stop = threading.Event()
        self._stopping: Callable[[], object] = lambda: None
        self._ended = False  # the handler has
        self._hold: Hold | None = None

    @property
    def task_id(self) -> int:
        """The id of the task."""
        return self.task["task_id"]

    @property
    def type(self) -> str:
        """The type of the task."""
        return self.task["type"]

    @property
    def payload(self) -> dict[str, Json]:
        """The payload of the task."""
        return self.task["payload"]

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.task["attempts"]

    @property
    def fence(self) -> int:
        """Grows with every claim of the task: guard your own writes with it."""
        return self.task["fence"]

    @property
    def cancelled(self) -> bool:
        """Whether the work is to stop, for whatever reason. For handlers in threads; coroutines are cancelled."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Stopped when the work is to stop."""
        if self._stop.is_set():
            raise Stopped(self.stop_reason or "stopped")

    def sleep(self, seconds: float) -> None:
        """Wait, in a thread; raise Stopped as soon as the work is to stop."""
        self._stop.wait(seconds)
        self.check()

    def progress(self, percent: int, message: str | None = None) -> None:
        """Say how far the work is, 0 to 100. It does not wait; only the newest is sent, at most every second."""
        if self._hold:
            self._hold.progress(percent, message)

    def log(self, message: str, level: Level = "info", **details: Json) -> None:
        """Add a line to the log of the task. It does not wait; lines are sent in order, the last before the attempt ends."""
        if self._hold:
            self._hold.log(level, message, details or None)

    def _end(self, reason: StopReason) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            self._stop.set()
            self._stopping()


Handler = Callable[[Job], Any]
"""Takes a job and returns the result, any JSON, or a coroutine that does. A coroutine function runs in the event loop, any other in a
thread."""
_H = TypeVar("_H", bound=Handler)


class Worker:
    """Runs handlers for the tasks of a server.

    Only types with a handler are claimed. A handler that returns completes its task; one that raises fails the attempt, and the policy of
    the task decides over the next; :class:`Reject`, :class:`RetryAfter` and :class:`Snooze` decide here. The lease is renewed at every
    third of it. When the task is cancelled, has run out of time or its lease is lost, a coroutine gets ``asyncio.CancelledError``; a
    handler in a thread sees ``job.cancelled``, and ``job.sleep`` and ``job.check`` raise :class:`Stopped`.
    """

    def __init__(self, server: str | AsyncClient = "http://127.0.0.1:8000", *, worker_id: str | None = None, concurrency: int = 4,
                 capabilities: Mapping[str, Json] | None = None, strategy: Strategy | None = None, lease_seconds: float | None = None,
                 wait_seconds: float = 20.0, poll_seconds: float = 1.0, grace_seconds: float = 10.0, api_key: str | None = None) -> None:
        """Make a worker; it claims nothing yet.

        ``worker_id`` is unlike that of any other (default: host, process and a random word). ``concurrency``: attempts at once.
        ``lease_seconds``: of each claim; None: as the type says, or 60. ``wait_seconds``, at most 30: how long a claim waits for work.
        ``poll_seconds``: at least so long from a claim that found nothing to the next. ``grace_seconds``: what running attempts get to end
        in when the worker stops.
        """
        if concurrency < 1 or not 0 <= wait_seconds <= 30 or poll_seconds < 0 or grace_seconds < 0:
            raise ValueError("concurrency: must be 1 or more; wait_seconds: 0 to 30; poll_seconds and grace_seconds: 0 or more")
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.client = AsyncClient(server, api_key=api_key, connections=concurrency + 8) if isinstance(server, str) else server
        self._own_client = isinstance(server, str)
        self.concurrency, self.capabilities, self.strategy = concurrency, capabilities, strategy
        self.lease_seconds, self.wait_seconds = lease_seconds, wait_seconds
        self.poll_seconds, self.grace_seconds = poll_seconds, grace_seconds
        self.handlers: dict[str, Handler] = {}
        self._stops = 0
        self._jobs: dict[asyncio.Task[None], Job] = {}
        self._events: tuple[asyncio.Event, asyncio.Event, asyncio.Event] | None = None
        self._drained = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def task(self, type: str) -> Callable[[_H], _H]:
        """Decorate the handler of a type."""
        def register(handler: _H) -> _H:
            if type in self.handlers:
                raise ValueError(f"task type {type!r} has a handler already")
            self.handlers[type] = handler
            return handler
        return register

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, and return when all is done. A first signal lets running attempts end within the grace; a second
        skips the rest of it."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        undo: list[Callable[[], object]] = []
        for s in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(s, self.stop)
                undo.append(lambda s=s: loop.remove_signal_handler(s))  # type: ignore[misc]
            except NotImplementedError:  # Windows
                before = signal.signal(s, lambda *_: loop.call_soon_threadsafe(self.stop))
                undo.append(lambda s=s, before=before: signal.signal(s, before))  # type: ignore[misc]
        try:
            await self.serve()
        finally:
            for f in undo:
                f()

    def stop(self) -> None:
        """Claim nothing more and let running attempts end within the grace. A second call skips the rest of it. Call it in the event loop
        of the worker."""
        self._stops += 1
        if self._events:
            self._events[0].set()
            if self._stops > 1:
                self._events[1].set()

    async def serve(self) -> None:
        """Work until :meth:`stop`, or until an operator drains the worker, and return after the last attempt."""
        if not self.handlers:
            raise ValueError("handlers: register at least one with @worker.task(type)")
        stopping, forced, free = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._events, self._drained, self._loop = (stopping, forced, free), False, asyncio.get_running_loop()
        if self._stops:
            stopping.set()
        log.info("worker %s takes %s", self.worker_id, ", ".join(sorted(self.handlers)))
        claiming = asyncio.create_task(self._claims(stopping, free))
        try:
            await _first(claiming, stopping)
            if not claiming.done():
                await asyncio.wait({claiming}, timeout=CLAIM_GRACE)
            claiming.cancel()
            await asyncio.wait({claiming})
            await self._finish(stopping, forced)
        finally:
            claiming.cancel()
            for attempt in self._jobs:
                attempt.cancel()
            self._events, self._stops = None, 0
            if self._own_client:
                await self.client.close()
        if not claiming.cancelled() and claiming.exception():
            raise claiming.exception()  # type: ignore[misc]
        log.info("worker %s has stopped", self.worker_id)

    async def _finish(self, stopping: asyncio.Event, forced: asyncio.Event) -> None:
        """Wait for the attempts: as long as they take after a drain, for the grace after a stop."""
        attempts = set(self._jobs)
        if attempts and not stopping.is_set():
            await _first(asyncio.gather(*attempts, return_exceptions=True), stopping)
        attempts = set(self._jobs)
        if attempts:
            await _first(asyncio.gather(*attempts, return_exceptions=True), forced, self.grace_seconds)
        attempts = set(self._jobs)
        if not attempts:
            return
        for attempt in attempts:
            self._jobs[attempt]._end("shutdown")
        _, left = await asyncio.wait(attempts, timeout=LAST_WORDS)
        if reporting := {a for a in left if self._jobs[a]._ended}:
            await asyncio.wait(reporting, timeout=LAST_CALL)
        for job in self._jobs.values():
            log.warning("task %d did not stop, or its end did not get through: its lease will run out", job.task_id)

    async def _claims(self, stopping: asyncio.Event, free: asyncio.Event) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while not stopping.is_set() and not self._drained:
            if len(self._jobs) >= self.concurrency:
                free.clear()
                await free.wait()
                continue
            began = loop.time()
            try:
                leases = await self.client.claim(
                    self.worker_id, types=sorted(self.handlers), capabilities=self.capabilities, strategy=self.strategy,
                    max=min(self.concurrency - len(self._jobs), 100), lease_seconds=self.lease_seconds, wait_seconds=self.wait_seconds)
            except Invalid:
                raise
            except QueueError as e:
                if failures == 0:
                    log.warning("claims fail: %s", e)
                await asyncio.sleep(min(backoff(failures), 5.0))
                failures += 1
                continue
            if failures:
                log.info("claims work again")
            failures = 0
            for lease in leases:
                self._begin(lease, stopping.is_set())
            if not leases:
                await self._idle(loop.time() - began)

    async def _idle(self, waited: float) -> None:
        """After a claim that found nothing. One that came back early may have done so because the worker is to drain."""
        if self.wait_seconds and waited < self.wait_seconds / 2:
            try:
                self._drained = self._drained or (await self.client.worker_heartbeat(self.worker_id))["drain"]
            except QueueError:
                pass  # it shows in the next claim
        if not self._drained:
            await asyncio.sleep(max(self.poll_seconds - waited, 0))

    def _begin(self, lease: Lease, too_late: bool) -> None:
        job = Job(lease)
        if too_late:
            job._end("shutdown")
        attempt = asyncio.create_task(self._attempt(job))
        self._jobs[attempt] = job
        attempt.add_done_callback(self._ended)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        del self._jobs[attempt]
        if self._events:
            self._events[2].set()
        if not attempt.cancelled() and attempt.exception():
            log.error("an attempt ended in a way that it should not", exc_info=attempt.exception())

    def _drain(self) -> None:
        self._drained = True
        if self._events:
            self._events[2].set()

    async def _attempt(self, job: Job) -> None:
        def over(how: End) -> None:
            job._end(how)

        hold = job._hold = Hold(self.client, job.task, over, self._drain)
        limit = job.task.get("timeout_seconds")
        timer = hold._loop.call_later(limit, job._end, "timeout") if limit is not None else None
        try:
            result, error = await self._call(job)
            job._ended = True
            if timer:
                timer.cancel()
            await hold.rest()
            if hold.over:
                log.info("task %d dropped: %s", job.task_id, hold.over)
            else:
                await self._settle(job, hold, result, error)
        finally:
            if timer:
                timer.cancel()
            hold.end()

    async def _call(self, job: Job) -> tuple[Json, BaseException | None]:
        """Run the handler and return its result or what it raised."""
        if job.stop_reason:
            return None, Stopped(job.stop_reason)
        handler = self.handlers.get(job.type)
        if handler is None:
            return None, Reject(f"worker {self.worker_id} has no handler for task type {job.type!r}")
        running = asyncio.ensure_future(_coroutine(handler, job)) if _is_async(handler) else _in_thread(handler, job)
        if _is_async(handler):
            job._stopping = running.cancel
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError:
            running.cancel()
            raise
        if running.cancelled():
            return None, asyncio.CancelledError()
        error = running.exception()
        return (None, error) if error else (running.result(), None)

    async def _settle(self, job: Job, hold: Hold, result: Json, error: BaseException | None) -> None:
        """Report how the attempt ended. A lost lease is no error: somebody else has the task."""
        try:
            if error is None:
                await self._complete(job, hold, result)
            else:
                await self._not_complete(job, hold, error)
        except QueueError as e:
            log.warning("the end of task %d was not delivered: %s", job.task_id, e)

    async def _complete(self, job: Job, hold: Hold, result: Json) -> None:
        token = job.task["lease_token"]
        try:
            await insist(hold, lambda: self.client.complete(job.task_id, token, result))
        except (Invalid, ValueError) as e:  # done again it would be the same again
            text = clean(f"the result was refused: {e}", _LONGEST_ERROR)
            await insist(hold, lambda: self.client.fail(job.task_id, token, text, retry=False))

    async def _not_complete(self, job: Job, hold: Hold, error: BaseException) -> None:
        token = job.task["lease_token"]
        if job.stop_reason == "shutdown" and not isinstance(error, (Reject, RetryAfter)):
            await insist(hold, lambda: self.client.release(job.task_id, token))
        elif isinstance(error, Snooze):
            seconds = error.seconds
            await insist(hold, lambda: self.client.release(job.task_id, token, run_after_seconds=seconds))
        else:
            after = error.seconds if isinstance(error, RetryAfter) else None
            text = clean(_text(job, error), _LONGEST_ERROR)
            log.info("task %d failed: %s", job.task_id, text, exc_info=error if log.isEnabledFor(logging.DEBUG) else None)
            retry = not isinstance(error, Reject)
            await insist(hold, lambda: self.client.fail(job.task_id, token, text, retry=retry, retry_after_seconds=after))


def _text(job: Job, error: BaseException) -> str:
    if job.stop_reason == "timeout":
        return f"the attempt ran longer than {job.task['timeout_seconds']:g} s"
    if isinstance(error, (Reject, RetryAfter)):
        return str(error) or "rejected"
    if isinstance(error, asyncio.CancelledError):
        return "the handler was cancelled"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))


async def _coroutine(handler: Handler, job: Job) -> Json:
    return await handler(job)


def _in_thread(handler: Handler, job: Job) -> "asyncio.Future[Json]":
    """Run a handler in a thread of its own, which does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Json] = loop.create_future()

    def tell(set_it: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            set_it(value)

    def work() -> None:
        try:
            result = handler(job)
            report = (future.set_result, result)
        except BaseException as e:
            if isinstance(e, (StopIteration, SystemExit, KeyboardInterrupt)):  # a future takes none of them
                e = RuntimeError(f"{type(e).__name__}: {e}")
            report = (future.set_exception, e)
        try:
            loop.call_soon_threadsafe(tell, *report)
        except RuntimeError:
            pass  # the worker has ended without waiting for this

    threading.Thread(target=work, name=f"task-{job.task_id}", daemon=True).start()
    return future


async def _first(doing: "asyncio.Future[Any]", event: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until something is done, an event happens, or the time is over."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({doing, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


if sys.version_info < (3, 10):
    raise ImportError("thequeue needs Python 3.10 or later")
