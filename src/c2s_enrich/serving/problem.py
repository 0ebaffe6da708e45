"""Answers as values. Failures are problem+json (RFC 9457) and never quote the request."""

from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.types import Send

JSON = b"application/json"
PROBLEM = b"application/problem+json"


class Answer(Struct, frozen=True):
    """Status, body and further headers. `reason` is a word for the log."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    reason: str = ""

    async def send(self, send: Send) -> None:
        """Two ASGI messages. HEAD is the server's business: it leaves the body out by itself."""
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def problem(
    status: int, reason: str, detail: str, *headers: tuple[bytes, bytes], **more: Any
) -> Answer:
    """`reason` is a word for programs, `detail` a sentence. Below 500 the fault is the sender's."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "reason": reason,
        "detail": detail,
        "fault": "sender" if status < 500 else "service",
        **more,
    }
    return Answer(status, msgspec.json.encode(document), PROBLEM, headers, reason)


CLOSE = (b"connection", b"close")
"""For answers given before the body was read to its end: what still arrives must not be taken for
the next request.
"""
