"""RoutedTaskManager: modules in memory, in the queue, and in memory with a shadow."""

from __future__ import annotations

import asyncio
import json
import tempfile
import unittest
from pathlib import Path

from thequeue import Client, NotFound, RoutedTaskManager, Routes, Run, RunRegistry, RunStatus, read_routes

from .support import shared, unlike


class Files(unittest.TestCase):
    def write(self, data: object) -> str:
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        path = Path(place.name) / "routing.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data), "utf-8")
        return str(path)

    def test_routes(self) -> None:
        routes = read_routes(self.write({"queue": "http://127.0.0.1:8000", "default": "shadow", "modules": {"a": "queue", "b": "in-memory"}}))
        self.assertEqual([routes.route(m) for m in ("a", "b", "c")], ["queue", "in-memory", "shadow"])
        self.assertEqual(read_routes(self.write({})).route("a"), "in-memory")

    def test_everything_that_is_wrong_is_told(self) -> None:
        with self.assertRaises(ValueError) as caught:
            read_routes(self.write({"modules": {"a": "queue", "b": "somewhere"}, "default": 7, "colour": "blue"}))
        for part in ("colour: is not a known key", "queue: is missing, and modules.a is queue", "modules.b: must be one of", "default: must"):
            self.assertIn(part, str(caught.exception))
        for text in ("", "[]", "{"):
            with self.assertRaises(ValueError):
                read_routes(self.write(text))


class Routed(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.registry, self.mark = RunRegistry(), unlike("m")
        path = Path(tempfile.mkdtemp()) / "routing.json"
        modules = {f"{self.mark}-q": "queue", f"{self.mark}-s": "shadow"}
        path.write_text(json.dumps({"queue": shared().url, "modules": modules}), "utf-8")
        self.manager = RoutedTaskManager(self.registry, path, name=unlike("n"))
        self.addAsyncCleanup(self.manager.close)
        self.client = Client(shared().url)
        self.addCleanup(self.client.close)

    def run_of(self, module: str) -> Run:
        run = Run(run_id=unlike("run"), module_id=f"{self.mark}-{module}", parameters={"n": 1})
        self.registry.add_run(run)
        return run

    async def test_each_module_goes_its_way(self) -> None:
        runs = {m: self.run_of(m) for m in "qsx"}
        for run in runs.values():
            self.manager.start_task(run, asyncio.sleep(0.01))
        self.assertEqual(self.manager.get_active_task_count(), 3)
        await asyncio.wait_for(self.manager.wait_all(), 60)
        await asyncio.wait_for(self.manager.wait_shadows(), 60)
        self.assertEqual({r.status for r in runs.values()}, {RunStatus.COMPLETED})
        self.assertEqual(self.client.run(runs["q"].run_id)["status"], "completed")
        shadow = self.client.run("shadow:" + runs["s"].run_id)
        self.assertEqual((shadow["module_id"], shadow["status"], shadow["parameters"]), (f"shadow:{self.mark}-s", "completed", {"n": 1}))
        for name in (runs["s"].run_id, runs["x"].run_id, "shadow:" + runs["x"].run_id):
            with self.assertRaises(NotFound):
                self.client.run(name)
        self.assertEqual(self.manager.differences, [])

    async def test_shadows_end_as_their_runs_do(self) -> None:
        async def fail() -> None:
            raise ValueError("on purpose")
        bad, waits, cancelled = self.run_of("s"), asyncio.Event(), self.run_of("s")
        self.manager.start_task(bad, fail())
        self.manager.start_task(cancelled, waits.wait())
        self.assertTrue(await self.manager.cancel_task(cancelled.run_id))
        await asyncio.wait_for(self.manager.wait_all(), 60)
        await asyncio.wait_for(self.manager.wait_shadows(), 60)
        self.assertEqual([self.client.run("shadow:" + r.run_id)["status"] for r in (bad, cancelled)], ["failed", "cancelled"])
        self.assertEqual(self.manager.differences, [])

    async def test_a_worker_id_is_that_of_one_manager_alone(self) -> None:
        worker, routes = unlike("w"), Routes(shared().url, "queue", {self.mark + "-s": "shadow"})
        async with RoutedTaskManager(self.registry, routes, name=unlike("n"), worker_id=worker) as manager:
            for module in ("q", "s"):
                manager.start_task(self.run_of(module), asyncio.sleep(0))
            await asyncio.wait_for(manager.wait_all(), 60)
            await asyncio.wait_for(manager.wait_shadows(), 60)
            ours = [w["worker_id"] for w in self.client.workers() if w["worker_id"].startswith(worker)]
            self.assertEqual(sorted(ours), [worker, worker + "-shadow"])

    async def test_a_shadow_that_cannot_begin_does_not_hold_the_run_up(self) -> None:
        assert self.manager._shadow
        await self.manager._shadow.close()
        run = self.run_of("s")
        with self.assertLogs("thequeue", "WARNING"):
            self.manager.start_task(run, asyncio.sleep(0))
            await asyncio.wait_for(self.manager.wait_all(), 60)
            await asyncio.sleep(0)
        self.assertEqual((run.status, self.manager.differences), (RunStatus.COMPLETED, [(run.run_id, "completed", "failed")]))

    async def test_what_the_queue_would_not_have_taken_is_told(self) -> None:
        run = self.run_of("s")
        run.parameters = {"text": "x" * 2_000_000}
        with self.assertLogs("thequeue", "WARNING") as logged:
            self.manager.start_task(run, asyncio.sleep(0))
            await asyncio.wait_for(self.manager.wait_all(), 60)
            await asyncio.wait_for(self.manager.wait_shadows(), 60)
            await asyncio.sleep(0)
        self.assertEqual(self.manager.differences, [(run.run_id, "completed", "failed")])
        self.assertIn("would have been failed in the queue", "\n".join(logged.output))
        self.assertEqual(self.manager._shadows.runs, {})
        with self.assertLogs("thequeue", "WARNING"):
            for n in range(1_001):
                self.manager._differ(run, Run(str(n), "m"))
        self.assertEqual(len(self.manager.differences), 1_000)
