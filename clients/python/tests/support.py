"""A real server for tests, and what waits for things to happen."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid
from pathlib import Path
from typing import Any, Callable

PACKAGE = Path(__file__).resolve().parent.parent
BINARY = os.environ.get("THEQUEUE_BINARY", "")
PATIENCE = 30.0
_GREETING = re.compile(r"listens on (http://\S+) ")


def database() -> str:
    """Return the database of all tests of this process."""
    if "THEQUEUE_DATABASE" not in os.environ:
        place = tempfile.mkdtemp(prefix="thequeue-python-")
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        os.environ["THEQUEUE_DATABASE"] = str(Path(place) / "queue.db")
    return os.environ["THEQUEUE_DATABASE"]


class Server:
    """A server on a port that stays the same when it is started again."""

    def __init__(self, database: str = "") -> None:
        """Start one on the database that all tests share, or on another one."""
        if not BINARY:
            raise unittest.SkipTest("THEQUEUE_BINARY names no program: go test ./tests/e2e -run Python builds one")
        self.url, self.database = "", database
        self.start()

    def start(self) -> None:
        """Start it and wait until it serves."""
        addr = self.url.removeprefix("http://") or "127.0.0.1:0"
        self.process = subprocess.Popen([BINARY, "serve", "--workers", "0", "--addr", addr, "--database", self.database or database()],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stderr
        said = _GREETING.search(self.process.stdout.readline())
        if not said:
            raise AssertionError("the server did not start: " + self.process.communicate()[1])
        self.url = said[1]
        self._drains = [threading.Thread(target=pipe.read, daemon=True) for pipe in (self.process.stdout, self.process.stderr)]
        for drain in self._drains:
            drain.start()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._gone()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self._gone()

    def _gone(self) -> None:
        self.process.wait(PATIENCE)
        for drain in self._drains:
            drain.join(PATIENCE)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


_shared: Server | None = None


def shared() -> Server:
    """Return the server that all tests share which do not stop theirs."""
    global _shared
    if _shared is None:
        _shared = Server()
        atexit.register(_shared.stop)
    if _shared.process.poll() is not None:
        raise AssertionError(f"the server has ended with {_shared.process.returncode}, which no test has asked for")
    return _shared


def unlike(word: str) -> str:
    """Return a name that nothing else has."""
    return f"{word}-{uuid.uuid4().hex[:12]}"


def until(what: str, is_so: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Ask until the answer is yes, and return it."""
    end = time.monotonic() + patience
    while not (answer := is_so()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience:g} s")
        time.sleep(0.01)
    return answer


class Program:
    """A Python program in a process of its own; it is killed with the test at the latest."""

    def __init__(self, test: unittest.TestCase, source: str, *args: str) -> None:
        env = {**os.environ, "PYTHONPATH": str(PACKAGE), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen([sys.executable, "-W", "error::ResourceWarning", "-c", source, *args], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        test.addCleanup(self.end)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def says(self, word: str, times: int = 1) -> None:
        """Wait until it has printed a line that begins with a word."""
        def said() -> bool:
            if sum(line.startswith(word) for line in list(self.lines)) >= times:
                return True
            if self.process.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"it ended with {self.process.returncode} before it said {word!r}: " + "\n".join(self.lines[-30:]))
            return False
        try:
            until(f"it says {word!r}", said)
        except AssertionError as e:
            raise AssertionError(f"{e}; it said:\n" + "\n".join(self.lines[-30:])) from None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Wait for its end and return the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def end(self) -> None:
        """Kill it unless it has ended, and let go of it."""
        self.process.kill()
        self.wait()
        assert self.process.stdout
        self.process.stdout.close()
