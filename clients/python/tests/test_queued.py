"""QueuedTaskManager."""

from __future__ import annotations

import asyncio
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

from thequeue import Job, Run, RunRegistry, RunStatus, create_queued_task_manager

from .support import shared, unlike


class TestQueuedTaskManager(unittest.IsolatedAsyncioTestCase):
    """Against a real server."""

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().set_debug(False)
        self.registry = RunRegistry()
        self.manager = create_queued_task_manager(shared().url, self.registry)
        self.addCleanup(self.manager.queue.close)
        self.addAsyncCleanup(self.manager.stop_workers)
        self.type = unlike("t")

    def start(self, name: str = "run") -> Run:
        run = Run(unlike(name), self.type, parameters={"n": 1})
        self.registry.add_run(run)

        async def never() -> None:
            raise AssertionError("a coroutine that is passed in is not run")
        self.assertEqual(self.manager.start_task(run, never()), run.run_id)
        return run

    async def test_a_run_waits_for_a_worker(self) -> None:
        run = self.start()
        self.assertEqual((self.manager.get_active_task_ids(), self.manager.get_active_task_count()), ([run.run_id], 1))
        status = await self.manager.get_task_status(run.run_id)
        self.assertEqual((status["status"], status["type"], status["attempts"]), ("queued", self.type, 0))
        self.assertEqual(status, await self.manager.get_task_status(str(status["task_id"])))
        self.assertTrue(await self.manager.cancel_task(run.run_id))
        status = await self.manager.get_task_status(run.run_id)
        self.assertEqual((status["status"], status["error_message"]), ("failed", "Cancelled by user"))
        self.assertEqual((run.status, self.manager.is_task_active(run.run_id)), (RunStatus.CANCELLED, False))
        self.assertFalse(await self.manager.cancel_task(run.run_id))

    async def test_what_is_not_there(self) -> None:
        self.assertEqual((await self.manager.get_task_status("nothing"))["status"], "not_found")
        self.assertEqual((await self.manager.get_task_status("99999999999"))["error"], "Task not found")
        self.assertFalse(await self.manager.cancel_task("nothing"))
        await self.manager.wait_all()

    async def test_handlers_do_the_work(self) -> None:
        async def good(job: Job) -> Any:
            return job.payload

        def bad(job: Job) -> None:
            from thequeue import Reject
            raise Reject("no")
        await self.manager.register_task(self.type, good, "does it")
        await self.manager.register_task(self.type + "-bad", bad)
        for wrong in (("", good), (self.type, good), ("x", "no function")):
            with self.assertRaises(ValueError):
                await self.manager.register_task(*wrong)  # type: ignore[arg-type]
        await self.manager.start_workers(2, poll_seconds=0.05)
        runs = [self.start() for _ in range(5)]
        failed = Run(unlike("run"), self.type + "-bad")
        self.registry.add_run(failed)
        self.manager.start_task(failed)
        task_id = await self.manager.schedule_task(self.type, {"x": 1}, priority=5)
        await asyncio.wait_for(self.manager.wait_all(), 30)
        self.assertEqual({r.status for r in runs}, {RunStatus.COMPLETED})
        self.assertEqual((failed.status, failed.error_message), (RunStatus.FAILED, "no"))
        while (await self.manager.get_task_status(task_id))["status"] != "completed":
            await asyncio.sleep(0.02)

    async def test_schedule_for_later(self) -> None:
        key = unlike("key")
        first = await self.manager.schedule_task(self.type, {}, run_after=datetime.now(timezone.utc) + timedelta(hours=1),
            idempotency_key=key)
        self.assertEqual(await self.manager.schedule_task(self.type, {"other": 1}, idempotency_key=key), first)
        self.assertTrue(await self.manager.cancel_task(first))
