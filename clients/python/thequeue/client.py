"""The client: every call of the REST API as a method."""

from __future__ import annotations

import json
import ssl
import uuid
from typing import Any, Iterator, Literal, Mapping, Sequence, cast

from ._http import HTTP
from ._wire import API, Call, address, backoff, encode, keyed, segment, without_none
from .errors import Busy, ConnectionFailed, FieldError, Invalid, LeaseLost, NotFound, ResultUnknown
from .types import (
    Action, Analysis, ApiKey, Attempt, Backup, Cancelled, Checkpoint, CleanedWorkers, DatabaseStats, DeletedLogs,
    Event, Explanation, Failure, Health, Integrity, Json, Lease, Level, LogLine, Metrics, Names, NewApiKey, NewTask,
    Occurrence, Operation, Optimization, Page, Point, Proposal, Pulse, Receipt, RecentLogLine, Reclaimed, Retained,
    RetryPolicy, Role, RunEntry, RunLine, RunLog, RunPage, RunWord, Schedule, ScheduleSpec, Stats, Status, Stranded,
    Strategy, Task, TaskType, Time, TypeRules, Vacuum, VacuumCost, WorkerEntry, WorkerPulse, WorkerStatus,
    format_time,
)


LONG = 3600.0
"""Seconds for which a call waits that may take long."""


