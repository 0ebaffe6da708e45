"""Around every request. Its one log line never names path or query: the token may be there."""

import re
import secrets
import time
from dataclasses import dataclass
from http import HTTPMethod
from traceback import walk_tb
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from c2s_enrich.redaction import redact
from c2s_enrich.serving.problem import CLOSE, Faults, HttpProblem
from c2s_enrich.telemetry.lines import Level, get_logger

Notes = dict[str, Any]
"""What an endpoint adds to its request's log line: words and numbers, nothing that a sender wrote.
"""
Headers = tuple[tuple[bytes, bytes], ...]

_log = get_logger("c2s_enrich.web")
_NOTES = "c2s_enrich.notes"
_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
_PROBES = frozenset(("/livez", "/readyz", "/health"))
_METHODS = frozenset(HTTPMethod)

# No answer is a page, or belongs into a frame or a cache. HSTS counts behind Fly's TLS; browsers
# ignore it over plain HTTP.
_SECURITY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"strict-transport-security", b"max-age=31536000"),
)


def notes_of(scope: Scope) -> Notes:
    """The request's notes; the middleware puts them into the log line."""
    notes: Notes = scope.setdefault(_NOTES, {})
    return notes


@dataclass
class RequestMiddleware:
    """`known` secrets do not get into the log as ids; every answer carries `security`."""

    app: ASGIApp
    faults: Faults
    known: tuple[str, ...] = ()
    security: Headers = _SECURITY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        notes = notes_of(scope)
        notes["request_id"] = request_id = self._request_id(scope)
        added = ((b"x-request-id", request_id.encode()), *self.security)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *added]
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:
            # The type is enough to find it; its text and its frames may hold a payload.
            *_, (frame, number) = walk_tb(error.__traceback__)
            where = f"{frame.f_code.co_filename.rpartition('/')[2]}:{number}"
            kind = type(error).__name__
            _log.error("request_broke", request_id=request_id, error=kind, where=where)
            self.faults.add("bug", f"an error in the program ({kind})")
            if not status:
                await _BUG(scope, receive, send_with_headers)
        if "route" not in notes:
            notes["route"] = getattr(scope.get("route"), "path", None)
        line = {
            "method": scope["method"] if scope["method"] in _METHODS else "other",
            "status": status or None,
            "duration_s": round(time.perf_counter() - started, 4),
            **notes,
        }
        # A platform's checks come every few seconds and say nothing new.
        level: Level = "debug" if notes["route"] in _PROBES else "info"
        _log.tell(level, "request", line, searched=False)

    def _request_id(self, scope: Scope) -> str:
        """The sender's, where it looks like an id and is nothing to be hidden; else a new one."""
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _ID.fullmatch(value):
                given: str = value.decode("ascii")
                if given not in self.known and redact(given) == given:
                    return given
        return secrets.token_hex(16)


async def answer_http_error(_: Request, error: Exception) -> Response:
    """For Starlette: unknown addresses and wrong methods, in the form of every other failure."""
    status, headers = 500, None
    if isinstance(error, HTTPException):
        status, headers = error.status_code, error.headers
    detail = "There is nothing at this address, or not for this method."
    return HttpProblem(status, _REASONS.get(status, "http_error"), detail, headers)


_BROKE = "Something broke here. Nothing of the request was stored."
_BUG = HttpProblem(503, "bug", _BROKE, {"retry-after": "10", **CLOSE})
_REASONS = {404: "not_found", 405: "method_not_allowed"}
