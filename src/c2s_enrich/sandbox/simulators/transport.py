"""The simulators without a socket: an httpx transport that behaves as a network would.

httpx's own ASGI transport ignores time limits, calls no `before_send` and lets an app's exception
through; here a hang ends as ReadTimeout, a cut connection as ReadError, and `down` as ConnectError
before anything was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx
from starlette.types import ASGIApp

from c2s_enrich.sandbox.simulators.wire import ConnectionCut


class SimulatedTransport(httpx.AsyncBaseTransport):
    """Calls an app in process. Set `down` to refuse connections."""

    def __init__(self, app: ASGIApp) -> None:
        self._inner = httpx.ASGITransport(app)
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("the simulated host is down")
        before_send: Callable[[], None] | None = request.extensions.get("before_send")
        if before_send is not None:
            before_send()
        timeout: Mapping[str, float | None] = request.extensions.get("timeout", {})
        try:
            async with asyncio.timeout(timeout.get("read")):
                return await self._inner.handle_async_request(request)
        except TimeoutError:
            raise httpx.ReadTimeout("the simulated host is silent") from None
        except ConnectionCut:
            raise httpx.ReadError("the simulated host cut the connection") from None
