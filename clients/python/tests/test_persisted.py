"""BackgroundTaskManager with a queue: crashes of the process and of the server, several processes, operators."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from thequeue import BackgroundTaskManager, Client, ConnectionFailed, Denied, Run, RunRegistry, RunStatus, Worker, create_task_manager
from thequeue._slot import take_slot

from .support import Program, Server, shared, unlike, until

PROGRAM = """
import asyncio, logging, sys
from thequeue import BackgroundTaskManager, Run, RunRegistry
url, name, file, module, count, seconds, lease = sys.argv[1:8]
async def work(run):
    print("begun", run.run_id)
    await asyncio.sleep(float(seconds))
    print("done", run.run_id)
    return run.run_id
async def main():
    registry = RunRegistry(file)
    manager = BackgroundTaskManager(registry, url, name=name, lease_seconds=float(lease), handlers={module: work})
    async with manager:
        for n in range(int(count)):
            kind = module if n % 2 == 0 else module + "-unknown"
            run = Run(f"{module}-{n}", kind, parameters={"n": n})
            registry.add_run(run)
            manager.start_task(run, work(run))
        if sys.argv[8] == "stay":
            await asyncio.sleep(600)
        await manager.wait_all()
    print("ended")
asyncio.run(main())
"""


class Programs(unittest.TestCase):
    """Managers in processes that die."""

    def setUp(self) -> None:
        self.c = Client(shared().url, retries=10)
        self.addCleanup(self.c.close)
        self.module, self.name = unlike("m"), unlike("n")
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.file = str(Path(place.name) / "history.json")

    def program(self, count: int, seconds: float, lease: float = 30, then: str = "wait") -> Program:
        return Program(self, PROGRAM, shared().url, self.name, self.file, self.module, str(count), str(seconds), str(lease), then)

    def task(self, n: int) -> Any:
        tasks = self.c.page(filter=f"key:{self.module}-{n}")["tasks"]
        return tasks[0] if tasks else None

    def ended(self, n: int) -> Any:
        def look() -> Any:
            task = self.task(n)
            return task if task and task["status"] in ("completed", "failed") else None
        return until(f"run {n} has ended", look)

    def begun(self, *programs: Program) -> list[str]:
        return [line for p in programs for line in p.lines if line.startswith("begun")]

    def test_a_killed_process_loses_nothing(self) -> None:
        first = self.program(8, 60)
        first.says("begun", 8)
        first.kill()
        second = self.program(0, 0.1, then="stay")  # the lease of the first has half a minute left: nobody waits for it
        for n in range(8):
            task = self.ended(n)
            if n % 2 == 0:
                self.assertEqual((task["status"], task["attempts"], task["result"]), ("completed", 2, f"{self.module}-{n}"))
            else:
                self.assertEqual((task["status"], task["outcome"]), ("failed", "rejected"))
                self.assertIn("no handler is registered to resume", task["error_message"])

        def noted() -> bool:
            return {r.status for r in RunRegistry(self.file).runs.values()} == {RunStatus.COMPLETED, RunStatus.FAILED}
        until("the registry knows", noted)
        self.assertEqual(len(self.begun(second)), 4)

    def test_killed_again_and_again(self) -> None:
        processes = [self.program(6, 0.4, then="stay")]
        for _ in range(3):
            processes[-1].says("begun")
            processes[-1].kill()
            processes.append(self.program(0, 0.4, then="stay"))
        for n in range(6):
            self.assertEqual(self.ended(n)["status"], "completed" if n % 2 == 0 else "failed")

    def test_a_killed_server_loses_nothing_and_costs_no_work(self) -> None:
        p = self.program(6, 2)
        p.says("begun", 6)
        server = shared()
        for _ in range(2):
            server.kill()
            time.sleep(0.3)
            server.start()
        p.says("ended")
        self.assertEqual([self.ended(n)["status"] for n in range(6)], ["completed"] * 6)
        self.assertEqual(len(self.begun(p)), 6)
        self.assertEqual({self.task(n)["attempts"] for n in range(6)}, {1})

    def test_a_server_that_is_gone_for_longer_than_the_lease(self) -> None:
        p = self.program(2, 9, lease=1)
        p.says("begun", 2)
        server = shared()
        server.kill()
        time.sleep(1.5)
        server.start()
        self.c.reclaim_worker(self.task(0)["last_worker_id"])  # what the server does by itself after its grace
        p.says("ended")
        for n in range(2):
            task = self.task(n)
            self.assertEqual(task["status"], "completed")
            self.assertGreaterEqual(task["attempts"], 2)
        self.assertEqual(len(self.begun(p)), 2)

    def test_a_process_that_ends_in_order_hands_its_runs_back(self) -> None:
        first = self.program(2, 60)
        first.says("begun", 2)
        first.process.send_signal(2)
        first.wait()
        until("it is handed back", lambda: self.task(0)["status"] == "queued")
        self.assertEqual(self.task(0)["attempts"], 0)
        self.assertEqual(RunRegistry(self.file).runs[f"{self.module}-0"].status, RunStatus.QUEUED)
        self.program(0, 0, then="stay")
        self.assertEqual((self.ended(0)["status"], self.ended(0)["attempts"]), ("completed", 1))


class TestTogether(unittest.IsolatedAsyncioTestCase):
    """Managers in this process."""

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().set_debug(False)
        self.c = Client(shared().url)
        self.addCleanup(self.c.close)
        self.module, self.name = unlike("m"), unlike("n")

    def manager(self, **options: Any) -> BackgroundTaskManager:
        manager = BackgroundTaskManager(RunRegistry(), options.pop("queue", shared().url), **{"name": self.name, **options})
        self.addAsyncCleanup(manager.close)
        return manager

    async def soon(self, what: str, is_so: Any) -> Any:
        return await asyncio.to_thread(until, what, is_so)

    def task(self, run: Run) -> Any:
        tasks = self.c.page(filter=f"key:{run.run_id}")["tasks"]
        return tasks[0] if tasks else {"status": None}

    async def test_a_run_is_a_task(self) -> None:
        m, run = self.manager(priority=7), Run(unlike("run"), self.module, parameters={"a": [1, "ü"]})

        async def work() -> dict[str, int]:
            return {"n": 1}
        m.start_task(run, work())
        await m.wait_all()
        task = self.task(run)
        self.assertEqual((task["type"], task["payload"], task["idempotency_key"], task["status"], task["result"], task["priority"]),
                         (self.module, {"a": [1, "ü"]}, run.run_id, "completed", {"n": 1}, 7))

        async def fail() -> None:
            raise KeyError("x")
        run = Run(unlike("run"), self.module)
        m.start_task(run, fail())
        await m.wait_all()
        self.assertEqual((self.task(run)["outcome"], self.task(run)["error_message"], run.error_message), ("rejected", "KeyError: 'x'",
            "'x'"))

    async def test_what_the_queue_refuses_fails_and_nothing_else_does(self) -> None:
        m = self.manager(queue=self.c)
        runs = [Run(unlike("run"), self.module), Run(unlike("run"), " "), Run(unlike("run"), self.module, parameters={"a": object()})]
        for run in runs:
            m.start_task(run, asyncio.sleep(0))
        await m.wait_all()
        self.assertEqual([r.status for r in runs], [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.FAILED])
        self.assertIn("the queue did not take the run", str(runs[1].error_message))
        self.assertIn("cannot be written as JSON", str(runs[2].error_message))

    async def test_an_operator_cancels(self) -> None:
        m, run, told = self.manager(lease_seconds=1), Run(unlike("run"), self.module), []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                told.append(True)
        m.start_task(run, work())
        await self.soon("it runs", lambda: self.task(run)["status"] == "processing")
        self.c.cancel(self.task(run)["task_id"])
        await m.wait_all()
        self.assertEqual((run.status, told), (RunStatus.CANCELLED, [True]))

    async def test_two_processes_do_not_get_in_each_others_way(self) -> None:
        a, b = self.manager(lease_seconds=2), self.manager(lease_seconds=2)
        run = Run(unlike("run"), self.module)
        ends = asyncio.Event()
        a.start_task(run, ends.wait())
        await b.start()
        self.assertNotEqual(a.worker_id, b.worker_id)
        await self.soon("it runs", lambda: self.task(run)["status"] == "processing")
        self.assertEqual((self.task(run)["locked_by"], b.get_active_task_count()), (a.worker_id, 0))
        b.start_task(again := Run(run.run_id, self.module), asyncio.sleep(0))  # the same run a second time: it follows the first
        await asyncio.sleep(0.2)
        self.assertTrue(b.is_task_active(run.run_id))
        ends.set()
        await a.wait_all()
        await asyncio.wait_for(b.wait_all(), 30)
        self.assertEqual((run.status, again.status, self.task(run)["attempts"]), (RunStatus.COMPLETED, RunStatus.COMPLETED, 1))

    async def test_cancel_from_another_process(self) -> None:
        a, b = self.manager(lease_seconds=1), self.manager()
        run = Run(unlike("run"), self.module)
        a.start_task(run, asyncio.sleep(60))
        await self.soon("it runs", lambda: self.task(run)["status"] == "processing")
        self.assertTrue(await b.cancel_task(run.run_id))
        await a.wait_all()
        self.assertEqual(run.status, RunStatus.CANCELLED)
        self.assertFalse(await b.cancel_task(run.run_id))

    async def test_tasks_of_others_are_left_to_them(self) -> None:
        m, run = self.manager(), Run(unlike("run"), self.module)
        theirs = [self.c.enqueue(self.module)["task_id"] for _ in range(3)]
        m.start_task(run, asyncio.sleep(0))
        await asyncio.wait_for(m.wait_all(), 30)
        self.assertEqual({(self.c.get(i)["status"], self.c.get(i)["attempts"]) for i in theirs}, {("queued", 0)})
        w = Worker(shared().url, poll_seconds=0.05)
        w.task(self.module)(lambda job: None)
        serving = asyncio.create_task(w.serve())
        await self.soon("they are done", lambda: all(self.c.get(i)["status"] == "completed" for i in theirs))
        w.stop()
        await serving

    async def test_a_failed_run_that_is_queued_again_is_resumed(self) -> None:
        async def handler(run: Any) -> str:
            return "better"
        m, run = self.manager(lease_seconds=1, handlers={self.module: handler}), Run(unlike("run"), self.module)

        async def fail() -> None:
            raise ValueError("first")
        m.start_task(run, fail())
        await m.wait_all()
        self.c.requeue(self.task(run)["task_id"])
        await self.soon("it is resumed", lambda: self.task(run)["status"] == "completed")
        self.assertEqual(self.task(run)["result"], "better")
        await self.soon("the registry knows", lambda: m.registry.get_run(run.run_id).status == RunStatus.COMPLETED)

    async def test_a_named_process_takes_its_runs_back(self) -> None:
        async def handler(run: Any) -> None:
            return None
        run, me = Run(unlike("run"), self.module), unlike("api-1")
        self.c.enqueue_many([{"type": self.module, "idempotency_key": run.run_id, "compatibility": {"background": me}}])
        self.c.claim(me, types=[self.module], capabilities={"background": me}, lease_seconds=3600)
        m = self.manager(worker_id=me, handlers={self.module: handler})
        await m.start()
        await self.soon("it is resumed", lambda: self.task(run)["status"] == "completed")


class TestBackends(unittest.IsolatedAsyncioTestCase):
    """The switch."""

    async def test_fallback_is_logged(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as s:
            nobody = "http://127.0.0.1:%d" % s.getsockname()[1]
        with self.assertLogs("thequeue", "WARNING") as logs:
            manager = create_task_manager(RunRegistry(), "queue", nobody)
        self.assertIn("runs are kept in memory", logs.output[0])
        run = Run("a", "b")
        manager.start_task(run, asyncio.sleep(0))
        await manager.wait_all()
        self.assertEqual(run.status, RunStatus.COMPLETED)
        with self.assertRaises(ConnectionFailed):
            create_task_manager(RunRegistry(), "queue", nobody, fallback=False)

    async def test_the_key_of_a_manager(self) -> None:
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        server = Server(f"{place}/queue.db")
        self.addCleanup(server.stop)
        with Client(server.url) as c:
            admin = c.create_key("ops", "admin")["key"]
        keys = {"none": "", "admin": admin}
        with Client(server.url, api_key=admin) as c:
            for role in ("producer", "worker", "viewer", "operator"):
                keys[role] = c.create_key(role, role)["key"]
        for role, key in keys.items():
            run = Run(unlike(role), "m")
            async with BackgroundTaskManager(RunRegistry(), server.url, worker_id=unlike("w"), api_key=key) as manager:
                manager.start_task(run, asyncio.sleep(0))
                await asyncio.wait_for(manager.wait_all(), 30)
            if role == "admin":
                self.assertEqual(run.status, RunStatus.COMPLETED)
                await create_task_manager(RunRegistry(), "queue", server.url, fallback=False, api_key=key).close()
                continue
            self.assertEqual(run.status, RunStatus.FAILED)
            self.assertIn("key", str(run.error_message).lower())
            with self.assertRaises(Denied):
                create_task_manager(RunRegistry(), "queue", server.url, fallback=False, api_key=key)

    @unittest.skipUnless(hasattr(os, "getuid"), "modes are those of Unix")
    async def test_the_directory_of_names_is_this_users_alone(self) -> None:
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        with mock.patch.object(tempfile, "tempdir", place):
            name, slot = take_slot("name")
            slot.close()
            self.assertTrue(name.endswith("#0"))
            directory = Path(place) / f"thequeue-{os.getuid()}"
            directory.chmod(0o755)
            with self.assertRaisesRegex(RuntimeError, "nobody else may enter"):
                take_slot("name")

    async def test_wrong_words(self) -> None:
        with self.assertRaisesRegex(ValueError, "use in-memory or queue"):
            create_task_manager(RunRegistry(), "redis")
        with self.assertRaisesRegex(ValueError, "queue: name the server"):
            create_task_manager(RunRegistry(), "queue")
        with self.assertRaisesRegex(ValueError, "name"):
            BackgroundTaskManager(RunRegistry(), name="")

    async def test_both_backends(self) -> None:
        self.assertIsNone(create_task_manager(RunRegistry(), "in-memory")._client)
        manager = create_task_manager(RunRegistry(), "queue", shared().url)
        self.assertIsNotNone(manager._client)
        await manager.close()
