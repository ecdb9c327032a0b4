"""What can go wrong, as exceptions.

Every exception of this package is a :class:`QueueError`. An answer of the server becomes the class of its ``error_code``; an answer without
one, say of a proxy in between, is an :class:`AnswerError`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any


class QueueError(Exception):
    """Anything that this package raises of its own."""


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field of a request: ``field`` is named as in the request, like ``tasks[3].priority``; ``message`` says what it
    must be."""

    field: str
    message: str


class ConnectionFailed(QueueError):
    """The server was not reached, so nothing was done."""


class ResultUnknown(QueueError):
    """The connection broke, or the time was over, after the request was sent: it may have been done or not."""


class AnswerError(QueueError):
    """An answer other than success. Its text is the sentence of the server, which names what to do about it."""

    status: int
    """Status of HTTP."""
    code: str
    """``error_code``, which does not change; empty when the answer came from something other than the queue."""
    detail: str
    """The sentence of the server; empty when there was none."""
    fields: list[FieldError]
    """What is wrong with each field of an invalid request; else empty."""
    request_id: str
    """Under which the log of the server knows the request; empty when the answer has none."""
    retry_after: float | None
    """Seconds to wait before another try, when the server said so."""

    def __init__(self, status: int, code: str = "", detail: str = "", fields: list[FieldError] | None = None, request_id: str = "",
                 retry_after: float | None = None) -> None:
        self.status, self.code, self.detail = status, code, detail
        self.fields, self.request_id, self.retry_after = fields or [], request_id, retry_after
        super().__init__(self._text())

    def _text(self) -> str:
        if not self.detail:
            try:
                return f"the server answered {self.status} {HTTPStatus(self.status).phrase}"
            except ValueError:
                return f"the server answered {self.status}"
        if self.code == "internal" and self.request_id:
            return f"{self.detail} {self.request_id}"
        return self.detail


class Invalid(AnswerError):
    """The request is invalid; ``fields`` says which fields and what they must be (422, 413, 415). Nothing was done."""


class NotFound(AnswerError):
    """No task, worker, type, schedule, operation or failure has this id or name (404)."""


class Conflict(AnswerError):
    """Not in a state that allows this; nothing was changed (409)."""


class BackupUnusable(AnswerError):
    """A backup is not what was made, or no database that the server knows (409)."""


class LeaseLost(AnswerError):
    """The token is not the one of a live lease; nothing was changed (409). Stop the work: somebody else may have it."""


class KeyReused(AnswerError):
    """The ``Idempotency-Key`` was sent before with another request; nothing was done (422)."""


class Busy(AnswerError):
    """The server cannot do this now: it is busy, stopping or not ready (503, 429, or 409 while the first request of a key is worked on)."""


class DiskFull(AnswerError):
    """The disk of the server is full; nothing was changed (507)."""


class Denied(AnswerError):
    """No key, or one that does not allow this, or a host name that the server does not know (401, 403)."""


class ServerFault(AnswerError):
    """The server made a mistake (500). ``request_id`` finds the reason in its log."""


_BY_CODE: dict[str, type[AnswerError]] = {
    "invalid": Invalid, "body_too_large": Invalid, "unsupported_media_type": Invalid, "not_found": NotFound, "conflict": Conflict, "backup_unusable": BackupUnusable,
    "lease_lost": LeaseLost,
    "idempotency_key_reused": KeyReused, "idempotency_in_flight": Busy, "busy": Busy, "stopping": Busy, "not_ready": Busy,
    "result_unknown": Busy,
    "disk_full": DiskFull, "cross_origin": Denied, "unknown_host": Denied, "internal": ServerFault,
}
_BY_STATUS: dict[int, type[AnswerError]] = {401: Denied, 403: Denied, 429: Busy, 503: Busy}


def from_answer(status: int, retry_after: str | None, body: bytes) -> AnswerError:
    """Return the exception for an answer with a status of 300 or above."""
    try:
        problem: Any = json.loads(body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    code = str(problem.get("error_code") or "")
    detail = str(problem.get("detail") or "")
    errors = problem.get("errors")
    fields = [FieldError(str(e.get("field", "")), str(e.get("message", ""))) for e in errors if isinstance(e, dict)] if isinstance(errors,
        list) else []
    if status == 413 and code and not fields:
        fields = [FieldError("body", detail)]
    kind = _BY_CODE.get(code, _BY_STATUS.get(status, AnswerError))
    return kind(status, code, detail, fields, str(problem.get("request_id") or ""), _seconds(retry_after))


def _seconds(text: str | None) -> float | None:
    """Read a Retry-After in seconds; a date, which only something other than the queue sends, counts as absent."""
    try:
        seconds = float(text) if text is not None else None
    except ValueError:
        return None
    return seconds if seconds is not None and 0 <= seconds < float("inf") else None
