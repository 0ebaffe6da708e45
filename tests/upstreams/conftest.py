"""The clients against the simulators in process, with the clock, the limits and the metrics
replaced by ones that take notes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx
import pytest
from tests.clocks import Naps

from c2s_enrich.errors import UpstreamError
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import Manners, World
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.c2s import C2s, open_c2s, open_gateway
from c2s_enrich.upstreams.diretrix import Diretrix, open_diretrix
from c2s_enrich.upstreams.http import AnyTransport, CallServices
from c2s_enrich.upstreams.limits import Admission, Limits
from c2s_enrich.upstreams.work_api import WorkApi, open_work_api

# Letters only and of no meaning: whatever repeats one of them has leaked it.
CANARIES = {
    "C2S_TOKEN": "zzcanaryalpha",
    "DIRETRIX_USER": "zzcanarybeta",
    "DIRETRIX_PASS": "zzcanarygamma",
    "WORK_API_TOKEN": "zzcanarydelta",
}


class OpenDoor:
    """Limits that let every call pass and remember how each one ended. Set `closed` to refuse from
    the next call on.
    """

    def __init__(self) -> None:
        self.ended: list[UpstreamError | None] = []
        self.closed: UpstreamError | None = None

    async def admit(self, name: str) -> Admission:
        if self.closed is not None:
            raise self.closed
        return Admission(name)

    async def succeeded(self, admission: Admission) -> bool:
        self.ended.append(None)
        return False

    async def failed(self, admission: Admission, error: UpstreamError) -> None:
        self.ended.append(error)


class Tally:
    """Metrics as a list of (upstream, kind, result)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None:
        assert seconds >= 0
        self.calls.append((upstream, kind, result))


@dataclass
class Rig:
    """The three clients on one transport."""

    c2s: C2s
    diretrix: Diretrix
    work_api: WorkApi
    limits: OpenDoor = field(default_factory=OpenDoor)
    naps: Naps = field(default_factory=Naps)
    tally: Tally = field(default_factory=Tally)
    sent: list[httpx.Request] = field(default_factory=list)


class Listening(httpx.AsyncBaseTransport):
    """Passes everything on and keeps the requests."""

    def __init__(self, inner: httpx.AsyncBaseTransport, kept: list[httpx.Request]) -> None:
        self._inner = inner
        self._kept = kept

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._kept.append(request)
        return await self._inner.handle_async_request(request)


MakeRig = Callable[..., Awaitable[Rig]]


@pytest.fixture
async def make_rig() -> AsyncIterator[MakeRig]:
    """Builds a Rig on a transport (None: the network). UPPER_CASE are environment variables,
    lower_case ones are fields of the settings.
    """
    async with AsyncExitStack() as stack:

        async def make(transport: AnyTransport | None = None, **given: Any) -> Rig:
            fields = {name: value for name, value in given.items() if name.islower()}
            environment = {name: value for name, value in given.items() if name.isupper()}
            loaded = Settings.load(
                {
                    "C2S_BASE_URL": "http://sim/c2s",
                    "DIRETRIX_BASE_URL": "http://sim/diretrix",
                    "WORK_API_BASE_URL": "http://sim/work_api",
                    "LEASE_SECONDS": "30",
                    **CANARIES,
                    **environment,
                },
                "tool",
            )
            settings = replace(loaded, **fields)
            limits, naps, tally = OpenDoor(), Naps(), Tally()
            sent: list[httpx.Request] = []
            through = Listening(transport, sent) if transport is not None else None
            # Stand-ins with the methods that a call uses.
            services = CallServices(cast(Limits, limits), naps, cast(Metrics, tally), through)
            direct, gateway, diretrix, work_api = [
                await stack.enter_async_context(aclosing(opened(settings, services)))
                for opened in (open_c2s, open_gateway, open_diretrix, open_work_api)
            ]
            leads = gateway if settings.c2s_gateway_url else None
            return Rig(
                C2s(direct, leads, settings.c2s_message_path),
                Diretrix(diretrix),
                WorkApi(work_api, settings.work_api_token),
                limits,
                naps,
                tally,
                sent,
            )

        yield make


@pytest.fixture
def world() -> World:
    """A small world whose services take the canaries for credentials."""
    return World(
        7,
        size=30,
        manners=Manners(
            c2s_token=CANARIES["C2S_TOKEN"],
            diretrix_user=CANARIES["DIRETRIX_USER"],
            diretrix_pass=CANARIES["DIRETRIX_PASS"],
            work_api_token=CANARIES["WORK_API_TOKEN"],
        ),
    )


@pytest.fixture
def network(world: World) -> SimulatedTransport:
    """The way to the simulators."""
    return SimulatedTransport(build_simulators(world))


def answering(
    status: int = 200, *, headers: dict[str, str] | None = None, **content: object
) -> httpx.MockTransport:
    """A server with one answer to everything: text=, json=, html= or content=."""
    return httpx.MockTransport(lambda _: httpx.Response(status, headers=headers, **content))  # type: ignore[arg-type]


Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def tcp_server(conversation: Conversation) -> AsyncIterator[str]:
    """A real server on the loopback address; yields its base URL."""
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await conversation(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            running.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
