"""Every call of the API, by both clients; errors; what happens when answers are lost."""

from __future__ import annotations

import asyncio
import inspect
import json
import shutil
import socket
import tempfile
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import thequeue
from thequeue import AsyncClient, Client

from .support import Server, shared, unlike, until

NEVER_CALLED = {"close", "events"}  # tested by themselves


class Sync:
    """The asyncio client with the methods of the other, so that one test serves both."""

    def __init__(self, url: str, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = AsyncClient(url, **options)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            made = method(*args, **kwargs)
            return self.loop.run_until_complete(collect(made) if inspect.isasyncgen(made) else made)
        return call

    def close(self) -> None:
        self.loop.run_until_complete(self.client.close())
        self.loop.close()


async def collect(items: Any) -> list[Any]:
    return [i async for i in items]


class Calls:
    """What both clients must do."""

    make: Callable[..., Any]

    def setUp(self) -> None:
        self.used: set[str] = set()
        self.c = type(self).make(shared().url)
        self.addCleanup(self.c.close)
        self.type = unlike("t")

    def claim(self, **options: Any) -> Any:
        leases = self.c.claim(unlike("w"), types=[self.type], **options)
        self.assertEqual(len(leases), 1)
        return leases[0]

    def test_every_call(self) -> None:
        for name in ("tasks", "leases", "logs", "workers", "types", "operations", "failures", "schedules", "database", "backups", "runs", "keys",
                     "service"):
            with self.subTest(name):
                getattr(self, "look_at_" + name)()
        methods = {n for n, m in inspect.getmembers(Client, inspect.isfunction) if not n.startswith("_")}
        source = "".join(inspect.getsource(getattr(Calls, n)) for n in dir(Calls) if n.startswith("look_at_") or n == "claim")
        self.assertEqual(set(), {m for m in methods - NEVER_CALLED if f"c.{m}(" not in source}, "calls that no test makes")

    def look_at_tasks(self) -> None:
        c = self.c
        r = c.enqueue(self.type, {"ü": [1, 2.5, None], "big": 2**60}, priority=7, idempotency_key=self.type, max_attempts=100,
                      run_after=datetime.now(timezone.utc) + timedelta(hours=1), deadline=datetime.now() + timedelta(days=2),
                      timeout_seconds=5,
                      retry_policy={"initial_seconds": 2}, compatibility={"gpu": True}, concurrency_key="ada")
        self.assertTrue(r["created"])
        self.assertFalse(c.enqueue(self.type, idempotency_key=self.type)["created"])
        t = c.get(r["task_id"])
        self.assertEqual((t["payload"], t["priority"], t["max_attempts"], t["status"]), ({"ü": [1, 2.5, None], "big": 2**60}, 7, 100,
            "queued"))
        self.assertGreater(thequeue.parse_time(t["run_after_utc"]), datetime.now(timezone.utc))
        self.assertEqual(c.explain(t["task_id"])["status"], "queued")
        self.assertIn(self.type, [lane["type"] for lane in c.stranded()])
        many = c.enqueue_many([{"type": self.type, "priority": p} for p in (1, 2, 3)])
        self.assertEqual([m["created"] for m in many], [True] * 3)
        ids = [m["task_id"] for m in many]
        self.assertEqual([t["task_id"] for t in c.tasks(type=self.type, limit=3)], ids[::-1])
        page = c.page(type=self.type, limit=2, filter="status:queued")
        self.assertEqual([t["task_id"] for t in c.page(type=self.type, filter="status:queued", cursor=page["cursor"])["tasks"]], [ids[0],
            r["task_id"]])
        self.assertEqual(c.cancel(ids[0])["message"], "Task cancelled successfully")
        self.assertIn("already failed", c.cancel(ids[0])["message"])
        self.assertEqual(c.requeue(ids[0])["status"], "queued")
        with self.assertRaises(thequeue.Conflict):
            c.delete(ids[0])
        for i in ids:
            c.cancel(i)
            c.delete(i)
        with self.assertRaises(thequeue.NotFound) as caught:
            c.get(ids[0])
        self.assertEqual((caught.exception.status, str(caught.exception)), (404, f"Task {ids[0]} not found"))
        self.assertGreater(c.stats()["total_tasks"], 0)
        self.assertIn("health", c.metrics("1h", type=self.type))
        self.assertTrue(c.history("5m"))
        c.cancel(r["task_id"])

    def look_at_leases(self) -> None:
        c = self.c
        c.enqueue_many([{"type": self.type}] * 3)
        lease = self.claim(lease_seconds=30, strategy="fifo", capabilities={"x": 1}, wait_seconds=1)
        i, token = lease["task_id"], lease["lease_token"]
        self.assertEqual(c.start(i, token)["status"], "processing")
        self.assertFalse(c.heartbeat(i, token, lease_seconds=40, progress=50, message="half")["cancel_requested"])
        self.assertEqual(c.append_log(i, token, "hello", level="warning", details={"n": 1})["message"], "hello")
        self.assertEqual(c.complete(i, token, {"r": 1})["result"], {"r": 1})
        with self.assertRaises(thequeue.LeaseLost):
            c.complete(i, token)
        self.assertEqual(c.attempts(i)[0]["outcome"], "succeeded")
        lease = self.claim()
        self.assertEqual(c.release(lease["task_id"], lease["lease_token"], run_after_seconds=3600)["attempts"], 0)
        lease = self.claim()
        self.assertEqual(c.fail(lease["task_id"], lease["lease_token"], "no", retry_after_seconds=3600)["status"], "queued")
        self.assertEqual(c.claim("w", types=[self.type]), [])
        c.cancel(lease["task_id"])

    def look_at_logs(self) -> None:
        c = self.c
        task = next(t for t in c.tasks(type=self.type, status="completed"))
        lines = c.logs(task["task_id"], level="warning")
        self.assertEqual([(line["message"], line["details"]) for line in lines], [("hello", {"n": 1})])
        self.assertEqual(c.logs(task["task_id"], after=lines[0]["log_id"], level="warning"), [])
        recent = list(c.recent_logs(type=self.type, word="HELLO", level="warning", since=datetime.now(timezone.utc) - timedelta(hours=1),
            limit=5))
        self.assertEqual([line["type"] for line in recent], [self.type])
        self.assertEqual(c.delete_logs("2001-01-01T00:00:00Z", dry_run=True)["lines"], 0)

    def look_at_runs(self) -> None:
        c, run_id = self.c, unlike("run/ü")
        run = c.start_run(self.type, {"n": 1}, run_id=run_id)
        self.assertEqual((run["run_id"], run["module_id"], run["status"], run["parameters"]), (run_id, self.type, "queued", {"n": 1}))
        self.assertEqual(c.start_run(self.type, run_id=run_id)["task_id"], run["task_id"])
        lease = self.claim()
        c.heartbeat(lease["task_id"], lease["lease_token"], progress=50, message="1/2")
        self.assertEqual([r["run_id"] for r in c.runs(status="running", module=self.type)["runs"]], [run_id])
        c.append_log(lease["task_id"], lease["lease_token"], "hello", level="warning")
        c.complete(lease["task_id"], lease["lease_token"], {"items_processed": 2, "items_total": 2})
        run = c.run(run_id)
        self.assertEqual((run["status"], run["progress_percent"], run["items_processed"], run["exit_code"]), ("completed", 50, 2, 0))
        self.assertIn("hello", [line["message"] for line in c.follow_run(run_id)])
        self.assertEqual([line["level"] for line in c.run_logs(run_id, tail=2)["logs"]], ["WARNING", "INFO"])
        with self.assertRaises(thequeue.Conflict):
            c.cancel_run(run_id)
        made = c.start_run(self.type)
        self.assertEqual(c.cancel_run(made["run_id"])["status"], "cancelled")
        self.assertEqual(c.runs(status="cancelled", module=self.type, limit=1)["runs"][0]["run_id"], made["run_id"])

    def look_at_workers(self) -> None:
        c, w = self.c, unlike("worker/ä")
        self.assertEqual(c.worker_heartbeat(w, capabilities={"gpu": True}, types=["a"]), {"drain": False})
        self.assertEqual(c.worker(w)["capabilities"], {"gpu": True})
        self.assertIn(w, [x["worker_id"] for x in c.workers("live")])
        self.assertTrue(c.drain_worker(w)["drain"])
        self.assertFalse(c.resume_worker(w)["drain"])
        task_id = c.enqueue(self.type)["task_id"]
        self.assertEqual(len(c.claim(w, types=[self.type])), 1)
        self.assertEqual(c.reclaim_worker(w), [task_id])
        self.assertEqual(c.clean_workers(older_than_seconds=86400), {"deleted": [], "kept": []})
        c.delete_worker(w)
        with self.assertRaises(thequeue.NotFound):
            c.delete_worker(w)
        with self.assertRaises(thequeue.NotFound):
            c.reclaim_worker(w)
        c.cancel(task_id)

    def look_at_types(self) -> None:
        c, name = self.c, unlike("type/ü")
        self.assertEqual(c.set_type(name, {"max_concurrency": 3, "rate_limit": {"tasks": 5}})["max_concurrency"], 3)
        self.assertTrue(c.pause_type(name)["paused"])
        self.assertFalse(c.resume_type(name)["paused"])
        self.assertEqual(c.type(name)["max_concurrency"], 3)
        self.assertIn(name, [t["type"] for t in c.types()])

    def look_at_operations(self) -> None:
        c, kind = self.c, unlike("o")
        c.enqueue_many([{"type": kind}] * 3)
        proposal = c.propose("cancel", f"type:{kind}")
        self.assertEqual(proposal["matched"], 3)
        operation = c.operate("cancel", f"type:{kind}", confirm_token=proposal["confirm_token"])
        until("the operation has ended", lambda: c.operation(operation["id"])["status"] == "completed")
        self.assertIn(operation["id"], [o["id"] for o in c.operations(limit=5)])
        with self.assertRaises(thequeue.Conflict):
            c.cancel_operation(operation["id"])

    def look_at_failures(self) -> None:
        c, kind = self.c, unlike("f")
        c.enqueue(kind)
        lease = c.claim("w", types=[kind])[0]
        word = "".join(chr(97 + int(h, 16)) for h in unlike("")[1:])
        c.fail(lease["task_id"], lease["lease_token"], f"cannot find {word}", retry=False)
        failure_id = c.get(lease["task_id"])["error_fingerprint"]
        until("the failure is counted", lambda: c.failures(type=kind))
        self.assertEqual(c.failure(failure_id)["failed_tasks"], 1)
        self.assertEqual(c.propose_requeue_failure(failure_id)["matched"], 1)
        operation = c.requeue_failure(failure_id)
        until("it is queued again", lambda: c.operation(operation["id"])["status"] == "completed")
        self.assertEqual(c.get(lease["task_id"])["status"], "queued")
        c.dismiss_failure(failure_id)
        c.cancel(lease["task_id"])

    def look_at_schedules(self) -> None:
        c, name = self.c, unlike("s")
        self.assertEqual(c.set_schedule(name, {"cron": "30 2 1 1 *", "timezone": "Europe/Berlin", "task": {"type": "x"}})["name"], name)
        self.assertTrue(c.pause_schedule(name)["paused"])
        self.assertFalse(c.resume_schedule(name)["paused"])
        self.assertEqual(len(c.preview_schedule(name, 3)), 3)
        self.assertEqual(c.schedule(name)["cron"], "30 2 1 1 *")
        self.assertIn(name, [s["name"] for s in c.schedules()])
        c.delete_schedule(name)

    def look_at_database(self) -> None:
        c = self.c
        stats = c.database_stats()
        self.assertGreater(stats["bytes"], 0)
        self.assertIn("task_queue", [t["name"] for t in stats["tables"]])
        self.assertEqual(c.checkpoint("truncate")["mode"], "truncate")
        self.assertFalse(c.vacuum()["stopped"])
        self.assertGreater(c.vacuum_cost()["needs_bytes"], 0)
        self.assertEqual(c.analyze("task_queue")["tables"], ["task_queue"])
        self.assertEqual(c.check_integrity()["problems"], [])
        self.assertFalse(c.optimize()["full"])
        self.assertGreaterEqual(c.retain()["tasks"], 0)
        self.assertGreaterEqual(c.reclaim_leases()["requeued"], 0)
        with self.assertRaises(thequeue.NotFound):
            c.stop_maintenance()

    def look_at_backups(self) -> None:
        c, name = self.c, unlike("b")
        self.assertEqual(c.create_backup(name)["name"], name)
        until("the backup is made", lambda: c.backup(name)["state"] != "running")
        self.assertIsNone(c.backup(name)["error_message"])
        self.assertIn(name, [b["name"] for b in c.backups()])
        self.assertIsNotNone(c.verify_backup(name)["verified_at_utc"])
        with self.assertRaises(thequeue.NotFound):
            c.verify_backup(unlike("none"))

    def look_at_keys(self) -> None:
        place = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, place)
        server = Server(f"{place}/queue.db")  # which needs a key from then on
        self.addCleanup(server.stop)
        make = type(self).make
        c = make(server.url)
        self.addCleanup(c.close)
        first = c.create_key("ops", "admin", expires_in_seconds=3600)
        with self.assertRaises(thequeue.Denied):
            c.keys()
        c = make(server.url, api_key=first["key"])
        self.addCleanup(c.close)
        shop = c.create_key("shop", "producer", types=["mail.*"])
        seller = make(server.url, api_key=shop["key"])
        self.addCleanup(seller.close)
        self.assertEqual(seller.enqueue("mail.send")["status"], "queued")
        with self.assertRaises(thequeue.Denied) as caught:
            seller.enqueue("video")
        self.assertEqual((caught.exception.status, caught.exception.code), (403, "forbidden"))
        second = c.rotate_key(shop["key_id"], overlap_seconds=60, expires_in_seconds=600)
        self.assertEqual((second["name"], second["types"]), ("shop", ["mail.*"]))
        self.assertIsNotNone(c.revoke_key(shop["key_id"])["revoked_at_utc"])
        with self.assertRaises(thequeue.Denied):
            seller.enqueue("mail.send")
        with self.assertRaises(thequeue.Conflict):
            c.delete_key(second["key_id"])
        c.delete_key(shop["key_id"])
        self.assertEqual([k["key_id"] for k in c.keys()], [first["key_id"], second["key_id"]])

    def look_at_service(self) -> None:
        c = self.c
        self.assertEqual(c.live()["status"], "live")
        self.assertEqual(c.ready()["status"], "ready")
        self.assertIn("# TYPE", c.prometheus())
        paths = c.openapi()["paths"]
        self.assertIn("/api/queue/enqueue", paths)

    def test_what_is_invalid_names_the_field(self) -> None:
        with self.assertRaises(thequeue.Invalid) as caught:
            self.c.enqueue(" ", priority=1001)
        self.assertEqual({f.field for f in caught.exception.fields}, {"type", "priority"})
        self.assertIn("must lie between 1 and 1000", str(caught.exception))
        with self.assertRaises(thequeue.Invalid) as caught:
            self.c.enqueue_many([{"type": self.type}, {"type": self.type, "max_attempts": 101}])
        self.assertEqual([f.field for f in caught.exception.fields], ["tasks[1].max_attempts"])
        for payload in ({"a": float("nan")}, {"a": object()}, {"a": "\ud800"}):
            with self.assertRaisesRegex(ValueError, r"tasks\[0\].payload: cannot be written as JSON"):
                self.c.enqueue(self.type, payload)
        with self.assertRaises(thequeue.Invalid) as caught:
            self.c.enqueue(self.type, {"a": "x" * (2 << 20)})
        self.assertTrue(caught.exception.fields)
        self.assertEqual(self.c.page(type=self.type)["tasks"], [])

    def test_a_server_that_is_not_there(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        c = type(self).make(f"http://127.0.0.1:{port}", retries=1)
        self.addCleanup(c.close)
        with self.assertRaises(thequeue.ConnectionFailed):
            c.stats()

    def test_lost_answers_make_no_twins(self) -> None:
        with Thief(shared().url, "POST") as thief:
            c = type(self).make(thief.url)
            try:
                thief.steal(2)
                receipt = c.enqueue(self.type, {"n": 1})
                self.assertTrue(receipt["created"])
                self.assertEqual([t["task_id"] for t in c.page(type=self.type)["tasks"]], [receipt["task_id"]])
                lease = self.claim()
                thief.steal(1)
                self.assertEqual(c.append_log(lease["task_id"], lease["lease_token"], "once")["message"], "once")
                self.assertEqual([line["message"] for line in c.logs(lease["task_id"])].count("once"), 1)
                thief.steal(1)
                self.assertEqual(c.complete(lease["task_id"], lease["lease_token"], 5)["result"], 5)
                thief.steal(1)
                with self.assertRaises(thequeue.ResultUnknown):
                    c.claim("w", types=[self.type])
                self.assertEqual(thief.stolen, 5)
            finally:
                c.close()

    def test_waits_as_long_as_the_server_says(self) -> None:
        answers = [(503, "Retry-After: 1\r\n", {"error_code": "busy", "detail": "The store is busy"}), (200, "", {"total_tasks": 7})]
        with Canned(answers) as server:
            c = type(self).make(server.url)
            began = time.monotonic()
            self.assertEqual(c.stats(), {"total_tasks": 7})
            self.assertGreaterEqual(time.monotonic() - began, 1.0)
            c.close()
        with Canned(answers[:1] * 3) as server:
            c = type(self).make(server.url, retries=2)
            with self.assertRaises(thequeue.Busy) as caught:
                c.stats()
            self.assertEqual((caught.exception.code, caught.exception.retry_after, server.served), ("busy", 1.0, 3))
            c.close()

    def test_a_key_goes_with_every_request(self) -> None:
        with Canned([(200, "", {})]) as server:
            c = type(self).make(server.url + "/under/here", api_key="secret", headers={"X-Extra": "1"})
            c.stats()
            c.close()
        head = server.heads[0]
        self.assertTrue(head.startswith("GET /under/here/api/queue/stats HTTP/1.1"))
        self.assertIn("Authorization: Bearer secret", head)
        self.assertIn("X-Extra: 1", head)

    def test_silence_is_not_waited_for(self) -> None:
        with Canned([None]) as server:
            c = type(self).make(server.url, timeout=0.2, retries=0)
            with self.assertRaisesRegex(thequeue.ResultUnknown, "in time"):
                c.stats()
            c.close()

    def test_connections_are_used_again(self) -> None:
        with Canned([(200, "", {})] * 5) as server:
            c = type(self).make(server.url)
            for _ in range(5):
                c.stats()
            c.close()
        self.assertEqual((server.served, server.connections), (5, 1))


class TestClient(Calls, unittest.TestCase):
    """The client."""

    make = Client

    def test_events(self) -> None:
        got: list[Any] = []
        stream = self.c.events(types=[self.type], events=["enqueued", "cancelled"])
        reader = threading.Thread(target=lambda: [got.append(next(stream)) for _ in range(2)])
        reader.start()
        with Client(shared().url) as c:
            # Only what happens after the stream has begun is in it: so tasks are made until one is.
            until("an event", lambda: c.cancel(c.enqueue(self.type)["task_id"]) and got)
            until("two events", lambda: c.cancel(c.enqueue(self.type)["task_id"]) and len(got) == 2)
        reader.join(10)
        stream.close()
        self.assertEqual({e["type"] for e in got}, {self.type})
        after = list(zip(range(1), self.c.events(types=self.type, after=got[0]["event_id"])))
        self.assertGreater(after[0][1]["event_id"], got[0]["event_id"])

    def test_wrong_arguments(self) -> None:
        for url in ("127.0.0.1:8000", "ftp://x", "http://", "http://x?a=1"):
            with self.assertRaisesRegex(ValueError, "base_url"):
                Client(url)
        with self.assertRaisesRegex(ValueError, "line breaks"):
            Client(headers={"A": "x\r\nB: y"})

    def test_threads_share_a_client(self) -> None:
        threads = [threading.Thread(target=lambda: [self.c.enqueue(self.type) for _ in range(20)]) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(list(self.c.tasks(type=self.type))), 160)


class TestAsyncClient(Calls, unittest.TestCase):
    """The asyncio client."""

    make = Sync


class TestAsyncOnly(unittest.IsolatedAsyncioTestCase):
    """What only coroutines can do."""

    async def asyncSetUp(self) -> None:
        self.c = AsyncClient(shared().url)
        self.addAsyncCleanup(self.c.close)
        self.type = unlike("t")

    async def test_a_cancelled_claim_takes_nothing(self) -> None:
        claim = asyncio.create_task(self.c.claim("w", types=[self.type], wait_seconds=20))
        await asyncio.sleep(0.2)
        claim.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await claim
        task_id = (await self.c.enqueue(self.type))["task_id"]
        self.assertEqual((await self.c.get(task_id))["status"], "queued")

    async def test_waiting_claims_leave_room_for_other_calls(self) -> None:
        c = AsyncClient(shared().url, connections=2)
        claims = [asyncio.create_task(c.claim(f"w{i}", types=[self.type], wait_seconds=20)) for i in range(10)]
        await asyncio.wait_for(c.enqueue_many([{"type": self.type}] * 10), 10)
        self.assertEqual(sum(len(leases) for leases in await asyncio.gather(*claims)), 10)
        await c.close()

    async def test_events(self) -> None:
        stream = self.c.events(types=self.type)
        first = asyncio.ensure_future(stream.__anext__())
        while not first.done():
            await self.c.enqueue(self.type)
            await asyncio.wait({first}, timeout=0.05)
        self.assertEqual(first.result()["event"], "enqueued")
        await stream.aclose()


class TestTheAsyncioClientIsMade(unittest.TestCase):
    """The two clients are one source."""

    def test_it_is_fresh(self) -> None:
        import subprocess
        import sys
        from .support import PACKAGE
        done = subprocess.run([sys.executable, str(PACKAGE / "tools" / "make_asyncio.py"), "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)


class Peer:
    """Something that listens where a server would be."""

    def __enter__(self) -> "Any":
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.listener.close()
        for s in self.sockets:
            s.close()

    def accept(self) -> None:
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.sockets.append(s)
            threading.Thread(target=self.quietly, args=(s,), daemon=True).start()

    def quietly(self, s: socket.socket) -> None:
        try:
            self.serve(s)
        except OSError:
            pass  # the other side has gone

    def serve(self, s: socket.socket) -> None:
        raise NotImplementedError


def read_request(s: socket.socket) -> bytes:
    """Read one request; empty when the connection has ended."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = s.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")), 0)
    while len(body) < length:
        body += s.recv(65536)
    return head + b"\r\n\r\n" + body


class Canned(Peer):
    """Answers with what it was given; None is silence."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers, self.served, self.connections, self.heads = answers, 0, 0, list[str]()

    def serve(self, s: socket.socket) -> None:
        self.connections += 1
        while request := read_request(s):
            self.heads.append(request.partition(b"\r\n\r\n")[0].decode())
            answer = self.answers[self.served]
            self.served += 1
            if answer is None:
                time.sleep(1)
                return
            status, headers, body = answer
            text = json.dumps(body)
            s.sendall(f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(text)}\r\n\r\n{text}".encode())


class Thief(Peer):
    """Passes requests on to a server and keeps some answers to itself."""

    def __init__(self, url: str, method: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.to, self.method, self.left, self.stolen = (host, int(port)), method.encode(), 0, 0

    def steal(self, n: int) -> None:
        """Keep the next n answers."""
        self.left = n

    def serve(self, s: socket.socket) -> None:
        with socket.create_connection(self.to) as server:
            while request := read_request(s):
                server.sendall(request)
                if request.startswith(self.method) and self.left > 0:
                    self.left -= 1
                    self.stolen += 1
                    server.recv(65536)  # it is done
                    s.shutdown(socket.SHUT_RDWR)
                    return
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += server.recv(65536)
                head, _, body = answer.partition(b"\r\n\r\n")
                lengths = [int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")]
                while (len(body) < lengths[0]) if lengths else not body.endswith(b"0\r\n\r\n"):
                    body += server.recv(65536)
                s.sendall(head + b"\r\n\r\n" + body)
