"""The worker against a real server: handlers, ends of attempts, heartbeats, stops."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
import unittest
from typing import Any

from thequeue import Client, Job, Reject, RetryAfter, Snooze, Stopped, Worker

from .support import Program, shared, unlike, until

PROGRAM = """
import asyncio, sys, time
from thequeue import Worker
worker = Worker(sys.argv[1], worker_id=sys.argv[3], lease_seconds=1, grace_seconds=float(sys.argv[4]))
@worker.task(sys.argv[2])
async def handle(job):
    print("begun", job.task_id)
    await asyncio.sleep(job.payload.get("seconds", 0))
    print("done", job.task_id)
@worker.task(sys.argv[2] + "-thread")
def handle_in_thread(job):
    print("begun", job.task_id)
    time.sleep(job.payload.get("seconds", 0))
worker.run()
print("ended")
"""


class TestWorker(unittest.IsolatedAsyncioTestCase):
    """One worker in this process."""

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().set_debug(False)

    def setUp(self) -> None:
        self.c = Client(shared().url)
        self.addCleanup(self.c.close)
        self.type = unlike("t")

    def worker(self, **options: Any) -> Worker:
        return Worker(shared().url, **{"poll_seconds": 0.05, "grace_seconds": 5, **options})

    async def serve(self, worker: Worker) -> "asyncio.Task[None]":
        serving = asyncio.create_task(worker.serve())

        async def stop() -> None:
            if not serving.done():
                worker.stop()
            await serving
        self.addAsyncCleanup(stop)
        return serving

    async def ended(self, task_id: int, status: str) -> Any:
        return await asyncio.to_thread(until, f"task {task_id} is {status}", lambda: self.read(task_id, status))

    def read(self, task_id: int, status: str) -> Any:
        task = self.c.get(task_id)
        return task if task["status"] == status else None

    def put(self, payload: Any = None, **options: Any) -> int:
        return self.c.enqueue(self.type, payload or {}, **options)["task_id"]

    async def test_results_of_both_kinds_of_handlers(self) -> None:
        w = self.worker()

        @w.task(self.type)
        async def handle(job: Job) -> Any:
            job.progress(40, "at it")
            job.log("one", n=1)
            job.log("two", level="warning")
            return {"doubled": job.payload["n"] * 2, "attempt": job.attempt, "fence": job.fence, "type": job.type == self.type}

        @w.task(self.type + "-thread")
        def handle_in_thread(job: Job) -> Any:
            job.log("three")
            return [threading.current_thread() is threading.main_thread(), job.cancelled]
        await self.serve(w)
        a, b = self.put({"n": 4}), self.c.enqueue(self.type + "-thread")["task_id"]
        self.assertEqual((await self.ended(a, "completed"))["result"], {"doubled": 8, "attempt": 1, "fence": 1, "type": True})
        self.assertEqual((await self.ended(b, "completed"))["result"], [False, False])
        lines = [(line["level"], line["message"], line["details"]) for line in self.c.logs(a)]
        self.assertLess(lines.index(("info", "one", {"n": 1})), lines.index(("warning", "two", None)))
        self.assertIn("three", [line["message"] for line in self.c.logs(b)])

    async def test_ways_to_end(self) -> None:
        w = self.worker()

        @w.task(self.type)
        def handle(job: Job) -> Any:
            how = job.payload["how"]
            if job.attempt > 1 or (how == "snooze" and job.fence > 1):
                return "again"
            if how == "raise":
                raise KeyError("x")
            if how == "reject":
                raise Reject("the address is wrong")
            if how == "after":
                raise RetryAfter(0.1, "not yet")
            if how == "snooze":
                raise Snooze(0.1)
            return object() if how == "object" else "x" * 8
        await self.serve(w)
        ids = {how: self.put({"how": how}, retry_policy={"initial_seconds": 0.05}) for how in ("raise", "reject", "after", "snooze",
            "object")}
        for how in ("raise", "after"):
            task = await self.ended(ids[how], "completed")
            self.assertEqual((task["result"], task["attempts"]), ("again", 2))
        self.assertEqual([a["error_message"] for a in self.c.attempts(ids["raise"])], ["KeyError: 'x'", None])
        self.assertEqual([a["error_message"] for a in self.c.attempts(ids["after"])], ["not yet", None])
        task = await self.ended(ids["snooze"], "completed")
        self.assertEqual((task["attempts"], task["fence"]), (1, 2))
        task = await self.ended(ids["reject"], "failed")
        self.assertEqual((task["outcome"], task["error_message"]), ("rejected", "the address is wrong"))
        task = await self.ended(ids["object"], "failed")
        self.assertEqual(task["outcome"], "rejected")
        self.assertIn("the result was refused: cannot be written as JSON", task["error_message"])

    async def test_heartbeats_carry_long_work_and_its_progress(self) -> None:
        w = self.worker(lease_seconds=1)

        @w.task(self.type)
        async def handle(job: Job) -> None:
            job.progress(10, "begun")
            await asyncio.sleep(2.5)
        await self.serve(w)
        i = self.put()
        await asyncio.to_thread(until, "progress shows",
            lambda: self.c.get(i)["progress"] == 10 and self.c.get(i)["progress_message"] == "begun")
        self.assertEqual((await self.ended(i, "completed"))["attempts"], 1)

    async def test_a_cancel_reaches_both_kinds_of_handlers(self) -> None:
        w = self.worker(lease_seconds=1)
        seen: list[Any] = []

        @w.task(self.type)
        async def handle(job: Job) -> None:
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                seen.append(("async", job.stop_reason))
                raise

        @w.task(self.type + "-thread")
        def handle_in_thread(job: Job) -> None:
            try:
                job.sleep(30)
            except Stopped:
                seen.append(("thread", job.stop_reason, job.cancelled))
                raise
        await self.serve(w)
        ids = [self.put(), self.c.enqueue(self.type + "-thread")["task_id"]]
        for i in ids:
            await self.ended(i, "processing")
            self.c.cancel(i)
        await asyncio.to_thread(until, "both have heard", lambda: len(seen) == 2)
        self.assertEqual(sorted(seen), [("async", "cancelled"), ("thread", "cancelled", True)])
        self.assertEqual([self.c.get(i)["outcome"] for i in ids], ["cancelled"] * 2)

    async def test_a_lost_lease_stops_the_handler_and_changes_nothing(self) -> None:
        w = self.worker(lease_seconds=1)
        seen: list[Any] = []

        @w.task(self.type)
        async def handle(job: Job) -> str:
            if job.attempt > 1:
                return "second"
            try:
                await asyncio.sleep(30)
            finally:
                seen.append(job.stop_reason)
            return "first"
        await self.serve(w)
        i = self.put()
        await self.ended(i, "processing")
        self.c.reclaim_worker(w.worker_id)
        self.assertEqual((await self.ended(i, "completed"))["result"], "second")
        await asyncio.to_thread(until, "the first has stopped", lambda: seen)
        self.assertEqual(seen, ["lost"])

    async def test_the_time_limit_of_a_task(self) -> None:
        w = self.worker()

        @w.task(self.type)
        async def handle(job: Job) -> None:
            await asyncio.sleep(30)
        await self.serve(w)
        task = await self.ended(self.put(timeout_seconds=0.3, max_attempts=1), "failed")
        self.assertEqual((task["error_message"], task["outcome"]), ("the attempt ran longer than 0.3 s", "exhausted"))

    async def test_so_many_at_once_and_no_more(self) -> None:
        w = self.worker(concurrency=3)
        now, most = 0, 0

        @w.task(self.type)
        async def handle(job: Job) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.05)
            now -= 1
        ids = [r["task_id"] for r in self.c.enqueue_many([{"type": self.type}] * 12)]
        await self.serve(w)
        for i in ids:
            await self.ended(i, "completed")
        self.assertEqual(most, 3)

    async def test_strategy_and_capabilities(self) -> None:
        w = self.worker(concurrency=1, strategy="lifo", capabilities={"gpu": ["a", "b"]})
        order: list[int] = []

        @w.task(self.type)
        async def handle(job: Job) -> None:
            order.append(job.task_id)
        ids = [self.put(compatibility={"gpu": g}) for g in ("a", "c", "b")]
        await self.serve(w)
        await self.ended(ids[0], "completed")
        self.assertEqual(order, [ids[2], ids[0]])
        self.assertEqual(self.c.get(ids[1])["status"], "queued")

    async def test_a_drain_ends_the_worker(self) -> None:
        w = self.worker(wait_seconds=20)

        @w.task(self.type)
        async def handle(job: Job) -> None:
            self.c.drain_worker(w.worker_id)
        serving = await self.serve(w)
        await self.ended(self.put(), "completed")
        await asyncio.wait_for(serving, 10)

    async def test_wrong_options(self) -> None:
        with self.assertRaisesRegex(ValueError, "concurrency"):
            Worker(concurrency=0)
        with self.assertRaisesRegex(ValueError, "handlers"):
            await self.worker().serve()
        w = self.worker()
        w.task("a")(lambda job: None)
        with self.assertRaisesRegex(ValueError, "'a' has a handler"):
            w.task("a")(lambda job: None)


class TestWorkerProcess(unittest.TestCase):
    """A worker in a process of its own, which gets signals and dies."""

    def setUp(self) -> None:
        self.c = Client(shared().url)
        self.addCleanup(self.c.close)
        self.type = unlike("t")

    def program(self, grace: float = 20) -> Program:
        return Program(self, PROGRAM, shared().url, self.type, unlike("w"), str(grace))

    def status(self, task_id: int) -> str:
        return self.c.get(task_id)["status"]

    def test_a_signal_lets_work_end(self) -> None:
        for s in (signal.SIGTERM, signal.SIGINT):
            i = self.c.enqueue(self.type, {"seconds": 1})["task_id"]
            p = self.program()
            p.says("begun")
            left = self.c.enqueue(self.type + "-later")["task_id"]
            p.process.send_signal(s)
            self.assertEqual(p.wait(), 0)
            self.assertEqual(p.lines[-1], "ended")
            self.assertEqual((self.status(i), self.status(left)), ("completed", "queued"))

    def test_a_second_signal_hands_work_back(self) -> None:
        i = self.c.enqueue(self.type, {"seconds": 60})["task_id"]
        p = self.program()
        p.says("begun")
        began = time.monotonic()
        p.process.terminate()
        time.sleep(0.2)  # two signals at once are one
        p.process.terminate()
        self.assertEqual(p.wait(), 0)
        self.assertLess(time.monotonic() - began, 10)
        task = self.c.get(i)
        self.assertEqual((task["status"], task["attempts"], task["attempt_outcome"]), ("queued", 0, "released"))

    def test_what_outlasts_the_grace_is_handed_back(self) -> None:
        i = self.c.enqueue(self.type, {"seconds": 60})["task_id"]
        p = self.program(grace=0.2)
        p.says("begun")
        p.process.terminate()
        self.assertEqual(p.wait(), 0)
        self.assertEqual(self.c.get(i)["attempts"], 0)

    def test_a_thread_that_does_not_stop_does_not_hold_the_process(self) -> None:
        self.c.enqueue(self.type + "-thread", {"seconds": 60})
        p = self.program(grace=0.1)
        p.says("begun")
        began = time.monotonic()
        p.process.terminate()
        self.assertEqual(p.wait(), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_a_killed_worker_loses_nothing(self) -> None:
        ids = [self.c.enqueue(self.type, {"seconds": 0.3})["task_id"] for _ in range(12)]
        p = self.program()
        p.says("begun", 4)
        p.kill()
        second = self.program()
        for i in ids:
            until(f"task {i} is completed", lambda: self.status(i) == "completed")
        self.assertTrue(all(self.c.get(i)["attempts"] <= 2 for i in ids))
        second.process.terminate()
        self.assertEqual(second.wait(), 0)

    def test_a_killed_server_loses_nothing_and_costs_no_work(self) -> None:
        server = shared()
        with Client(server.url, retries=10) as c:
            ids = [c.enqueue(self.type, {"seconds": 0.4})["task_id"] for _ in range(12)]
            p = Program(self, PROGRAM, server.url, self.type, unlike("w"), "20")
            for n in (2, 6):
                p.says("begun", n)
                server.kill()
                server.start()
            for i in ids:
                until(f"task {i} is completed", lambda: c.get(i)["status"] == "completed")
            p.process.terminate()
            self.assertEqual(p.wait(), 0)
