"""Between the socket and the simulated services: notes each call, lets the dial spoil it, and can
cut a connection.

ASGI has no word for cutting a connection, so under uvicorn its transport is taken from the server's
own `send`; in process an exception stands for it, which `transport.SimulatedTransport` turns into
what httpx would raise.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Receive, Scope, Send

from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.world import World

Handler = Callable[[Request], Awaitable[Response]]
_CUT, _WRITE = "c2s_enrich.cut", "c2s_enrich.write"


class ConnectionCut(Exception):
    """In process: the connection is gone."""


class Simulators(Starlette):
    """A Starlette app whose handlers can cut their connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        scope[_CUT] = lambda: _cut(transport)
        # In process there is no connection that could carry a second answer.
        scope[_WRITE] = transport.write if transport is not None else lambda _: None
        await super().__call__(scope, receive, send)


def guarded(
    world: World,
    upstream: str,
    handler: Handler,
    describe: Callable[[Request], tuple[str, str]],
    refuse: Response,
) -> Handler:
    """The handler behind the dial. `describe` gives a call's kind and subject; `refuse` is how this
    service refuses a credential.
    """

    async def endpoint(request: Request) -> Response:
        kind, subject = describe(request)
        with world.call(upstream, kind, subject) as call:
            fault = world.dial.draw(upstream, kind, subject)
            call.fault = fault.kind if fault is not None else None
            response = (
                await _spoil(fault, request, handler, refuse)
                if fault is not None
                else await handler(request)
            )
            call.status = response.status_code
            return response

    return endpoint


async def _spoil(fault: Fault, request: Request, handler: Handler, refuse: Response) -> Response:
    match fault.kind:
        case "slow":
            await asyncio.sleep(fault.seconds)
            return await handler(request)
        case "throttle":
            return JSONResponse(
                {"error": "too many requests"},
                429,
                {"Retry-After": fault.retry_after} if fault.retry_after else None,
            )
        case "error500":
            return JSONResponse({"error": "internal error"}, fault.status)
        case "unauthorised":
            return refuse
        case "garbage":
            return HTMLResponse("<!DOCTYPE html><html><body><h1>Em manutenção</h1></body></html>")
        case "truncated":
            whole = (await handler(request)).body
            return Response(bytes(whole)[: len(whole) // 2], media_type="application/json")
        case "double":
            return _Doubled(await handler(request))
        case "hang":
            await _stay_silent(request, fault.seconds)
            return _Cut(b"")
        case "accept_then_lose":
            await handler(request)
            await _stay_silent(request, fault.seconds)
            return _Cut(b"")
        case _:  # reset
            return _Cut(json.dumps({"data": {"id": "half"}}).encode()[:10])


class _Doubled(Response):
    """The answer, and its copy behind it on the same connection."""

    def __init__(self, answer: Response) -> None:
        super().__init__(bytes(answer.body), answer.status_code, dict(answer.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().__call__(scope, receive, send)
        head = f"HTTP/1.1 {self.status_code} OK\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        scope[_WRITE](head.encode() + b"\r\n" + bytes(self.body))


async def _stay_silent(request: Request, seconds: float) -> None:
    """Until the time is over or the client has gone."""
    try:
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass


class _Cut(Response):
    """Ends the connection: at once, or after the first bytes of an answer."""

    def __init__(self, first: bytes) -> None:
        super().__init__(first, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.body:
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(2 * len(self.body)).encode()),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
        scope[_CUT]()
        # The server takes the end of this coroutine for a fault of the app until it has seen the
        # connection go.
        while (await receive())["type"] != "http.disconnect":
            pass


def _cut(transport: Any) -> None:
    if transport is None:
        raise ConnectionCut
    connection = transport.get_extra_info("socket")
    if connection is not None:
        # Lingering for no time turns the close into a reset, so that the other side does not read
        # an orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
