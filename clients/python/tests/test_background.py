"""BackgroundTaskManager: one set of tests for both backends. What only a queue can do is in test_persisted.py."""

from __future__ import annotations

import asyncio
import os
import time
import unittest
from collections import Counter
from datetime import datetime, timezone
from enum import Enum
from types import SimpleNamespace
from typing import Any

from thequeue import BackgroundTaskManager, Run, RunRegistry, RunStatus, create_task_manager

from .support import shared, unlike

MANY = 1000


class Behaviour:
    """What a manager does, whatever it keeps its runs in."""

    backend: str

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().set_debug(False)  # which remembers the stack of every one of a thousand tasks
        self.registry = RunRegistry()
        self.module = unlike("module")
        self.manager = create_task_manager(self.registry, self.backend, shared().url if self.backend == "queue" else None, fallback=False,
                                           **({"name": unlike("n")} if self.backend == "queue" else {}))
        self.addAsyncCleanup(self.manager.close)

    def run_named(self, name: str, **parameters: Any) -> Run:
        run = Run(run_id=unlike(name), module_id=self.module, module_name="Module", parameters=parameters)
        self.registry.add_run(run)
        return run

    def status(self, run: Run) -> RunStatus:
        return self.registry.get_run(run.run_id).status

    async def wait(self) -> None:
        await asyncio.wait_for(self.manager.wait_all(), 120)

    async def running(self, run: Run) -> None:
        async def runs() -> None:
            while self.status(run) is not RunStatus.RUNNING:
                await asyncio.sleep(0.005)
        await asyncio.wait_for(runs(), 30)

    async def test_nothing_is_active_at_first(self) -> None:
        self.assertIs(self.manager.registry, self.registry)
        self.assertEqual((self.manager.get_active_task_count(), self.manager.get_active_task_ids(), self.manager.tasks), (0, [], {}))
        await self.wait()
        self.assertFalse(await self.manager.cancel_task("nobody"))
        self.assertFalse(self.manager.is_task_active("nobody"))

    async def test_a_run_from_beginning_to_end(self) -> None:
        run, seen = self.run_named("run", a=1), []

        async def work() -> str:
            seen.append(self.status(run))
            await asyncio.sleep(0)
            return "done"
        began = time.monotonic()
        self.assertEqual(self.manager.start_task(run, work()), run.run_id)
        self.assertLess(time.monotonic() - began, 0.5)
        self.assertEqual((self.manager.get_active_task_count(), self.manager.get_active_task_ids()), (1, [run.run_id]))
        self.assertTrue(self.manager.is_task_active(run.run_id))
        self.assertEqual(self.status(run), RunStatus.QUEUED)
        await self.wait()
        self.assertEqual((seen, self.status(run), run.exit_code, run.error_message), ([RunStatus.RUNNING], RunStatus.COMPLETED, 0, None))
        assert run.started_at and run.completed_at
        self.assertLessEqual(run.started_at, run.completed_at)
        self.assertEqual(self.manager.get_active_task_count(), 0)
        self.assertFalse(await self.manager.cancel_task(run.run_id))
        self.assertEqual(self.status(run), RunStatus.COMPLETED)

    async def test_a_failure_is_in_the_registry(self) -> None:
        late, early = self.run_named("late"), self.run_named("early")

        async def fail(seconds: float) -> None:
            if seconds:
                await asyncio.sleep(seconds)
            raise ValueError("on purpose")
        self.manager.start_task(late, fail(0.02))
        self.manager.start_task(early, fail(0))
        await self.wait()
        for run in (late, early):
            self.assertEqual((self.status(run), run.error_message), (RunStatus.FAILED, "on purpose"))

    async def test_cancel_while_it_runs(self) -> None:
        run, seen = self.run_named("run"), []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("told")
                raise
        self.manager.start_task(run, work())
        await self.running(run)
        self.assertIs(await self.manager.cancel_task(run.run_id), True)
        self.assertEqual((seen, self.status(run), self.manager.get_active_task_count()), (["told"], RunStatus.CANCELLED, 0))
        self.assertFalse(await self.manager.cancel_task(run.run_id))

    async def test_cancel_before_it_begins(self) -> None:
        run, begun = self.run_named("run"), []

        async def work() -> None:
            begun.append(True)
        self.manager.start_task(run, work())
        self.assertIs(await self.manager.cancel_task(run.run_id), True)
        self.assertEqual((begun, self.status(run)), ([], RunStatus.CANCELLED))

    async def test_cancel_of_a_run_that_ends_all_the_same(self) -> None:
        run = self.run_named("run")

        async def stubborn() -> str:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
            return "ended"
        self.manager.start_task(run, stubborn())
        await self.running(run)
        self.assertIs(await self.manager.cancel_task(run.run_id), False)
        self.assertEqual(self.status(run), RunStatus.COMPLETED)

    async def test_runs_run_at_once(self) -> None:
        runs = [self.run_named(f"run{i}") for i in range(5)]
        together = asyncio.Event()
        inside = 0

        async def work() -> None:
            nonlocal inside
            inside += 1
            if inside == len(runs):
                together.set()
            await together.wait()
        for run in runs:
            self.manager.start_task(run, work())
        self.assertEqual(sorted(self.manager.get_active_task_ids()), sorted(r.run_id for r in runs))
        await self.wait()
        self.assertEqual({self.status(r) for r in runs}, {RunStatus.COMPLETED})

    async def test_an_id_used_again_replaces_the_run_before(self) -> None:
        first = self.run_named("again")
        done: list[int] = []

        async def work(n: int) -> None:
            done.append(n)
        self.manager.start_task(first, work(1))
        await self.wait()
        second = Run(run_id=first.run_id, module_id=self.module + "-2", module_name="Second")
        self.registry.update_run(second)
        self.manager.start_task(second, work(2))
        await self.wait()
        self.assertEqual((done, self.registry.get_run(first.run_id).module_id, second.status), ([1, 2], self.module + "-2",
            RunStatus.COMPLETED))

    async def test_an_active_run_is_not_started_twice(self) -> None:
        run, done = self.run_named("once"), []

        async def work() -> None:
            await asyncio.sleep(0.05)
            done.append(True)
        self.manager.start_task(run, work())
        self.assertEqual(self.manager.start_task(run, work()), run.run_id)
        await self.wait()
        self.assertEqual(done, [True])

    async def test_a_run_that_starts_another(self) -> None:
        outer, inner = self.run_named("outer"), self.run_named("inner")

        async def child() -> None:
            await asyncio.sleep(0.01)

        async def parent() -> None:
            self.manager.start_task(inner, child())
        self.manager.start_task(outer, parent())
        await self.wait()
        self.assertEqual((self.status(outer), self.status(inner)), (RunStatus.COMPLETED, RunStatus.COMPLETED))

    async def test_work_in_other_forms(self) -> None:
        async def work() -> int:
            return 1
        for name, form in (("function", work), ("future", asyncio.ensure_future(work())), ("lambda", lambda: work())):
            run = self.run_named(name)
            self.manager.start_task(run, form)
            await self.wait()
            self.assertEqual(self.status(run), RunStatus.COMPLETED, name)

    async def test_any_object_with_the_fields_of_a_run(self) -> None:
        class Word(str, Enum):
            QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = "queued", "running", "completed", "failed", "cancelled"

        kept: dict[str, Any] = {}
        registry = SimpleNamespace(add_run=lambda r: kept.update({r.run_id: r}), update_run=lambda r: kept.update({r.run_id: r}),
            get_run=kept.get)
        self.manager.registry = self.manager._ledger.registry = registry
        run = SimpleNamespace(run_id=unlike("run"), module_id=self.module, module_name="", status=Word.QUEUED,
            created_at=datetime.now(timezone.utc),
                              started_at=None, completed_at=None, exit_code=None, error_message=None, parameters={"a": [1]})

        async def work() -> object:
            return object()  # what cannot be kept is no failure
        self.manager.start_task(run, work())
        await self.wait()
        self.assertIs(kept[run.run_id].status, Word.COMPLETED)

    async def test_a_registry_that_fails_does_not_stop_the_run(self) -> None:
        run, done = self.run_named("run"), []

        def refuse(run: Run) -> None:
            raise OSError("no space left on device")
        self.registry.update_run = refuse  # type: ignore[method-assign]

        async def work() -> None:
            done.append(True)
        with self.assertLogs("thequeue", "ERROR"):
            self.manager.start_task(run, work())
            await self.wait()
        self.assertEqual(done, [True])

    async def test_a_thousand_runs_end_as_they_should(self) -> None:
        async def work(n: int) -> int:
            await asyncio.sleep(0)
            if n % 10 == 1:
                raise RuntimeError(f"run {n}")
            if n % 10 == 2:
                await asyncio.sleep(600)
            return n
        runs = [self.run_named(f"run{n}", n=n) for n in range(MANY)]
        began = time.monotonic()
        for n, run in enumerate(runs):
            self.manager.start_task(run, work(n))
        self.assertEqual(self.manager.get_active_task_count(), MANY)
        cancelled = await asyncio.gather(*(self.manager.cancel_task(run.run_id) for n, run in enumerate(runs) if n % 10 == 2))
        await self.wait()
        self.assertLess(time.monotonic() - began, 120)
        self.assertTrue(all(cancelled))
        self.assertEqual(Counter(self.status(r) for r in runs), {RunStatus.COMPLETED: MANY * 8 // 10, RunStatus.FAILED: MANY // 10,
            RunStatus.CANCELLED: MANY // 10})
        self.assertEqual([r.error_message for r in runs[1::10]], [f"run {n}" for n in range(1, MANY, 10)])


class TestInMemory(Behaviour, unittest.IsolatedAsyncioTestCase):
    """Without a queue."""

    backend = "in-memory"

    async def test_runs_that_are_open_at_the_end_are_cancelled(self) -> None:
        run = self.run_named("run")
        self.manager.start_task(run, asyncio.sleep(60))
        await self.running(run)
        await self.manager.close()
        self.assertEqual(self.status(run), RunStatus.CANCELLED)
        with self.assertRaisesRegex(RuntimeError, "closed"):
            self.manager.start_task(run, lambda: asyncio.sleep(0))


class TestInQueue(Behaviour, unittest.IsolatedAsyncioTestCase):
    """With a queue."""

    backend = "queue"


class TestOutsideALoop(unittest.TestCase):
    """Without an event loop nothing can run."""

    def test_it_is_an_error(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "no running event loop"):
            BackgroundTaskManager(RunRegistry()).start_task(Run("a", "b"), lambda: asyncio.sleep(0))


class TestRegistry(unittest.TestCase):
    """The registry's file."""

    def test_runs_are_there_again(self) -> None:
        import json
        import tempfile
        with tempfile.TemporaryDirectory() as place:
            file = os.path.join(place, "sub", "history.json")
            registry = RunRegistry(file)
            registry.add_run(Run("a", "m", "M", parameters={"x": 1}))
            again = RunRegistry(file)
            self.assertEqual(again.runs, registry.runs)
            self.assertEqual(again.get_active_runs(), [registry.runs["a"]])
            with open(file, "w") as f:  # times without a zone, as older files have them
                json.dump({"b": {"run_id": "b", "module_id": "m", "status": "running", "created_at": "2025-11-05T10:00:00.5",
                    "unknown": 1}}, f)
            self.assertEqual(RunRegistry(file).runs["b"].created_at, datetime(2025, 11, 5, 10, 0, 0, 500000, timezone.utc))
            with open(file, "w") as f:
                f.write("[1]")
            with self.assertRaisesRegex(ValueError, "holds no runs"):
                RunRegistry(file)
            with open(file) as f:
                self.assertEqual(f.read(), "[1]")
