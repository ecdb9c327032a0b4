"""Stores tasks in groups: while one group is on its way the next gathers."""

from __future__ import annotations

import asyncio
import logging

from ._wire import backoff
from .aio import AsyncClient
from .errors import AnswerError, Busy, ConnectionFailed, Denied, Invalid, ResultUnknown
from .types import NewTask, Receipt

log = logging.getLogger("thequeue")

TRANSIENT = (Busy, ConnectionFailed, ResultUnknown)
"""After these the same call may succeed later."""
_GROUP = 500

Waiting = tuple[NewTask, "asyncio.Future[Receipt]"]


class Outbox:
    """Tasks that are to be stored, however long the server cannot be reached."""

    def __init__(self, client: AsyncClient, opened: asyncio.Event) -> None:
        self._client, self._opened = client, opened
        self._waiting: list[Waiting] = []
        self._refused: Denied | None = None
        self.sending: asyncio.Task[None] | None = None

    def put(self, task: NewTask) -> "asyncio.Future[Receipt]":
        """Have a task stored with the next group. The future has its receipt, or what is wrong with it."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        if self._refused:
            future.set_exception(self._refused)
            return future
        self._waiting.append((task, future))
        if self.sending is None or self.sending.done():
            self.sending = asyncio.create_task(self._send())
        return future

    def refuse(self, why: Denied) -> None:
        """Take nothing more, nor what waits: the server does not."""
        self._refused, waiting, self._waiting = why, self._waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_exception(why)

    async def _send(self) -> None:
        await self._opened.wait()
        while self._waiting:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            if not await self._send_group(group):
                for one in group:
                    await self._send_group([one])

    async def _send_group(self, group: list[Waiting]) -> bool:
        """Store a group; false when one of several is invalid: then none was stored, and each must go by itself."""
        failures = 0
        while group := [w for w in group if not w[1].done()]:
            try:
                receipts = await self._client.enqueue_many([task for task, _ in group])
            except TRANSIENT as e:
                if failures == 0:
                    log.warning("%d runs are not stored yet: %s", len(group), e)
                await asyncio.sleep(min(backoff(failures), 5.0))
                failures += 1
            except (AnswerError, ValueError) as e:
                if len(group) > 1 and isinstance(e, Invalid):
                    return False
                for _, future in group:
                    if not future.done():
                        future.set_exception(e)
            else:
                for (_, future), receipt in zip(group, receipts):
                    if not future.done():
                        future.set_result(receipt)
        return True
