"""HTTP/1.1 behind httpx's transport interface: one connection for each request under way.

httpcore's pool costs 0.9 ms of CPU for an exchange with one in flight and 3.2 ms with twenty, keeps
surplus bytes for the next answer, and reports its own waiting as the upstream's time-out. Here
nothing waits or is decoded, limits count bytes on the wire, and a connection on which anything was
not as announced is closed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import cache
from typing import cast

import httptools

# httpx's own command would bring rich, pygments and click: 0.25 s and 20 MB of each process. Where
# its module is None, httpx goes without.
sys.modules["httpx._main"] = None  # type: ignore[assignment]
import httpx as httpx  # noqa: E402

# Servers close idle connections after 5 s; a request into a closing one is an unclear send.
_IDLE_SECONDS = 4.0
# A second copy of an answer shows up within this time: it must not answer the next question.
_REST_SECONDS = 0.1
# All headers of one answer, interim answers (1xx) included.
_HEAD_BYTES = 64 * 1024
_INTERIM_ANSWERS = 10
# A page of 1,000 events with long errors is far below it.
_OWN_BODY_BYTES = 16 * 1024 * 1024


class AnswerTooLarge(httpx.ProtocolError):
    """The answer weighs more on the wire than its limit."""


class Transport(httpx.AsyncBaseTransport):
    """The connections to one upstream. `body_limit` is in bytes on the wire.

    Reads each answer to its end. Raises httpx's ConnectError and ConnectTimeout where nothing was
    sent, and its ReadError, RemoteProtocolError or AnswerTooLarge where the request may have
    arrived. The extension `before_send` is called the moment before a request's first byte.
    """

    def __init__(self, body_limit: int) -> None:
        self._limit = _HEAD_BYTES + body_limit
        self._resting: deque[_Connection] = deque()
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        head = _head(request)
        before_send: Callable[[], None] | None = request.extensions.get("before_send")
        connection = self._rested(request.url) or await self._connect(request)
        try:
            if before_send is not None:
                before_send()
            answer = await connection.exchange(head + request.content, self._limit)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._resting.append(connection)
        return answer

    async def aclose(self) -> None:
        while self._resting:
            self._resting.popleft().close()

    async def _connect(self, request: httpx.Request) -> _Connection:
        loop, origin = asyncio.get_running_loop(), _origin(request.url)
        host, port, secure = origin
        failure: Exception = OSError()
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                tls, name = (_tls_context(), host) if secure else (None, None)
                for address in await asyncio.shield(self._lookup(host)):
                    try:
                        _, connection = await loop.create_connection(
                            lambda: _Connection(origin),
                            address,
                            port,
                            ssl=tls,
                            server_hostname=name,
                        )
                        return connection
                    except OSError as error:
                        failure = error
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except (OSError, UnicodeError) as error:
            failure = error
        raise httpx.ConnectError("no connection") from failure

    def _lookup(self, host: str) -> asyncio.Future[list[str]]:
        """The host's addresses. One lookup for all who wait: a process has four threads for names,
        and a name that nobody answers for would take those of every other upstream too.
        """
        if (lookup := self._lookups.get(host)) is None:
            lookup = self._lookups[host] = asyncio.ensure_future(_addresses(host))
            lookup.add_done_callback(lambda _: self._lookups.pop(host))
        return lookup

    def _rested(self, url: httpx.URL) -> _Connection | None:
        """A connection to use again: the one that rested longest, so that all of them rest."""
        now = asyncio.get_running_loop().time()
        origin = _origin(url)
        while self._resting:
            connection = self._resting[0]
            rested = now - connection.used_at
            if connection.reusable and connection.origin == origin and rested < _IDLE_SECONDS:
                return self._resting.popleft() if rested >= _REST_SECONDS else None
            self._resting.popleft().close()
        return None


async def ask_once(
    url: str, *, seconds: float, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One question to an address of the operators' own, with a limit for all of it, in time and in
    bytes; the answer's status and body. Raises OSError, TimeoutError among them.
    """
    try:
        method = "GET" if body is None else "POST"
        request = httpx.Request(method, url, content=body, headers=headers)
        async with aclosing(Transport(_OWN_BODY_BYTES)) as transport, asyncio.timeout(seconds):
            answer = await transport.handle_async_request(request)
            return answer.status_code, b"".join([part async for part in answer.aiter_raw()])
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise OSError(type(error).__name__) from None


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. `reusable` until anything was not as announced."""

    def __init__(self, origin: tuple[str, int, bool]) -> None:
        self.origin = origin
        self.reusable = True
        self.used_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[httpx.Response] = asyncio.Future()
        self._answer.cancel()

    async def exchange(self, request: bytes, limit: int) -> httpx.Response:
        """Writes the request and reads its answer to the end, at most `limit` bytes."""
        loop = asyncio.get_running_loop()
        if not self.reusable or self._transport is None:
            raise httpx.ConnectError("the connection was closed before it was used")
        self._answer = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._limit, self._read, self._interim = limit, 0, 0
        self._in_body = False
        self._transport.write(request)
        try:
            return await self._answer
        finally:
            self.used_at = loop.time()

    def close(self) -> None:
        """Closes at once; what is still under way is dropped."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answer.done():
            # Nothing was asked, or it was answered already: these bytes answer no question.
            self.close()
            return
        self._read += len(data)
        if self._read > self._limit:
            self._fail(AnswerTooLarge("the answer passes its limit"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # Behind a whole answer it is surplus; the answer itself stands.
            self._fail(httpx.RemoteProtocolError("the answer is not HTTP/1.1"))
        else:
            if not self._in_body and self._read > _HEAD_BYTES:
                self._fail(httpx.RemoteProtocolError("the head of the answer is too long"))

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if not self._answer.done() and error is None and self._in_body and not self._framed:
            self._complete()
        else:
            self._fail(httpx.ReadError("the connection was closed before the answer was whole"))

    def on_message_begin(self) -> None:
        if self._answer.done():
            raise httpx.RemoteProtocolError("a second answer to one request")
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._framed = self._in_body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer: nothing of ours rests on one
        name = name.lower()
        self._headers.append((name, value))
        if name == b"content-length" or (
            name == b"transfer-encoding" and value.strip().lower() == b"chunked"
        ):
            self._framed = True
        elif name == b"transfer-encoding":
            raise httpx.RemoteProtocolError("the answer is packed for its transfer")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._in_body = self._status >= 200

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._in_body:
            self.reusable = self.reusable and self._parser.should_keep_alive()
            self._complete()
            return
        self._interim += 1
        if self._status == 101 or self._interim > _INTERIM_ANSWERS:
            raise httpx.RemoteProtocolError("interim answers only")

    def _complete(self) -> None:
        if not self._answer.done():
            # As a stream, because a Response that is given its content decodes it.
            stream = httpx.ByteStream(b"".join(self._body))
            answer = httpx.Response(self._status, headers=self._headers, stream=stream)
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
        self.close()


async def _addresses(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address) for *_, (address, *_) in found]


@cache
def _tls_context() -> ssl.SSLContext:
    """One for all upstreams: loading the certificates takes 20 ms and some MiB each time."""
    return httpx.create_ssl_context()


def _origin(url: httpx.URL) -> tuple[str, int, bool]:
    tls = url.scheme == "https"
    return url.host, url.port or (443 if tls else 80), tls


def _head(request: httpx.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    for name, value in request.headers.raw:
        lines.append(b"%s: %s" % (name, value))
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a line break in a header")
    return b"\r\n".join(lines) + b"\r\n\r\n"
