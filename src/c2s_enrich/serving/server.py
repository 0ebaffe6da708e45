"""uvicorn, bounded in every direction: a process's public port, and the listener of its own for
/metrics and /health on a private address. Nothing depends on the client's address.
"""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from c2s_enrich.clock import leave_soon
from c2s_enrich.errors import CannotListen
from c2s_enrich.serving.protocol import bounded_protocol
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

# Longer than Fly's proxy idles (60 s): who reuses a connection must not find it closing.
_KEEP_ALIVE_SECONDS = 75
# Idle ones cost a few kilobytes each.
_CONNECTIONS = 4000
# Files that are not connections: the database's, the log, the loop's own.
_OTHER_FILES = 80
_BACKLOG = 2048
# libuv accepts one connection a turn of the loop from each listening descriptor: behind 256 busy
# connections a new one waited for seconds. Each further descriptor costs a system call per wake.
_DESCRIPTORS = 16
# Scrapers and one person with curl; whoever opens more is refused.
_WATCHERS = 32
_LAG_SECONDS = 0.5

_log = get_logger("c2s_enrich.monitor")


class _Server(uvicorn.Server):
    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets)
        # All is answered and written.
        self.leaving = leave_soon(0)


def run_server(app: ASGIApp, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what was accepted and returns."""
    try:
        bound = listen_on(settings.host, settings.port)
    except OSError as error:
        place = f"{settings.host}:{settings.port}"
        why = str(error.strerror).partition(" (while ")[0]
        raise CannotListen(f"cannot listen on {place}: {why}") from None
    # uvicorn raises the signal again when it is done; the exit status should say "in order".
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # Else the collector walks over all modules again, and for 25 ms nobody is answered.
    gc.collect()
    gc.freeze()
    # A request makes 200 objects and no cycles: looking for some costs a tenth of the throughput.
    gc.set_threshold(20_000, 20, 20)
    server = _Server(server_config(app, settings))
    server.run(several_of(bound))
    server.leaving.cancel()


def server_config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    # A request lives at most this long; what is open after it is a connection, not a delivery.
    request = settings.receive_timeout + settings.store_timeout
    return uvicorn.Config(
        app,
        http=bounded_protocol(settings.receive_timeout.total_seconds(), raise_file_limit()),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        # Its lines hold the path, and the path may hold the token; the middleware writes the line.
        access_log=False,
        log_config=None,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(request.total_seconds()) + 1,
    )


def listen_on(host: str, port: int) -> socket.socket:
    """A listening socket; `*` and `::` mean all addresses, IPv4 too. Raises OSError."""
    if host in ("*", "::"):
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        return socket.create_server(("", port), family=family, dualstack_ipv6=both)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def several_of(bound: socket.socket) -> list[socket.socket]:
    return [bound, *(bound.dup() for _ in range(_DESCRIPTORS - 1))]


def raise_file_limit() -> int:
    """Lets this process have as many files as it may; how many connections that leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return soft - _OTHER_FILES
    return _CONNECTIONS


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
    """Serves /metrics and `routes` while inside. Yields the address; None where the port is taken.
    Awaits `refresh` before each scrape.
    """
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
            limit_concurrency=_WATCHERS,
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