class Client:
    """Calls one server.

    A call is sent again, up to ``retries`` times with growing pauses, when the server could not be reached or is busy: then nothing
    was done. When the connection breaks after a call was sent, nobody knows whether it was carried out. What may be carried out
    twice is sent again, and for everything else but a claim the client sees to that it may: an enqueue has an idempotency key,
    other calls an ``Idempotency-Key``. A claim raises :class:`~thequeue.errors.ResultUnknown`; what it has claimed comes back when
    its lease ends.

    Safe for use by several threads. Every method raises the exceptions of :mod:`thequeue.errors`.
    """

    def __init__(self, base_url: str = "http://127.0.0.1:8000", *, api_key: str | None = None, timeout: float = 10.0,
                 retries: int = 4,
                 connections: int = 32, headers: Mapping[str, str] | None = None,
                 ssl_context: ssl.SSLContext | None = None) -> None:
        """Make a client; it does not connect yet.

        ``api_key``, or without it that of the variable ``PRISMQ_API_KEY``, is sent as ``Authorization: Bearer``; ``headers`` go with
        every request; without an ``ssl_context`` the certificates of ``PRISMQ_CA_FILE`` are trusted, or those of the system;
        ``timeout`` is of one try, in seconds, without the time that a claim waits; ``connections`` are kept open. Raises ValueError naming the argument that is wrong.
        """
        if timeout <= 0 or retries < 0 or connections < 1:
            raise ValueError("timeout: must be above 0; retries: must be 0 or more; connections: must be 1 or more")
        self.base_url = base_url.rstrip("/")
        self._http = HTTP(address(base_url, api_key, headers, ssl_context), timeout, retries, connections)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections. The client can still be used, and opens new ones."""
        self._http.close()

    # Tasks

    def enqueue(self, type: str, payload: Mapping[str, Json] | None = None, *, priority: int | None = None,
                compatibility: Mapping[str, Json] | None = None,
                max_attempts: int | None = None, run_after: Time | None = None, deadline: Time | None = None,
                timeout_seconds: float | None = None,
                retry_policy: RetryPolicy | None = None, idempotency_key: str | None = None, concurrency_key: str | None = None,
                unique_key: str | None = None, unique_scope: Literal["queued", "live", "period"] | None = None,
                unique_period_seconds: float | None = None, traceparent: str | None = None) -> Receipt:
        """Store one task. Without an idempotency key it is given a random one, so that a call which is sent again makes no twin."""
        task = without_none(
            type=type, payload=payload, priority=priority, compatibility=compatibility, max_attempts=max_attempts,
            run_after_utc=run_after,
            deadline_utc=deadline, timeout_seconds=timeout_seconds, retry_policy=retry_policy, idempotency_key=idempotency_key,
            concurrency_key=concurrency_key, unique_key=unique_key, unique_scope=unique_scope,
            unique_period_seconds=unique_period_seconds,
            traceparent=traceparent)
        try:
            receipts = self.enqueue_many([cast(NewTask, task)])
        except Invalid as e:
            fields = [FieldError(f.field.removeprefix("tasks[0]."), f.message) for f in e.fields]
            raise Invalid(e.status, e.code, e.detail.replace("tasks[0].", ""), fields, e.request_id) from None
        return receipts[0]

    def enqueue_many(self, tasks: Sequence[NewTask]) -> list[Receipt]:
        """Store 1 to 1,000 tasks, all or none, and answer in their order. ``Invalid.fields`` names the element:
        ``tasks[3].priority``."""
        items, generated = new_tasks(tasks)
        answer = self._http.send(Call("POST", f"{API}/enqueue/batch", body={"tasks": items}, twice=True))
        receipts = cast("list[Receipt]", answer.json()["tasks"])
        for i in generated:  # nobody else knows the key, so it was this call, or a try before
            if "unique_key" not in items[i]:
                receipts[i]["created"] = True
        return receipts

    def get(self, task_id: int) -> Task:
        """Return a task."""
        return cast(Task, (self._http.send(Call("GET", task_path(task_id), twice=True))).json())

    def page(self, *, status: Status | None = None, type: str | None = None, filter: str | None = None, limit: int = 100,
             cursor: str | None = None) -> Page:
        """Return one page of tasks, newest first. ``filter`` is like ``status:failed error:"timed out" age>1h``."""
        answer = self._http.send(Call("GET", f"{API}/tasks", {"status": status, "type": type, "filter": filter, "limit": limit,
            "cursor": cursor}, twice=True))
        return {"tasks": answer.json(), "cursor": answer.headers.get("x-next-cursor")}

    def tasks(self, *, status: Status | None = None, type: str | None = None, filter: str | None = None,
              limit: int | None = None) -> Iterator[Task]:
        """Yield tasks, newest first, page by page; at most ``limit`` where it is given."""
        cursor, left = None, limit
        while left is None or left > 0:
            page = self.page(status=status, type=type, filter=filter, limit=min(left or 100, 1000), cursor=cursor)
            for task in page["tasks"]:
                yield task
            left = None if left is None else left - len(page["tasks"])
            cursor = page["cursor"]
            if cursor is None:
                return

    def cancel(self, task_id: int) -> Cancelled:
        """End a queued or processing task; its worker is told. An ended task stays as it is, which the message says."""
        return cast(Cancelled, (self._http.send(keyed(Call("POST", task_path(task_id, "cancel"))))).json())

    def requeue(self, task_id: int) -> Task:
        """Queue a failed task again, with all its attempts. Raises Conflict for any other."""
        return cast(Task, (self._http.send(keyed(Call("POST", task_path(task_id, "requeue"))))).json())

    def delete(self, task_id: int) -> None:
        """Remove an ended task with its log and history. Raises Conflict while it is live."""
        self._delete(Call("DELETE", task_path(task_id), twice=True))

    def attempts(self, task_id: int) -> list[Attempt]:
        """Return the attempts of a task, oldest first; the one that runs now is last."""
        return cast("list[Attempt]", (self._http.send(Call("GET", task_path(task_id, "attempts"), twice=True))).json())

    def explain(self, task_id: int) -> Explanation:
        """Tell why a task does not run, or what has become of it."""
        return cast(Explanation, (self._http.send(Call("GET", task_path(task_id, "explain"), twice=True))).json())

    def stranded(self) -> list[Stranded]:
        """Return what no live worker may take, and why, by priority."""
        return cast("list[Stranded]", (self._http.send(Call("GET", f"{API}/stranded", twice=True))).json())

    def stats(self) -> Stats:
        """Count the tasks."""
        return cast(Stats, (self._http.send(Call("GET", f"{API}/stats", twice=True))).json())

    def metrics(self, window: str | None = None, *, type: str | None = None) -> Metrics:
        """Tell how the queue does in a window up to now, such as ``1h`` or ``7d`` (default ``24h``)."""
        return cast(Metrics, (self._http.send(Call("GET", f"{API}/metrics", {"window": window, "type": type}, twice=True))).json())

    def history(self, window: str | None = None, *, type: str | None = None) -> list[Point]:
        """Tell how the queue did, minute by minute, or hour by hour where the window is longer than two hours."""
        return cast("list[Point]", (self._http.send(Call("GET", f"{API}/metrics/history", {"window": window, "type": type},
            twice=True))).json())

    # Logs and events

    def logs(self, task_id: int, *, after: int | None = None, level: Level | None = None, limit: int = 100) -> list[LogLine]:
        """Return lines of the log of a task, oldest first, those with a greater log_id than ``after``."""
        call = Call("GET", task_path(task_id, "logs"), {"after": after, "level": level, "limit": limit}, twice=True)
        return cast("list[LogLine]", (self._http.send(call)).json())

    def recent_logs(self, *, level: Level | None = None, since: Time | None = None, until: Time | None = None,
                    task_id: int | None = None,
                    type: str | None = None, word: str | None = None, limit: int | None = None) -> Iterator[RecentLogLine]:
        """Yield lines of all tasks, newest first; ``word`` is in their message. At most ``limit`` where it is given."""
        query: dict[str, Any] = {"level": level, "since": since and format_time(since), "until": until and format_time(until),
            "task": task_id, "type": type, "q": word}
        left = limit
        while left is None or left > 0:
            answer = self._http.send(Call("GET", f"{API}/logs", {**query, "limit": min(left or 100, 1000)}, twice=True))
            lines = cast("list[RecentLogLine]", answer.json())
            for line in lines:
                yield line
            left = None if left is None else left - len(lines)
            query["cursor"] = answer.headers.get("x-next-cursor")
            if query["cursor"] is None:
                return

    def delete_logs(self, before: Time, *, dry_run: bool = False) -> DeletedLogs:
        """Delete lines of all tasks from before an instant, some 50,000 a call: call again while ``more``."""
        call = Call("DELETE", f"{API}/logs", {"before": format_time(before), "dry_run": dry_run}, twice=True)
        return cast(DeletedLogs, (self._http.send(call)).json())

    def events(self, *, task_id: int | None = None, types: Names | None = None, statuses: Names | None = None,
               events: Names | None = None,
               after: int | None = None) -> Iterator[Event]:
        """Yield what happens to tasks, from now on or from the event after ``after`` on, without end.

        A connection that breaks is made again and goes on after the last event. The event ``missed`` says that some before it were
        not kept any more.
        """
        query = {"task_id": task_id, "type": types, "status": statuses, "event": events}
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
            try:
                name = ""
                for line in self._http.lines(Call("GET", f"{API}/events", query, headers=headers)):
                    failures = 0
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "id":
                        after = int(value)
                    elif key == "data":
                        yield {"event": "missed"} if name == "missed" else cast(Event, json.loads(value))
            except (Busy, ConnectionFailed, ResultUnknown):
                if failures >= self._http.retries:
                    raise
            failures += 1
            self._http.sleep(backoff(failures - 1))

    # Runs, as clients of the older task manager know tasks

    def start_run(self, module: str, parameters: Mapping[str, Json] | None = None, *, run_id: str | None = None) -> RunEntry:
        """Store a run of a module. Without an id it is given one; the run that has the id already comes back unchanged."""
        call = Call("POST", f"/api/modules/{segment(module)}/run", body=without_none(parameters=parameters, run_id=run_id))
        call.twice = run_id is not None
        return cast(RunEntry, (self._http.send(call if call.twice else keyed(call))).json())

    def runs(self, *, status: RunWord | None = None, module: str | None = None, limit: int = 50, offset: int = 0) -> RunPage:
        """Return one page of runs, newest first, with the number of all that match."""
        call = Call("GET", "/api/runs", {"status": status, "module": module, "limit": limit, "offset": offset}, twice=True)
        return cast(RunPage, (self._http.send(call)).json())

    def run(self, run_id: str) -> RunEntry:
        """Return a run."""
        return cast(RunEntry, (self._http.send(Call("GET", run_path(run_id), twice=True))).json())

    def cancel_run(self, run_id: str) -> RunEntry:
        """Cancel a queued or running run. Raises Conflict for one that has ended."""
        return cast(RunEntry, (self._http.send(keyed(Call("POST", run_path(run_id, "cancel"))))).json())

    def run_logs(self, run_id: str, *, tail: int = 500, since: Time | None = None) -> RunLog:
        """Return the last lines of the log of a run, oldest first."""
        call = Call("GET", run_path(run_id, "logs"), {"tail": tail, "since": since and format_time(since)}, twice=True)
        return cast(RunLog, (self._http.send(call)).json())

    def follow_run(self, run_id: str) -> Iterator[RunLine]:
        """Yield the lines of the log of a run, the last 500 that there are and those that come, until it has ended."""
        after, failures = 0, 0
        while True:
            headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(after)} if after else {})}
            try:
                name = ""
                for line in self._http.lines(Call("GET", run_path(run_id, "logs/stream"), headers=headers)):
                    failures = 0
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "id":
                        after = int(value)
                    elif key == "data" and name == "complete":
                        return
                    elif key == "data":
                        yield cast(RunLine, json.loads(value))
            except (Busy, ConnectionFailed, ResultUnknown):
                if failures >= self._http.retries:
                    raise
            failures += 1
            self._http.sleep(backoff(failures - 1))

    # Leases: what workers do. thequeue.Worker does all of this by itself.

    def claim(self, worker_id: str, *, types: Sequence[str] | None = None, capabilities: Mapping[str, Json] | None = None,
              strategy: Strategy | None = None,
              max: int = 1, lease_seconds: float | None = None, wait_seconds: float = 0) -> list[Lease]:
        """Claim up to ``max`` tasks for a worker, waiting up to ``wait_seconds`` (30 at most) for the first. Empty when there is
        none."""
        body = without_none(worker_id=worker_id, types=list(types) if types is not None else None, capabilities=capabilities,
            strategy=strategy, max=max,
                            lease_seconds=lease_seconds, wait_seconds=wait_seconds)
        answer = self._http.send(Call("POST", f"{API}/claim", body=body, wait=wait_seconds))
        return cast("list[Lease]", answer.json()["tasks"])

    def start(self, task_id: int, lease_token: str) -> Task:
        """Note that the attempt begins now rather than at the claim."""
        return cast(Task, (self._http.send(Call("POST", task_path(task_id, "start"), body={"lease_token": lease_token},
            twice=True))).json())

    def heartbeat(self, task_id: int, lease_token: str, *, lease_seconds: float | None = None, progress: int | None = None,
                  message: str | None = None) -> Pulse:
        """Renew a lease and report progress, 0 to 100."""
        body = without_none(lease_token=lease_token, lease_seconds=lease_seconds, progress=progress, message=message)
        return cast(Pulse, (self._http.send(Call("POST", task_path(task_id, "heartbeat"), body=body, twice=True))).json())

    def complete(self, task_id: int, lease_token: str, result: Json = None) -> Task:
        """End a task well."""
        return self._end(task_id, "complete", without_none(lease_token=lease_token, result=result), "succeeded")

    def fail(self, task_id: int, lease_token: str, error_message: str, *, retry: bool = True,
             retry_after_seconds: float | None = None) -> Task:
        """End an attempt that did not succeed; the policy of the task decides over the next, or ``retry_after_seconds``. Without
        ``retry`` the task is rejected."""
        body = without_none(lease_token=lease_token, error_message=error_message, retry=retry,
            retry_after_seconds=retry_after_seconds)
        return self._end(task_id, "fail", body, "failed" if retry else "rejected")

    def release(self, task_id: int, lease_token: str, *, run_after_seconds: float = 0) -> Task:
        """Hand a task back untried; the attempt does not count."""
        return self._end(task_id, "release", {"lease_token": lease_token, "run_after_seconds": run_after_seconds}, "released")

    def append_log(self, task_id: int, lease_token: str, message: str, *, level: Level = "info", details: Json = None) -> LogLine:
        """Add a line to the log of a task that the worker holds."""
        body = without_none(lease_token=lease_token, level=level, message=message, details=details)
        return cast(LogLine, (self._http.send(keyed(Call("POST", task_path(task_id, "logs"), body=body)))).json())

    # Workers

    def workers(self, state: Literal["live", "draining", "stale"] | None = None) -> list[WorkerStatus]:
        """Return the workers, by id."""
        return cast("list[WorkerStatus]", (self._http.send(Call("GET", f"{API}/workers", {"state": state}, twice=True))).json())

    def worker(self, worker_id: str) -> WorkerStatus:
        """Return a worker and the tasks that it holds."""
        return cast(WorkerStatus, (self._http.send(Call("GET", worker_path(worker_id), twice=True))).json())

    def worker_heartbeat(self, worker_id: str, *, capabilities: Mapping[str, Json] | None = None,
                         types: Sequence[str] | None = None) -> WorkerPulse:
        """Register a worker or renew its entry; what is not given stays as it was."""
        body = without_none(capabilities=capabilities, types=list(types) if types is not None else None)
        return cast(WorkerPulse, (self._http.send(Call("POST", worker_path(worker_id, "heartbeat"), body=body, twice=True))).json())

    def drain_worker(self, worker_id: str) -> WorkerEntry:
        """Have a worker take nothing new."""
        return cast(WorkerEntry, (self._http.send(Call("POST", worker_path(worker_id, "drain"), twice=True))).json())

    def resume_worker(self, worker_id: str) -> WorkerEntry:
        """Let a worker take tasks again."""
        return cast(WorkerEntry, (self._http.send(Call("POST", worker_path(worker_id, "resume"), twice=True))).json())

    def reclaim_worker(self, worker_id: str) -> list[int]:
        """Take the tasks of a dead worker back at once, and return their ids. A worker that lives after all has lost them.

        One that is not registered and holds no task is ``NotFound``.
        """
        return cast("list[int]", (self._http.send(keyed(Call("POST", worker_path(worker_id, "reclaim"))))).json()["task_ids"])

    def clean_workers(self, *, older_than_seconds: float | None = None, force: bool | None = None) -> CleanedWorkers:
        """Remove workers that were not heard for long (300 s) but for those that hold tasks; with ``force`` those too."""
        body = without_none(older_than_seconds=older_than_seconds, force=force)
        return cast(CleanedWorkers, (self._http.send(keyed(Call("POST", f"{API}/workers/cleanup", body=body)))).json())

    def delete_worker(self, worker_id: str) -> None:
        """Remove a worker from the registry; its tasks are not touched."""
        self._delete(Call("DELETE", worker_path(worker_id), twice=True))

    # Types

    def types(self) -> list[TaskType]:
        """Return every type that has a rule or has had a task, by name."""
        return cast("list[TaskType]", (self._http.send(Call("GET", f"{API}/types", twice=True))).json())

    def type(self, name: str) -> TaskType:
        """Return a type."""
        return cast(TaskType, (self._http.send(Call("GET", type_path(name), twice=True))).json())

    def set_type(self, name: str, rules: TypeRules) -> TaskType:
        """Set the rules of a type; those that are not given are taken away, but for ``paused``."""
        return cast(TaskType, (self._http.send(Call("PUT", type_path(name), body=rules, twice=True))).json())

    def pause_type(self, name: str) -> TaskType:
        """Let no task of a type be claimed, on any node, from when this has returned."""
        return cast(TaskType, (self._http.send(Call("POST", type_path(name, "pause"), twice=True))).json())

    def resume_type(self, name: str) -> TaskType:
        """Let the tasks of a type be claimed again."""
        return cast(TaskType, (self._http.send(Call("POST", type_path(name, "resume"), twice=True))).json())

    # Operations and failures

    def propose(self, action: Action, filter: str = "", *, priority: int | None = None, all: bool | None = None) -> Proposal:
        """Tell what an operation on all tasks that a filter finds would change, with the token that starts it. It changes
        nothing."""
        body = without_none(action=action, filter=filter, priority=priority, all=all, dry_run=True)
        return cast(Proposal, (self._http.send(Call("POST", f"{API}/operations", body=body, twice=True))).json())

    def operate(self, action: Action, filter: str = "", *, confirm_token: str, priority: int | None = None,
                all: bool | None = None) -> Operation:
        """Start the operation for which :meth:`propose` gave the token."""
        body = without_none(action=action, filter=filter, priority=priority, all=all, confirm_token=confirm_token)
        return cast(Operation, (self._http.send(keyed(Call("POST", f"{API}/operations", body=body)))).json())

    def operations(self, *, limit: int = 100, cursor: str | None = None) -> list[Operation]:
        """Return operations, newest first; ``cursor`` is the id of the last one of the page before."""
        return cast("list[Operation]", (self._http.send(Call("GET", f"{API}/operations", {"limit": limit, "cursor": cursor},
            twice=True))).json())

    def operation(self, operation_id: int) -> Operation:
        """Return an operation and how far it has come."""
        return cast(Operation, (self._http.send(Call("GET", f"{API}/operations/{segment(operation_id)}", twice=True))).json())

    def cancel_operation(self, operation_id: int) -> Operation:
        """End a running operation; what it has changed stays."""
        return cast(Operation, (self._http.send(keyed(Call("POST", f"{API}/operations/{segment(operation_id)}/cancel")))).json())

    def failures(self, *, type: str | None = None, limit: int = 100) -> list[Failure]:
        """Return failures by their reason, those first that were seen last."""
        return cast("list[Failure]", (self._http.send(Call("GET", f"{API}/failures", {"type": type, "limit": limit},
            twice=True))).json())

    def failure(self, failure_id: str) -> Failure:
        """Return the failures for one reason."""
        return cast(Failure, (self._http.send(Call("GET", f"{API}/failures/{segment(failure_id)}", twice=True))).json())

    def requeue_failure(self, failure_id: str) -> Operation:
        """Start to queue the tasks again that have failed for one reason."""
        return cast(Operation, (self._http.send(keyed(Call("POST", f"{API}/failures/{segment(failure_id)}/requeue",
            body={})))).json())

    def propose_requeue_failure(self, failure_id: str) -> Proposal:
        """Tell what :meth:`requeue_failure` would change."""
        return cast(Proposal, (self._http.send(Call("POST", f"{API}/failures/{segment(failure_id)}/requeue",
            body={"dry_run": True}, twice=True))).json())

    def dismiss_failure(self, failure_id: str) -> None:
        """Forget the failures for one reason until they happen again."""
        self._http.send(keyed(Call("POST", f"{API}/failures/{segment(failure_id)}/dismiss")))

    # Schedules

    def schedules(self) -> list[Schedule]:
        """Return the schedules, by name."""
        return cast("list[Schedule]", (self._http.send(Call("GET", f"{API}/schedules", twice=True))).json())

    def schedule(self, name: str) -> Schedule:
        """Return a schedule."""
        return cast(Schedule, (self._http.send(Call("GET", schedule_path(name), twice=True))).json())

    def set_schedule(self, name: str, spec: ScheduleSpec) -> Schedule:
        """Set a schedule, in place of one that has its name."""
        return cast(Schedule, (self._http.send(Call("PUT", schedule_path(name), body=spec, twice=True))).json())

    def delete_schedule(self, name: str) -> None:
        """Delete a schedule; the tasks that it has made stay."""
        self._delete(Call("DELETE", schedule_path(name), twice=True))

    def pause_schedule(self, name: str) -> Schedule:
        """Let no tick come until it is resumed."""
        return cast(Schedule, (self._http.send(Call("POST", schedule_path(name, "pause"), twice=True))).json())

    def resume_schedule(self, name: str) -> Schedule:
        """Let ticks come again; the next is the first from now."""
        return cast(Schedule, (self._http.send(Call("POST", schedule_path(name, "resume"), twice=True))).json())

    def preview_schedule(self, name: str, n: int = 10) -> list[Occurrence]:
        """Return the next times of a schedule."""
        return cast("list[Occurrence]", (self._http.send(Call("GET", schedule_path(name, "preview"), {"n": n}, twice=True))).json())

    # The database

    def database_stats(self) -> DatabaseStats:
        """Return the sizes of the database."""
        return cast(DatabaseStats, (self._http.send(Call("GET", maintenance_path("stats"), twice=True))).json())

    def checkpoint(self, mode: Literal["passive", "full", "restart", "truncate"] = "passive") -> Checkpoint:
        """Copy the write-ahead log into the database."""
        return cast(Checkpoint, (self._http.send(Call("POST", maintenance_path("checkpoint"), body={"mode": mode}, twice=True))).json())

    def vacuum(self, *, limit: float = LONG) -> Vacuum:
        """Give pages that hold nothing back to the disk. It ends early after ``limit`` seconds: then ConnectionFailed or ResultUnknown is
        raised, and what was done stays. So do the other long calls for the database."""
        return cast(Vacuum, (self._http.send(Call("POST", maintenance_path("vacuum"), body={}, wait=limit))).json())

    def vacuum_cost(self) -> VacuumCost:
        """Return what a full vacuum, which the command line does, would take."""
        return cast(VacuumCost, (self._http.send(Call("POST", maintenance_path("vacuum"), body={"full": True, "dry_run": True},
            twice=True))).json())

    def analyze(self, table: str | None = None, *, limit: float = LONG) -> Analysis:
        """Renew what the planner of the database knows of all tables, or of one."""
        return cast(Analysis, (self._http.send(Call("POST", maintenance_path("analyze"), body=without_none(table=table),
            wait=limit))).json())

    def check_integrity(self, *, limit: float = LONG) -> Integrity:
        """Look for what is broken in the database."""
        return cast(Integrity, (self._http.send(Call("POST", maintenance_path("integrity-check"), body={}, wait=limit))).json())

    def optimize(self, *, full: bool = False, limit: float = LONG) -> Optimization:
        """Analyze the tables that have changed much; ``full``: vacuum, analyze every table and empty the write-ahead log."""
        return cast(Optimization, (self._http.send(Call("POST", maintenance_path("optimize"), body={"full": full}, wait=limit))).json())

    def retain(self, *, limit: float = LONG) -> Retained:
        """Delete ended tasks and lines of logs whose retention is over."""
        return cast(Retained, (self._http.send(Call("POST", maintenance_path("retention"), body={}, wait=limit))).json())

    def reclaim_leases(self) -> Reclaimed:
        """Take back leases that have run out; the server does so within a second."""
        return cast(Reclaimed, (self._http.send(Call("POST", maintenance_path("reclaim"), body={}, twice=True))).json())

    def stop_maintenance(self) -> str:
        """End what the server does of all this early, and return what it was; raises NotFound when there is nothing."""
        return cast(str, (self._http.send(Call("DELETE", maintenance_path("running"), twice=True))).json()["verb"])

    def keys(self) -> list[ApiKey]:
        """Return the API keys, in force or not, oldest first. All calls about keys need the key of an admin."""
        return cast("list[ApiKey]", (self._http.send(Call("GET", f"{API}/keys", twice=True))).json())

    def create_key(self, name: str, role: Role, *, types: Sequence[str] | None = None,
                   expires_in_seconds: float | None = None) -> NewApiKey:
        """Make a key. It is shown this once. ``types`` limits it to task types by patterns, in which ``*`` stands for any characters."""
        body = without_none(name=name, role=role, types=types and list(types), expires_in_seconds=expires_in_seconds)
        return cast(NewApiKey, (self._http.send(Call("POST", f"{API}/keys", body=body))).json())

    def rotate_key(self, key_id: str, *, overlap_seconds: float = 0, expires_in_seconds: float | None = None) -> NewApiKey:
        """Make a key that replaces another one, which opens nothing any more when the overlap is over."""
        body = without_none(overlap_seconds=overlap_seconds, expires_in_seconds=expires_in_seconds)
        return cast(NewApiKey, (self._http.send(Call("POST", key_path(key_id, "rotate"), body=body))).json())

    def revoke_key(self, key_id: str) -> ApiKey:
        """Let a key open nothing any more."""
        return cast(ApiKey, (self._http.send(Call("POST", key_path(key_id, "revoke"), twice=True))).json())

    def delete_key(self, key_id: str) -> None:
        """Forget a key that opens nothing any more. Raises Conflict while it is in force."""
        self._delete(Call("DELETE", key_path(key_id), twice=True))

    def backups(self) -> list[Backup]:
        """Return the backups that are whole, newest first."""
        return cast("list[Backup]", (self._http.send(Call("GET", f"{API}/backups", twice=True))).json())

    def backup(self, name: str) -> Backup:
        """Return a backup, also one that is being made."""
        return cast(Backup, (self._http.send(Call("GET", backup_path(name), twice=True))).json())

    def create_backup(self, name: str | None = None) -> Backup:
        """Begin a backup, named by the time unless a name is given, and do not wait for its end."""
        return cast(Backup, (self._http.send(keyed(Call("POST", f"{API}/backups", body=without_none(name=name))))).json())

    def verify_backup(self, name: str, *, limit: float = LONG) -> Backup:
        """Read a backup to its end; raises :class:`~thequeue.errors.BackupUnusable` when something is wrong with it."""
        return cast(Backup, (self._http.send(Call("POST", backup_path(name, "verify"), wait=limit, twice=True))).json())

    # The service

    def live(self) -> Health:
        """Return when the process of the server runs."""
        return cast(Health, (self._http.send(Call("GET", "/livez", twice=True))).json())

    def ready(self) -> Health:
        """Return when the server can take requests; raises Busy when it cannot."""
        return cast(Health, (self._http.send(Call("GET", "/readyz", twice=True))).json())

    def prometheus(self) -> str:
        """Return the series for Prometheus."""
        return (self._http.send(Call("GET", "/metrics", headers={"Accept": "text/plain"}, twice=True))).body.decode()

    def openapi(self) -> dict[str, Json]:
        """Return the description of the API."""
        return cast("dict[str, Json]", (self._http.send(Call("GET", "/openapi.json", twice=True))).json())

    def _end(self, task_id: int, verb: str, body: dict[str, Json], wanted: str) -> Task:
        """End a lease. When a try before may have ended it, a lost lease is no news: the history tells how the attempt ended."""
        call = Call("POST", task_path(task_id, verb), body=body, twice=True)
        try:
            return cast(Task, (self._http.send(call)).json())
        except LeaseLost:
            if not call.unclear:
                raise
            fence = fence_of(str(body["lease_token"]))
            for attempt in self.attempts(task_id):
                if attempt["fence"] == fence and attempt["outcome"] == wanted:
                    return self.get(task_id)
            raise

    def _delete(self, call: Call) -> None:
        try:
            self._http.send(call)
        except NotFound:
            if not call.unclear:  # else a try before has deleted it
                raise


def task_path(task_id: int, verb: str = "") -> str:
    """Return the path of a task, or of a call about it."""
    return _path("tasks", task_id, verb)


def worker_path(worker_id: str, verb: str = "") -> str:
    """Return the path of a worker, or of a call about it."""
    return _path("workers", worker_id, verb)


def run_path(run_id: str, verb: str = "") -> str:
    """Return the path of a run, or of a call about it."""
    return f"/api/runs/{segment(run_id)}" + (f"/{verb}" if verb else "")


def type_path(name: str, verb: str = "") -> str:
    """Return the path of a type, or of a call about it."""
    return _path("types", name, verb)


def schedule_path(name: str, verb: str = "") -> str:
    """Return the path of a schedule, or of a call about it."""
    return _path("schedules", name, verb)


def key_path(key_id: str, verb: str = "") -> str:
    """Return the path of an API key, or of a call about it."""
    return _path("keys", key_id, verb)


def backup_path(name: str, verb: str = "") -> str:
    """Return the path of a backup, or of a call about it."""
    return _path("backups", name, verb)


def maintenance_path(verb: str) -> str:
    """Return the path of a call about the database."""
    return f"{API}/maintenance/{verb}"


def _path(kind: str, name: object, verb: str) -> str:
    return f"{API}/{kind}/{segment(name)}" + (f"/{verb}" if verb else "")


def fence_of(lease_token: str) -> int | None:
    """Return the fence with which a token begins."""
    head = lease_token.partition(".")[0]
    return int(head) if head.isdigit() else None


def new_tasks(tasks: Sequence[NewTask]) -> tuple[list[dict[str, Any]], list[int]]:
    """Return tasks as they are sent, each with an idempotency key, and the indexes of those that were given one here."""
    items, generated = [], []
    for i, task in enumerate(tasks):
        item = without_none(**task)
        for name in ("run_after_utc", "deadline_utc"):
            if name in item:
                item[name] = format_time(item[name])
        for name in ("payload", "compatibility"):
            if name in item:
                try:
                    encode(item[name])
                except ValueError as e:
                    raise ValueError(f"tasks[{i}].{name}: {e}") from e
        if "idempotency_key" not in item:
            item["idempotency_key"] = uuid.uuid4().hex
            generated.append(i)
        items.append(item)
    return items, generated
