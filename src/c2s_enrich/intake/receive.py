"""Receives a request's body within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive

from c2s_enrich.intake.auth import Headers
from c2s_enrich.intake.metrics import IntakeMetrics
from c2s_enrich.settings import Settings

# All bodies in memory at once, in bytes: 64 full-size deliveries, or tens of thousands of usual
# ones.
_BODIES = 64 * 1024 * 1024
# A sender whose body is too large should get to read why: as many bytes are received and dropped
# before the answer.
_DRAIN = 8 * 1024 * 1024
_DRAIN_SECONDS = 2.0
# How long the first bytes of a refused sender are waited for.
_PEEK_SECONDS = 0.25
_PEEK = 4096


class BodyTooLarge(Exception):
    """The body exceeds its limit."""


class SenderGone(Exception):
    """The sender hung up before its body was complete: nobody is left to answer."""


class NoRoom(Exception):
    """All bodies together exceed their limit."""


class BodyReceiver:
    """For one process. The bytes in memory are counted in `metrics.body_bytes`."""

    def __init__(self, settings: Settings, metrics: IntakeMetrics) -> None:
        self._limit = settings.body_limit
        self._seconds = settings.receive_timeout.total_seconds()
        self._metrics = metrics

    async def whole(self, headers: Headers, receive: Receive) -> bytes:
        """The body; its length stays counted until the caller takes it off.

        Raises BodyTooLarge, SenderGone, NoRoom and TimeoutError.
        """
        async with asyncio.timeout(self._seconds):
            announced = header(headers, b"content-length")
            if announced.isdigit() and int(announced[:20]) > self._limit:
                await self._drain(headers, receive)
                raise BodyTooLarge
            first, more = await _next_part(receive)
            body = bytearray(first) if more else first
            counted = len(first)
            self._metrics.body_bytes += counted
            try:
                while True:
                    if len(body) > self._limit:
                        await self._drain(headers, receive, already=len(body), more=more)
                        raise BodyTooLarge
                    if self._metrics.body_bytes > _BODIES:
                        raise NoRoom
                    if not more:
                        return bytes(body)
                    part, more = await _next_part(receive)
                    body += part
                    counted += len(part)
                    self._metrics.body_bytes += len(part)
            except BaseException:
                self._metrics.body_bytes -= counted
                raise

    async def beginning(self, headers: Headers, receive: Receive) -> tuple[bytes, bool]:
        """A refused body's first bytes, and whether it has ended. The rest is not waited for."""
        beginning = b""
        size, more = 0, True
        if header(headers, b"expect"):
            return beginning, False
        try:
            async with asyncio.timeout(_PEEK_SECONDS):
                while more and size <= _DRAIN:
                    part, more = await _next_part(receive)
                    size += len(part)
                    beginning += part[: _PEEK - len(beginning)]
        except TimeoutError:
            more = True
        return beginning, not more

    async def _drain(
        self, headers: Headers, receive: Receive, *, already: int = 0, more: bool = True
    ) -> None:
        """Receives and drops, within bounds: closing on a writing sender would lose our answer."""
        if header(headers, b"expect"):
            # It waits for our word before it sends; this answer is the word.
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while more and already <= _DRAIN:
                    part, more = await _next_part(receive)
                    already += len(part)
        except TimeoutError:
            return


async def _next_part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise SenderGone
    return message.get("body", b""), message.get("more_body", False)


def header(headers: Headers, name: bytes) -> bytes:
    """The first header of this name, empty where there is none."""
    return next((value.strip() for key, value in headers if key == name), b"")
