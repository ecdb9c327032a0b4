"""Runs that are tasks of a queue: stored before they begin, executed under leases, taken over after a crash.

Each run asks for one process (``compatibility`` {"background": ID}), because nobody else has its coroutine. The id stays the same over a
restart, so that the next process takes over what the last one has left. A manager claims only while a run waits for its lease, or something
was left over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from typing import Any, Awaitable, Callable

from ._drive import Drive, Ledger, Outcome
from ._lease import End, Hold, clean
from ._outbox import TRANSIENT, Outbox
from ._wire import backoff, encode
from ._within import within
from .aio import AsyncClient
from .errors import AnswerError, Conflict, Denied, LeaseLost, NotFound, QueueError
from .runs import ENDED, Run, status_of
from .types import Json, Lease, NewTask, Task, parse_time

log = logging.getLogger("thequeue")

CAPABILITY = "background"
_LONGEST_RESULT = 256 << 10
_NOTHING = "(what it has started)"
"""The one type that a manager says it takes while it claims nothing, so that its runs count as stranded when they are queued again."""


class Interrupted(QueueError):
    """A run was interrupted by the end of its process and cannot be resumed."""


class Persisted:
    """The runs of one process in a queue."""

    def __init__(self, client: AsyncClient, worker_id: str, family: str, ledger: Ledger, handlers: dict[str, Callable[[Any],
                 Awaitable[Any]]],
                 lease_seconds: float, defaults: NewTask, begin: Callable[[Drive, Lease], None], find: Callable[[str],
                 Drive | None]) -> None:
        """``family``: how the ids of those begin whose runs are taken over. ``defaults``: of every task. ``begin`` starts a run that is
        resumed, ``find`` returns one that is active."""
        self.client, self.worker_id, self._family = client, worker_id, family
        self._ledger, self._handlers, self._lease_seconds, self._defaults = ledger, handlers, lease_seconds, defaults
        self._begin, self._find = begin, find
        self._opened, self._wanted = asyncio.Event(), asyncio.Event()
        self._outbox = Outbox(client, self._opened)
        self._refused: Denied | None = None
        """Why the queue lets this process do nothing."""
        self._waiting: set[Drive] = set()
        self._left: Counter[str] = Counter()
        """How many runs of each type are left over."""
        self._suspects: set[str] = set()
        self._offered = {worker_id}
        self._foreign = False
        self._tasks = {asyncio.create_task(self._upkeep()), asyncio.create_task(self._claims())}

    async def close(self) -> None:
        """End what runs in the background. The runs themselves must have ended."""
        tasks = set(self._tasks) | ({self._outbox.sending} if self._outbox.sending else set())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    # One run

    async def drive(self, drive: Drive, lease: Lease | None) -> None:
        """See a run to its end; ``lease`` is that of one which is resumed."""
        try:
            if lease is not None:
                self.take(drive, lease)
            elif not await self._wait_for_lease(drive):
                return
            outcome: Outcome = ("cancelled", None)
            if not drive.cancel_asked:
                self._ledger.running(drive.run)
                outcome = await drive.execute()
            await self._report(drive, outcome)
        except asyncio.CancelledError:  # the process is about to end: somebody else may go on with the run
            await self._hand_back(drive)
            raise
        finally:
            self._waiting.discard(drive)
            if drive.hold:
                drive.hold.end()
            self._wanted.set()  # one that is in quarantine waits until this process holds nothing else

    async def _wait_for_lease(self, drive: Drive) -> bool:
        """Store a run and wait until it is claimed; false when it has ended without."""
        storing = asyncio.ensure_future(self._enqueue(drive))
        try:
            await self._either(storing, drive)
            if drive.hold is None:  # else the claim was answered before the enqueue
                try:
                    drive.task_id = await storing
                except (AnswerError, ValueError) as e:
                    self._end(drive, "cancelled" if drive.cancel_asked else "failed", f"the queue did not take the run: {e}")
                    return False
            pause = 1.0
            while drive.hold is None:
                if self._refused:
                    assert drive.task_id is not None
                    with suppress(QueueError):  # else a process with another key would execute what has failed
                        await self._cancel(drive.task_id)
                    self._end(drive, "cancelled" if drive.cancel_asked else "failed", f"the queue did not take the run: {self._refused}")
                    return False
                if drive.cancel_asked:
                    await self._report(drive, ("cancelled", None))
                    return False
                self._want(drive)
                drive.changed.clear()
                with suppress(asyncio.TimeoutError):
                    await within(pause, drive.changed.wait())
                    continue
                pause = min(pause * 1.5, 10.0)  # it waits in the queue, or another process has it
                try:
                    if await self._has_ended(drive):
                        return False
                except Denied as e:
                    self._refuse(e)
            return True
        finally:
            storing.cancel()

    async def _either(self, storing: "asyncio.Future[int]", drive: Drive) -> None:
        changed = asyncio.ensure_future(drive.changed.wait())
        await asyncio.wait({storing, changed}, return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
        changed.cancel()

    async def _report(self, drive: Drive, outcome: Outcome) -> None:
        """Write the end of a run to the queue, however long that takes, and then to the registry."""
        failures = 0
        while True:
            try:
                over = drive.gone or (drive.hold is not None and drive.hold.over)
                if await (self._has_ended(drive) if over else self._tell(drive, *outcome)):
                    return
            except TRANSIENT as e:
                if failures == 0:
                    log.warning("the end of run %s is not stored yet: %s", drive.run_id, e)
                failures += 1
            except (LeaseLost, Conflict):
                if drive.hold:
                    drive.hold.end()
            except NotFound:
                self._end(drive, *outcome)
                return
            except AnswerError as e:
                self._end(drive, "failed", f"the queue did not take the end of the run: {e}")
                return
            if not drive.gone and not drive.leased():
                self._want(drive)
            drive.changed.clear()
            with suppress(asyncio.TimeoutError):
                await within(min(backoff(failures), 2.0), drive.changed.wait())

    async def _tell(self, drive: Drive, how: str, detail: Any) -> bool:
        """Report the end once; true when the run has ended with it."""
        assert drive.task_id is not None
        if how == "cancelled" or drive.hold is None:
            if not await self._cancel(drive.task_id):
                return await self._has_ended(drive)
            self._end(drive, "cancelled")
            return True
        token = drive.hold.lease["lease_token"]
        if how == "completed":
            await self.client.complete(drive.task_id, token, _result(detail))
        else:
            text = f"{type(detail).__name__}: {detail}" if isinstance(detail, BaseException) else str(detail)
            await self.client.fail(drive.task_id, token, clean(text, 8 << 10), retry=False)
        self._end(drive, how, detail)
        return True

    async def _has_ended(self, drive: Drive) -> bool:
        """Look at the task of a run that has no lease here. When it has ended, the registry is told how."""
        assert drive.task_id is not None
        try:
            task = await self.client.get(drive.task_id)
        except TRANSIENT:
            return False
        except NotFound:
            self._end(drive, "failed", "the task of the run was deleted")
            return True
        if task["status"] == "completed":
            self._end(drive, "completed")
        elif task["outcome"] == "cancelled":
            self._end(drive, "cancelled")
        elif task["status"] == "failed":
            self._end(drive, "failed", task["error_message"] or task["outcome"])
        else:
            return False
        return True

    def _end(self, drive: Drive, how: str, detail: Any = None) -> None:
        self._ledger.ended(drive.run, how, detail)

    def take(self, drive: Drive, lease: Lease) -> None:
        """Go on under a lease: the first, or another one after the server was gone for longer than the last."""
        def over(how: End) -> None:
            if drive.hold is not hold:
                return
            if how == "cancelled":
                drive.lose()
                return
            log.warning("the lease of run %s is lost: it goes on, and is claimed again", drive.run_id)
            drive.changed.set()
            self._want(drive)
            self._spawn(self._watch(drive))

        if drive.hold:
            drive.hold.end()
        drive.task_id = lease["task_id"]
        hold = drive.hold = Hold(self.client, lease, over, lambda: None)
        self._waiting.discard(drive)
        drive.changed.set()

    async def _watch(self, drive: Drive) -> None:
        """Stop the work of a run whose lease is lost as soon as another process has it, or it has ended."""
        while drive in self._waiting and drive.task_id is not None:
            with suppress(QueueError):
                task = await self.client.get(drive.task_id)
                if task["status"] in ("completed", "failed") or (task["status"] == "processing" and task["locked_by"] != self.worker_id):
                    log.warning("run %s is stopped: %s", drive.run_id,
                        f"{task['locked_by']} executes it" if task["locked_by"] else f"its task is {task['status']}")
                    self._waiting.discard(drive)
                    drive.lose()
                    return
            await asyncio.sleep(1)

    async def _hand_back(self, drive: Drive) -> None:
        if drive.hold is None or not drive.leased() or status_of(drive.run) in ENDED:
            return
        self._ledger.queued(drive.run)
        with suppress(QueueError, asyncio.TimeoutError, asyncio.CancelledError):
            await within(2, self.client.release(drive.hold.lease["task_id"], drive.hold.lease["lease_token"]))

    async def cancel_elsewhere(self, run_id: str) -> bool:
        """Cancel a run that is not active in this process."""
        quoted = run_id.replace("\\", "\\\\").replace('"', '\\"')
        found = (await self.client.page(filter=f'key:"{quoted}"', limit=1))["tasks"]
        if not found or found[0]["status"] in ("completed", "failed") or not await self._cancel(found[0]["task_id"]):
            return False
        run = self._ledger.registry.get_run(run_id)
        if run is not None:
            self._ledger.ended(run, "cancelled")
        return True

    async def _cancel(self, task_id: int) -> bool:
        return (await self.client.cancel(task_id))["message"] == "Task cancelled successfully"

    async def _enqueue(self, drive: Drive) -> int:
        """Store a run and return the id of its task. One that has ended under the same id is replaced."""
        task = self._defaults.copy()
        task["type"], task["payload"] = drive.run.module_id, getattr(drive.run, "parameters", None) or {}
        task["idempotency_key"], task["compatibility"] = drive.run_id, {CAPABILITY: self.worker_id}
        encode(task["payload"])
        receipt = await self._outbox.put(task)
        if not receipt["created"] and receipt["status"] in ("completed", "failed") and drive.hold is None:
            with suppress(NotFound, Conflict):
                await self.client.delete(receipt["task_id"])
            receipt = await self._outbox.put(task)
        return receipt["task_id"]

    # All of them

    def _spawn(self, doing: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _want(self, drive: Drive) -> None:
        """Have a run claimed."""
        self._waiting.add(drive)
        self._wanted.set()

    def _refuse(self, why: Denied) -> None:
        """End what waits for the queue: it lets this process do nothing, and would answer in the same way again."""
        if self._refused:
            return
        self._refused = why
        log.error("background runs fail from now on, the queue refuses the key of this manager, which must be that of an admin: %s", why)
        self._outbox.refuse(why)
        for drive in self._waiting:
            drive.changed.set()

    async def _upkeep(self) -> None:
        """Take over what the last process of this id has left, then look now and then for what is left over."""
        failures = 0
        while not self._opened.is_set():
            try:
                with suppress(NotFound):  # it is here for the first time
                    await self.client.reclaim_worker(self.worker_id)
                await self._look()
                self._opened.set()
            except Denied as e:
                self._refuse(e)
                return
            except QueueError as e:
                if failures == 0:
                    log.warning("the queue cannot be used yet: %s", e)
                await asyncio.sleep(min(backoff(failures), 2.0))
                failures += 1
        while True:
            await asyncio.sleep(min(self._lease_seconds, 60.0))
            try:
                await self._look()
            except Denied as e:
                self._refuse(e)
                return
            except QueueError as e:
                log.debug("what is left over cannot be seen: %s", e)

    async def _look(self) -> None:
        """Say that this process lives, and look for runs that nobody takes: our own, and those of processes that were silent for five
        minutes.

        Those of others must be found twice: when the server was down for long everybody seems dead at first.
        """
        await self.client.worker_heartbeat(self.worker_id, capabilities={CAPABILITY: sorted(self._offered)}, types=[_NOTHING])
        found: dict[str, Counter[str]] = {}
        for lane in await self.client.stranded():
            owner = lane["compatibility"].get(CAPABILITY)
            if isinstance(owner, str) and (owner == self.worker_id or owner.startswith(self._family)):
                found.setdefault(owner, Counter())[lane["type"]] += lane["ready_tasks"] + lane["scheduled_tasks"]
        left = found.pop(self.worker_id, Counter())
        dead = self._suspects & found.keys()
        self._suspects, self._offered = set(found), {self.worker_id} | dead
        self._left = sum((found[owner] for owner in dead), left)
        self._wanted.set()

    async def _claims(self) -> None:
        """Claim what waits for a lease: runs that were just stored at once, what is left over now and then."""
        await self._opened.wait()
        failures, pause = 0, 1.0
        while True:
            types = {d.run.module_id for d in self._waiting} | {t for t, n in self._left.items() if n > 0}
            if not types:
                self._wanted.clear()
                await self._wanted.wait()
                continue
            self._wanted.clear()
            try:
                got = await self._claim(types)
            except Denied as e:
                self._refuse(e)
                return
            except QueueError as e:
                if failures == 0:
                    log.warning("background runs cannot be claimed: %s", e)
                await asyncio.sleep(min(backoff(failures), 2.0))
                failures += 1
                continue
            failures, pause = 0, 1.0 if got else min(pause * 1.5, 10.0)
            if not got:  # what waits is paused, limited, in quarantine, or held elsewhere
                with suppress(asyncio.TimeoutError):
                    await within(pause, self._wanted.wait())

    async def _claim(self, types: set[str]) -> int:
        """Claim up to a hundred runs of these types and begin them; returns how many there were."""
        leases = await self.client.claim(self.worker_id, types=sorted(types), capabilities={CAPABILITY: sorted(self._offered)},
                                         strategy="lifo" if self._foreign else "fifo", max=100, lease_seconds=self._lease_seconds)
        self._foreign, ours = False, 0
        for lease in leases:
            if CAPABILITY in lease["compatibility"]:
                self._got(lease)
                ours += 1
            else:  # a task of the same type that asks for nothing: it is left to the workers
                self._foreign = True
                with suppress(QueueError):
                    await self.client.release(lease["task_id"], lease["lease_token"])
        return ours

    def _got(self, lease: Lease) -> None:
        """Give a lease to the run that it is of, or resume what another process has begun."""
        run_id = lease["idempotency_key"] or str(lease["task_id"])
        drive = self._find(run_id)
        if drive:
            self.take(drive, lease)
            return
        self._left[lease["type"]] -= 1
        run = self._ledger.registry.get_run(run_id) or _run_of(run_id, lease)
        handler = self._handlers.get(lease["type"])

        async def resume() -> Any:
            if handler is None:
                raise Interrupted("the process that ran it has ended, and no handler is registered to resume runs of "
                                  f"{lease['type']!r}: start it again")
            log.info("run %s is resumed", run_id)
            return await handler(run)

        self._begin(Drive(run, resume), lease)


def _run_of(run_id: str, task: Task) -> Run:
    return Run(run_id=run_id, module_id=task["type"], module_name=task["type"], parameters=task["payload"],
        created_at=parse_time(task["created_at_utc"]))


def _result(value: Any) -> Json:
    """Return the result of a run if it can be kept: runs may return anything."""
    try:
        return value if value is not None and len(encode(value)) <= _LONGEST_RESULT else None
    except ValueError:
        return None
