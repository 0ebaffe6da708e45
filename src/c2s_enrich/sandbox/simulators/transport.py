"""The simulators without a socket: an httpx transport that behaves as a network would.

httpx's own ASGI transport ignores time limits, reports no trace events and lets an app's exception
through; here a hang ends as ReadTimeout, a cut connection as ReadError, and `down` as ConnectError
before anything was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx
from starlette.types import ASGIApp

from c2s_enrich.sandbox.simulators.wire import ConnectionCut


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Calls an app in process. Set `down` to refuse connections."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app)
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await _trace(request, "connection.connect_tcp.started")
        if self.down:
            raise httpx.ConnectError("the simulated host is down")
        await _trace(request, "http11.send_request_headers.started")
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        try:
            async with asyncio.timeout(timeout.get("read")):
                return await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("the simulated host is silent") from None
        except ConnectionCut:
            raise httpx.ReadError("the simulated host cut the connection") from None


async def _trace(request: httpx.Request, event: str) -> None:
    hook: Callable[[str, Mapping[str, object]], Awaitable[None]] | None = request.extensions.get(
        "trace"
    )
    if hook is not None:
        await hook(event, {"request": request})
