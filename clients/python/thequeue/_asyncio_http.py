"""HTTP/1.1 for :class:`thequeue.AsyncClient`, on the streams of asyncio. A call that is cancelled closes its connection."""

from __future__ import annotations

import asyncio
import weakref
from typing import AsyncIterator, Coroutine, NamedTuple, TypeVar

from ._http import STREAM_SILENCE
from ._wire import Address, Answer, Call, Retry, headers_and_body
from ._within import within
from .errors import ConnectionFailed, QueueError, ResultUnknown

_LONGEST_LINE = 4 << 20
_T = TypeVar("_T")


class _Connection(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def usable(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing() and self.reader.exception() is None

    def close(self) -> None:
        self.writer.close()


class _Head(NamedTuple):
    status: int
    headers: dict[str, str]

    def bodiless(self) -> bool:
        return self.status in (204, 304)

    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    def closes(self) -> bool:
        unbounded = not self.bodiless() and not self.chunked() and "content-length" not in self.headers
        return unbounded or "close" in self.headers.get("connection", "").lower()


class _Malformed(Exception):
    """What came is no HTTP."""


_BREAKS = (OSError, EOFError, asyncio.LimitOverrunError, ValueError, _Malformed)


class AsyncHTTP:
    """Sends calls to one server, from one event loop at a time. At most ``keep`` connections are used at once beside those that wait for
    work."""

    def __init__(self, at: Address, timeout: float, retries: int, keep: int) -> None:
        self.at, self.timeout, self.retries, self.keep = at, timeout, retries, keep
        self._idle: list[_Connection] = []
        self._writers: weakref.WeakSet[asyncio.StreamWriter] = weakref.WeakSet()
        self._places = asyncio.Semaphore(keep)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, call: Call) -> Answer:
        """Send a call until it is answered for good."""
        self._settle()
        retry = Retry(call, self.retries)
        while True:
            try:
                return (await self._try(call)).check()
            except QueueError as e:
                pause = retry.pause(e)
                if pause is None:
                    raise
            await self.sleep(pause)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    async def lines(self, call: Call) -> AsyncIterator[str]:
        """Yield the lines of a stream as they come, until the server ends it."""
        connection = await self._connect()
        try:
            head = await self._within(STREAM_SILENCE, self._exchange(connection, self._request(call)))
            if head.status >= 300:
                body = await self._within(self.timeout, _body(connection.reader, head))
                Answer(head.status, head.headers, body).check()
            yield ""  # the stream has begun
            rest = b""
            while True:
                piece = await self._within(STREAM_SILENCE, _piece(connection.reader, head))
                if not piece:
                    return
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace").rstrip("\r")
        finally:
            connection.close()

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        for writer in list(self._writers):
            if writer.is_closing():
                try:
                    await writer.wait_closed()
                except OSError:
                    pass  # it is gone, which is all that was wanted

    def _settle(self) -> None:
        """Begin anew when the event loop is another one: connections belong to theirs."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._idle, self._places = loop, [], asyncio.Semaphore(self.keep)

    async def _try(self, call: Call) -> Answer:
        if call.wait:
            return await self._once(call)
        async with self._places:
            return await self._once(call)

    async def _once(self, call: Call) -> Answer:
        request = self._request(call)
        connection = self._take() or await self._connect()
        keep = False
        try:
            head, answer = await self._within(self.timeout + call.wait, self._ask(connection, request))
            keep = not head.closes() and len(self._idle) < self.keep
            return answer
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()

    async def _ask(self, connection: _Connection, request: bytes) -> tuple[_Head, Answer]:
        head = await self._exchange(connection, request)
        return head, Answer(head.status, head.headers, await _body(connection.reader, head))

    def _request(self, call: Call) -> bytes:
        headers, body = headers_and_body(self.at, call)
        lines = [f"{call.method} {self.at.prefix}{call.target()} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def _exchange(self, connection: _Connection, request: bytes) -> _Head:
        connection.writer.write(request)
        await connection.writer.drain()
        return await _head(connection.reader)

    async def _connect(self) -> _Connection:
        at = self.at
        try:
            opening = asyncio.open_connection(at.host, at.port, ssl=at.tls, limit=_LONGEST_LINE)
            connection = _Connection(*await within(self.timeout, opening))
            self._writers.add(connection.writer)
            return connection
        except (OSError, asyncio.TimeoutError) as e:
            raise ConnectionFailed(f"connect to {at.host}:{at.port}: {e or type(e).__name__}") from e

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    async def _within(self, seconds: float, doing: Coroutine[object, None, _T]) -> _T:
        try:
            return await within(seconds, doing)
        except asyncio.TimeoutError as e:
            raise ResultUnknown("the server did not answer in time") from e
        except _BREAKS as e:
            raise ResultUnknown(f"the connection broke after the request was sent: {e or type(e).__name__}") from e


async def _head(reader: asyncio.StreamReader) -> _Head:
    while True:
        words = (await _line(reader)).split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise _Malformed("this is no answer of HTTP")
        headers: dict[str, str] = {}
        while line := await _line(reader):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if int(words[1]) >= 200:
            return _Head(int(words[1]), headers)


async def _line(reader: asyncio.StreamReader) -> str:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the server closed the connection")
    return line.decode("latin-1").rstrip("\r\n")


async def _body(reader: asyncio.StreamReader, head: _Head) -> bytes:
    if head.bodiless():
        return b""
    if head.chunked():
        pieces = []
        while piece := await _piece(reader, head):
            pieces.append(piece)
        return b"".join(pieces)
    length = head.headers.get("content-length")
    return await reader.readexactly(int(length)) if length is not None else await reader.read()


async def _piece(reader: asyncio.StreamReader, head: _Head) -> bytes:
    """Return the next chunk, or what there is of a body without chunks; empty at the end."""
    if not head.chunked():
        return await reader.read(64 << 10)
    size = int((await _line(reader)).split(";")[0], 16)
    if size == 0:
        while await _line(reader):
            pass  # what follows the last chunk
        return b""
    piece = await reader.readexactly(size)
    await _line(reader)
    return piece
