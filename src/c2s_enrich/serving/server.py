"""uvicorn for a service behind Fly's proxy: bounded in every direction, silent about addresses,
polite when it ends.

Forwarded headers are not read at all: nothing here depends on the client's address or scheme, so
there is nothing to trust.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from c2s_enrich.serving.answers import CLOSE, PROBLEM, problem
from c2s_enrich.settings import Settings

# Headers of one request that come in more than one read, in bytes. httptools has no limit of its
# own; C2S sends some 500.
_HEAD_LIMIT = 32 * 1024
# Longer than the idle time after which Fly's proxy drops its end (60 s): the side that reuses a
# connection must not find it closing.
_KEEP_ALIVE_SECONDS = 75
# What is left of a body whose request was answered before it ended is dropped for so long; then the
# line is closed.
_LEFTOVER_SECONDS = 2.0
# Connections, not requests: idle ones cost a few kilobytes each. Above it uvicorn itself says 503.
_CONNECTIONS = 4000
_BACKLOG = 2048


def run_server(app: ASGIApp, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted and returns."""
    # uvicorn raises the signal again when it is done; by then everything is in order, and the exit
    # status should say so.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # What exists by now stays: else the collector walks over all imported modules again and again,
    # and for 25 ms nobody is answered.
    gc.collect()
    gc.freeze()
    # A request makes some 200 objects and no cycles: looking for some after each third request
    # costs a tenth of the throughput.
    gc.set_threshold(20_000, 20, 20)
    uvicorn.Server(server_config(app, settings)).run()


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How web listens."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_protocol(settings.receive_timeout.total_seconds()),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,  # its lines hold the path, and the path may hold the token; the door writes the line instead
        log_config=None,
        limit_concurrency=_CONNECTIONS,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        # A request lives at most this long; anything still open after it is a connection, not a
        # delivery.
        timeout_graceful_shutdown=int(
            (settings.receive_timeout + settings.store_timeout).total_seconds()
        )
        + 1,
    )


class _OneWrite:
    """A transport that writes once a turn of the loop. uvicorn writes the head and the body of an
    answer apart, which would be two packets and two system calls for each: a tenth of a delivery's
    time. Everything but `write` and what ends it is the transport's own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held:
            self._transport.write(b"".join(self._held))
            self._held.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _protocol(head_seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol with what it lacks: a time and a size limit for the head of a request, and
    problem+json for a broken one.
    """

    class Protocol(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _in_head = False
        _in_message = False
        _head_size = 0
        _broken = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(cast(asyncio.Transport, _OneWrite(transport, self.loop)))
            self._start_timer()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._broken:
                return
            super().data_received(data)
            if not self._in_head:
                return
            if self._timer is None:
                self._start_timer()
            # Not the read in which the head began: the end of the body before it may have come
            # along.
            elif self._head_size > _HEAD_LIMIT:
                self._refuse(
                    431, "head_too_large", f"The head of a request has at most {_HEAD_LIMIT} bytes."
                )
            self._head_size += len(data)

        def on_message_begin(self) -> None:
            self._in_head, self._in_message, self._head_size = True, True, 0
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop_timer()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_message = False
            self._stop_timer()
            super().on_message_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if (
                self._in_message
                and not self._in_head
                and self.cycle.response_complete
                and not self.transport.is_closing()
            ):
                # Answered early (401, 404). Whoever goes on sending, a byte a second or without
                # end, holds no connection for that.
                self._stop_timer()
                self._timer = self.loop.call_later(_LEFTOVER_SECONDS, self.transport.close)

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "not_http", "This is not an HTTP request.")

        def _start_timer(self) -> None:
            self._timer = self.loop.call_later(head_seconds, self._head_too_slow)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _head_too_slow(self) -> None:
            self._timer = None
            if self._in_head:
                self._refuse(
                    408,
                    "head_too_slow",
                    f"The head of a request has {head_seconds:g} seconds to arrive.",
                )
            else:
                # Nothing was said at all: an answer could be taken for that of a request which is
                # just leaving the other end.
                self.transport.close()

        def _refuse(self, status: int, reason: str, detail: str) -> None:
            self._broken = True
            self._stop_timer()
            if self.transport.is_closing():
                return
            if self.cycle is not None and not self.cycle.response_complete:
                # What is broken came after a good request: that one still gets its answer, as the
                # last on this connection.
                self.cycle.keep_alive = False
                its_own_body = self._in_message and not self._in_head and not self.pipeline
                if not its_own_body or self.cycle.response_started:
                    return
            answer = problem(status, reason, detail)
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {PROBLEM.decode()}\r\n"
                f"content-length: {len(answer.body)}\r\n{b': '.join(CLOSE).decode()}\r\n\r\n"
            )
            self.transport.write(head.encode() + answer.body)
            self.transport.close()

    return Protocol
