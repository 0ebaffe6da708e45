"""A process's own listener: /metrics and /health on a private address, never the public port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from c2s_enrich.serving.server import listen_on
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

_log = get_logger("c2s_enrich.monitor")

# Scrapers and one person with curl; whoever opens more is refused.
_CONNECTIONS = 32
_LAG_SECONDS = 0.5


class _Quiet(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has handlers of its own


@asynccontextmanager
async def monitor(
    settings: Settings,
    metrics: Metrics,
    routes: Sequence[BaseRoute],
    refresh: Callable[[], Awaitable[None]],
) -> AsyncIterator[str | None]:
    """Yields the address; None where the port is taken. Awaits `refresh` before each scrape."""
    try:
        bound = listen_on(settings.metrics_host, settings.metrics_port)
    except OSError as error:
        place = f"{settings.metrics_host}:{settings.metrics_port}"
        _log.warning("metrics_port_taken", address=place, error=type(error).__name__)
        yield None
        return

    async def scrape(_: Request) -> Response:
        await refresh()
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    app = Starlette(routes=[Route("/metrics", scrape), *routes])
    server = _Quiet(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=1,
        )
    )
    host, port = bound.getsockname()[:2]
    _log.info("metrics_served", address=f"{host}:{port}")
    lag = asyncio.create_task(_watch_lag(metrics))
    serving = asyncio.create_task(server.serve([bound]))
    try:
        yield f"{host}:{port}"
    finally:
        lag.cancel()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


async def _watch_lag(metrics: Metrics) -> None:
    """How late the event loop comes to a timer: the worst since the last scrape."""
    worst = 0.0

    def read() -> float:
        nonlocal worst
        seen, worst = worst, 0.0
        return seen

    metrics.watch("event_loop_lag_seconds", "Worst delay of a timer since the last scrape", read)
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(_LAG_SECONDS)
        worst = max(worst, loop.time() - began - _LAG_SECONDS)
