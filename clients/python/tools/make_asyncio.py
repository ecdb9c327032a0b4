"""Makes thequeue/aio.py, the asyncio client, out of thequeue/client.py: the same methods with await. With --check it only compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "thequeue"
SHARED = ["LONG", "backup_path", "fence_of", "key_path", "maintenance_path", "new_tasks", "run_path", "schedule_path", "task_path", "type_path", "worker_path"]


def transform(source: str) -> str:
    """Return the source of the asyncio client."""
    start = source.index("\n\ndef task_path(")
    body = source[:start]
    body = body.replace('"""The client: every call of the REST API as a method."""',
                        '"""The asyncio client: every call of the REST API as a coroutine. Made by tools/make_asyncio.py from client.py: change that."""')
    body = body.replace("class Client:", "class AsyncClient:").replace('"Client"', '"AsyncClient"')
    body = body.replace("Safe for use by several threads.", "For use in one event loop at a time, by any number of its tasks.")
    body = body.replace("from ._http import HTTP", "from ._asyncio_http import AsyncHTTP").replace("= HTTP(", "= AsyncHTTP(")
    body = body.replace("Iterator", "AsyncIterator")
    body = re.sub(r'LONG = .*\n""".*"""\n\n\n', "", body)
    body = re.sub(r"    def (?!__init__)", "    async def ", body)
    body = body.replace("__enter__", "__aenter__").replace("__exit__", "__aexit__")
    body = re.sub(r"(?<!await )self\._http\.(send|sleep|close)\(", r"await self._http.\1(", body)
    body = re.sub(r"self\.(close|page|enqueue_many|get|attempts|_end|_delete)\(", r"await self.\1(", body)
    body = body.replace("for attempt in await self.attempts(", "for attempt in await self.attempts(")
    body = body.replace("for line in self._http.lines(", "async for line in self._http.lines(")
    body = re.sub(r"^import uuid\n", "", body, flags=re.M).replace(", encode, keyed", ", keyed").replace("segment, without_none",
        "segment, without_none")
    lines = "from .client import " + ", ".join(SHARED) + "\n"
    return body.replace("from .errors import", lines + "from .errors import", 1) + "\n"


def main() -> int:
    """Write the file, or say that it is out of date."""
    made, target = transform((PACKAGE / "client.py").read_text()), PACKAGE / "aio.py"
    if "--check" in sys.argv[1:]:
        if not target.exists() or target.read_text() != made:
            print("thequeue/aio.py is not what thequeue/client.py makes: run python tools/make_asyncio.py", file=sys.stderr)
            return 1
        return 0
    target.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
