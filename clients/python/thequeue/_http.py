"""HTTP for :class:`thequeue.Client`: connections of http.client that are kept open and shared by threads."""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from typing import Iterator

from ._wire import Address, Answer, Call, Retry, headers_and_body
from .errors import ConnectionFailed, QueueError, ResultUnknown

STREAM_SILENCE = 45.0
"""A stream that says nothing for so many seconds is broken: the server sends a comment every 15."""


class HTTP:
    """Sends calls to one server. Safe for use by several threads."""

    def __init__(self, at: Address, timeout: float, retries: int, keep: int) -> None:
        self.at, self.timeout, self.retries, self.keep = at, timeout, retries, keep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def send(self, call: Call) -> Answer:
        """Send a call until it is answered for good."""
        retry = Retry(call, self.retries)
        while True:
            try:
                return self._try(call).check()
            except QueueError as e:
                pause = retry.pause(e)
                if pause is None:
                    raise
            self.sleep(pause)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def lines(self, call: Call) -> Iterator[str]:
        """Yield the lines of a stream as they come, until the server ends it."""
        connection = self._connect(STREAM_SILENCE)
        try:
            response = self._exchange(connection, call)
            if response.status >= 300:
                self._read(response).check()
            yield ""  # the stream has begun
            while True:
                try:
                    line = response.readline()
                except (OSError, http.client.HTTPException) as e:
                    raise ResultUnknown(f"the stream broke: {e or type(e).__name__}") from e
                if not line:
                    return
                yield line.decode("utf-8", "replace").rstrip("\r\n")
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _try(self, call: Call) -> Answer:
        timeout = self.timeout + call.wait
        connection = self._take() or self._connect(timeout)
        answer = None
        try:
            if connection.sock:
                connection.sock.settimeout(timeout)
            response = self._exchange(connection, call)
            answer = self._read(response)
            return answer
        finally:
            if answer is None or response.will_close:
                connection.close()
            else:
                self._give(connection)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        at = self.at
        connection = http.client.HTTPSConnection(at.host, at.port, timeout=self.timeout, context=at.tls) if at.tls else \
            http.client.HTTPConnection(at.host, at.port, timeout=self.timeout)
        try:
            connection.connect()
        except OSError as e:
            connection.close()
            raise ConnectionFailed(f"connect to {at.host}:{at.port}: {e or type(e).__name__}") from e
        connection.sock.settimeout(timeout)
        return connection

    def _exchange(self, connection: http.client.HTTPConnection, call: Call) -> http.client.HTTPResponse:
        headers, body = headers_and_body(self.at, call)
        try:
            connection.putrequest(call.method, self.at.prefix + call.target(), skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as e:
            raise _broken(e) from e

    def _read(self, response: http.client.HTTPResponse) -> Answer:
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as e:
            raise _broken(e) from e
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, body)

    def _take(self) -> http.client.HTTPConnection | None:
        """Return an open connection, None where there is none. One that the server has closed has something to read: its end."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.sock and not _readable(connection.sock):
                return connection
            connection.close()

    def _give(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if len(self._idle) < self.keep:
                self._idle.append(connection)
                return
        connection.close()


def _broken(e: Exception) -> ResultUnknown:
    if isinstance(e, TimeoutError):
        return ResultUnknown("the server did not answer in time")
    return ResultUnknown(f"the connection broke after the request was sent: {e or type(e).__name__}")


def _readable(sock: socket.socket) -> bool:
    if hasattr(select, "poll"):  # select itself has a highest number of sockets
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])
