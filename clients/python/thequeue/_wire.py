"""What both clients share: a request as a value, when it may be sent again, and how answers are read. No input or output happens here."""

from __future__ import annotations

import json
import os
import random
import ssl
import uuid
from dataclasses import dataclass, field
from typing import Any, Mapping
from urllib.parse import quote, urlencode, urlsplit

from .errors import AnswerError, Busy, ConnectionFailed, QueueError, ResultUnknown, from_answer
from .types import Json

USER_AGENT = "thequeue-python"
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 30.0
API = "/api/queue"
_PATIENCE = 20
"""How often a call under a key that the server is working on is sent again: a key is free 15 seconds after the server has died over it."""


@dataclass
class Call:
    """One request, and how it may be repeated."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    """What is None is left out."""
    body: Json = None
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0
    """Seconds that the server may wait before it answers; added to the timeout."""
    twice: bool = False
    """It may be carried out twice, so it is sent again when nobody knows whether it was carried out."""
    unclear: bool = False
    """Set while it is sent: a try before the last may have been carried out."""

    def target(self) -> str:
        """Return path and query."""
        given = [(k, _text(v)) for k, v in self.query.items() if v is not None and v != ""]
        return self.path + ("?" + urlencode(given) if given else "")


def keyed(call: Call) -> Call:
    """Give a call a key under which the server carries it out once, however often it is sent."""
    call.headers["Idempotency-Key"] = uuid.uuid4().hex
    call.twice = True
    return call


@dataclass
class Answer:
    """An answer that came whole; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body; None when there is none."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise QueueError(f"read the answer of the server: {e}") from e

    def check(self) -> "Answer":
        """Return the answer if it is a success, else raise what it says."""
        if self.status < 300:
            return self
        raise from_answer(self.status, self.headers.get("retry-after"), self.body)


class Retry:
    """Decides after each failed try of a call whether and when it is sent again."""

    def __init__(self, call: Call, retries: int) -> None:
        self._call, self._retries, self._tries, self._patience = call, retries, 0, _PATIENCE

    def pause(self, error: QueueError) -> float | None:
        """Return the seconds to wait before the next try, None for none."""
        asked, again, unknown = _judge(error)
        if isinstance(error, Busy) and error.code == "idempotency_in_flight" and self._patience > 0:
            self._patience -= 1
            return max(asked, FIRST_PAUSE)
        if not again or (unknown and not self._call.twice) or self._tries >= self._retries:
            return None
        self._call.unclear = self._call.unclear or unknown
        self._tries += 1
        return max(asked, backoff(self._tries - 1))


def _judge(error: QueueError) -> tuple[float, bool, bool]:
    """Return what the server asks to wait, whether another try may succeed, and whether this one may have been carried out."""
    if isinstance(error, ConnectionFailed):
        return 0, True, False
    if isinstance(error, ResultUnknown):
        return 0, True, True
    if isinstance(error, AnswerError):
        asked = min(error.retry_after or 0, LONGEST_PAUSE)
        if isinstance(error, Busy):
            return asked, True, error.code == "result_unknown"
        if error.status in (502, 504) and not error.code:  # of a proxy, which may have passed it on
            return asked, True, True
    return 0, False, False


def backoff(n: int) -> float:
    """Return the pause after the n-th failure in a row, counted from 0: it doubles, and its later half is at random."""
    longest: float = min(FIRST_PAUSE * 2 ** min(n, 10), LONGEST_PAUSE)
    return longest * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Address:
    """Where the server is, and what goes with every request."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    prefix: str
    headers: Mapping[str, str]


def address(base_url: str, api_key: str | None, headers: Mapping[str, str] | None, context: ssl.SSLContext | None) -> Address:
    """Read the address of a server, such as http://127.0.0.1:8000. What is not given comes from the environment."""
    api_key = api_key or os.environ.get("PRISMQ_API_KEY")
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"base_url: must be the address of a server, like http://127.0.0.1:8000, not {base_url!r}")
    tls = (context or ssl.create_default_context(cafile=os.environ.get("PRISMQ_CA_FILE") or None)) if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    host = parts.hostname
    named = f"[{host}]" if ":" in host else host
    all_headers = {"Host": named if port == (443 if tls else 80) else f"{named}:{port}", "User-Agent": USER_AGENT,
        "Accept": "application/json"}
    if api_key:
        all_headers["Authorization"] = f"Bearer {api_key}"
    all_headers.update(headers or {})
    for name, value in all_headers.items():
        if any(c in name + value for c in "\r\n\0"):
            raise ValueError(f"headers: {name!r} must not have line breaks")
    return Address(host, port, tls, parts.path.rstrip("/"), all_headers)


def headers_and_body(at: Address, call: Call) -> tuple[dict[str, str], bytes]:
    """Return what is sent of a call beside its first line."""
    headers, body = dict(at.headers), b""
    if call.body is not None:
        body = encode(call.body)
        headers["Content-Type"] = "application/json"
    headers.update(call.headers)
    headers["Content-Length"] = str(len(body))
    return headers, body


def encode(value: Json) -> bytes:
    """Write a value as JSON in UTF-8."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as e:
        raise ValueError(f"cannot be written as JSON: {e}") from e


def without_none(**fields: Any) -> dict[str, Any]:
    """Return the fields that are given."""
    return {k: v for k, v in fields.items() if v is not None}


def segment(name: object) -> str:
    """Write a name or id as one segment of a path."""
    return quote(str(name), safe="")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value)
    return str(value)
