"""Receives a request's body within limits of size and time."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from c2s_enrich.intake.auth import Headers
from c2s_enrich.intake.metrics import IntakeMetrics

# All bodies in memory at once: 64 full-size deliveries, or tens of thousands of usual ones.
_BODIES = 64 * 1024 * 1024
# Received and dropped before the answer: the sender of too large a body should read why.
_DRAIN = 8 * 1024 * 1024
_DRAIN_SECONDS = 2.0
# How long the first bytes of a refused sender are waited for.
PEEK_SECONDS = 0.25
_PEEK = 4096


class BodyRefused(Exception):
    """The body is too large or too slow."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(detail)


class NoRoom(Exception):
    """All bodies together exceed their limit."""


async def receive_body(
    headers: Headers, receive: Receive, metrics: IntakeMetrics, limit: int, seconds: float
) -> bytes:
    """Stays counted in `body_bytes`. Raises BodyRefused, NoRoom, ClientDisconnect."""
    body, more = bytearray(), True
    announced = header(headers, b"content-length")
    too_large = announced.isdigit() and int(announced[:20]) > limit
    try:
        async with asyncio.timeout(seconds):
            while more and not too_large:
                part, more = await _next_part(receive)
                body += part
                metrics.body_bytes += len(part)
                too_large = len(body) > limit
                if metrics.body_bytes > _BODIES and not too_large:
                    raise NoRoom
            if too_large:
                await drop_body(headers, receive, size=len(body), more=more)
                detail = f"A delivery has at most {limit} bytes."
                raise BodyRefused(413, "body_too_large", detail)
        return bytes(body)
    except BaseException as error:
        metrics.body_bytes -= len(body)
        if isinstance(error, TimeoutError):
            detail = f"The body did not arrive within {seconds:g} seconds."
            raise BodyRefused(408, "body_too_slow", detail) from None
        raise


async def drop_body(
    headers: Headers,
    receive: Receive,
    seconds: float = _DRAIN_SECONDS,
    *,
    size: int = 0,
    more: bool = True,
) -> tuple[bytes, bool]:
    """Drops a body within bounds, since closing on a sender that still writes would lose our
    answer. The first bytes of it, and whether it has ended.
    """
    first = b""
    if header(headers, b"expect"):
        # It waits for our word before it sends; the answer is the word.
        return first, False
    try:
        async with asyncio.timeout(seconds):
            while more and size <= _DRAIN:
                part, more = await _next_part(receive)
                size += len(part)
                first += part[: _PEEK - len(first)]
    except TimeoutError:
        more = True
    return first, not more


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def header(headers: Headers, name: bytes) -> bytes:
    """The first header of this name, empty where there is none."""
    return next((value.strip() for key, value in headers if key == name), b"")
