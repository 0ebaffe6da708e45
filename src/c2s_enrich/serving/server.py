"""uvicorn, bounded in every direction. Nothing depends on the client's address."""

import gc
import resource
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from c2s_enrich.errors import CannotListen
from c2s_enrich.leaving import leave_soon
from c2s_enrich.serving.protocol import bounded_protocol
from c2s_enrich.settings import Settings

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
