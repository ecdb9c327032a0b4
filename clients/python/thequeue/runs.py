"""Runs, as the older BackgroundTaskManager knows them, and a registry that keeps them in a JSON file.

Neither is needed: any object with the fields of :class:`Run`, and any registry with ``add_run``, ``update_run`` and ``get_run``, will do.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from .types import Json, parse_time

log = logging.getLogger("thequeue")


class RunStatus(str, Enum):
    """What becomes of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = ("completed", "failed", "cancelled")


@dataclass
class Run:
    """One run of a module. Times are in UTC."""

    run_id: str
    module_id: str
    module_name: str = ""
    status: RunStatus = RunStatus.QUEUED
    created_at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    started_at: datetime | None = None
    completed_at: datetime | None = None
    progress_percent: int | None = None
    items_processed: int | None = None
    items_total: int | None = None
    exit_code: int | None = None
    error_message: str | None = None
    parameters: dict[str, Json] = field(default_factory=dict)


class Registry(Protocol):
    """Keeps runs."""

    def add_run(self, run: Any) -> object:
        """Take in a new run."""

    def update_run(self, run: Any) -> object:
        """Keep what has changed in a run, also of one that is not known yet."""

    def get_run(self, run_id: str) -> Any:
        """Return a run, None when there is none of this id."""


class RunRegistry:
    """Keeps runs in memory and, where a file is given, in that: a JSON object of runs by their id. The file is replaced whole, never half
    written."""

    def __init__(self, history_file: str | os.PathLike[str] | None = None) -> None:
        """Read the file if there is one. Raises ValueError when it cannot be read: it is not overwritten then."""
        self.runs: dict[str, Run] = {}
        self.history_file = Path(history_file) if history_file is not None else None
        if self.history_file is not None and self.history_file.exists() and self.history_file.stat().st_size:
            try:
                self.runs = {run_id: read_run(data) for run_id, data in json.loads(self.history_file.read_text("utf-8")).items()}
            except (ValueError, TypeError, KeyError, AttributeError) as e:
                raise ValueError(f"history_file: {self.history_file} holds no runs: {e}") from e

    def add_run(self, run: Run) -> None:
        """Take in a new run."""
        self.runs[run.run_id] = run
        self._save()

    def update_run(self, run: Run) -> None:
        """Keep what has changed in a run."""
        self.add_run(run)

    def get_run(self, run_id: str) -> Run | None:
        """Return a run, None when there is none of this id."""
        return self.runs.get(run_id)

    def get_active_runs(self) -> list[Run]:
        """Return the runs that are queued or running."""
        return [r for r in self.runs.values() if r.status in (RunStatus.QUEUED, RunStatus.RUNNING)]

    def _save(self) -> None:
        if self.history_file is None:
            return
        text = json.dumps({run_id: asdict(run) for run_id, run in self.runs.items()}, indent=2, default=_plain)
        self.history_file.parent.mkdir(parents=True, exist_ok=True)
        beside = self.history_file.with_name(f"{self.history_file.name}.{os.getpid()}.new")
        beside.write_text(text, "utf-8")
        os.replace(beside, self.history_file)


def read_run(data: dict[str, Any]) -> Run:
    """Make a run of its JSON; fields that are not known are left out."""
    known = {f.name for f in fields(Run)}
    given = {k: v for k, v in data.items() if k in known}
    given["status"] = RunStatus(given.get("status", "queued"))
    for name in ("created_at", "started_at", "completed_at"):
        if isinstance(given.get(name), str):
            text = given[name]
            zoned = text.endswith("Z") or "+" in text[10:] or "-" in text[10:]
            given[name] = parse_time(text if zoned else text + "Z")
    if given.get("created_at") is None:
        given.pop("created_at", None)
    return Run(**given)


def _plain(value: Any) -> Json:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value)


def status_of(run: Any) -> str:
    """Return the status of a run as a word."""
    status = getattr(run, "status", "queued")
    return str(status.value if isinstance(status, Enum) else status)


def put_status(run: Any, word: str) -> None:
    """Set the status of a run, in the enumeration that it has."""
    kind = type(getattr(run, "status", None))
    if issubclass(kind, Enum):
        run.status = kind(word)
    else:
        run.status = word if kind is str else RunStatus(word)


def put(run: Any, **values: Any) -> None:
    """Set those fields of a run that it has room for."""
    for name, value in values.items():
        try:
            setattr(run, name, value)
        except (AttributeError, ValueError, TypeError) as e:
            log.debug("run %s: %s is not kept: %s", getattr(run, "run_id", "?"), name, e)
