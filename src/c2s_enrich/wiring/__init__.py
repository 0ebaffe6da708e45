"""Where objects meet: plain functions that build a process out of settings. Nothing is decided."""

import os
import re
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, is_transient, open_pool
from c2s_enrich.enrichment.history import DatabaseHistory
from c2s_enrich.enrichment.lookup import Lookup
from c2s_enrich.enrichment.pipeline import Pipeline
from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.send import Sender
from c2s_enrich.enrichment.store import EnrichmentStore, record_facts
from c2s_enrich.migrations import schema_problem
from c2s_enrich.ops.alerts import watch
from c2s_enrich.ops.health import Signals, build_health
from c2s_enrich.ops.reconcile import reconcile_duty
from c2s_enrich.privacy.retention import retention_duty
from c2s_enrich.queue.poller import Poller
from c2s_enrich.queue.store import QueueStore
from c2s_enrich.queue.suspects import COMMAND
from c2s_enrich.queue.wakeup import Listener
from c2s_enrich.sessions import connect_direct
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.telemetry.release import release
from c2s_enrich.upstreams.c2s import C2s, open_c2s, open_gateway
from c2s_enrich.upstreams.diretrix import Diretrix, open_diretrix
from c2s_enrich.upstreams.http import AnyTransport, CallServices
from c2s_enrich.upstreams.limits import Limits
from c2s_enrich.upstreams.work_api import WorkApi, open_work_api

_log = get_logger("c2s_enrich.wiring")

Boundary = Callable[[str], Awaitable[None]]


@dataclass(frozen=True)
class Upstreams:
    c2s: C2s
    diretrix: Diretrix
    work_api: WorkApi
    limits: Limits


@asynccontextmanager
async def open_upstreams(
    settings: Settings,
    pool: Pool,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
    transport: AnyTransport | None = None,
    limited_by: type[Limits] = Limits,
) -> AsyncIterator[Upstreams]:
    """The clients with their connections; `transport` as in CallServices."""
    clock = clock or Clock()
    limits = limited_by(pool, settings, clock)
    services = CallServices(limits, clock, metrics or Metrics(), transport)
    async with (
        aclosing(open_c2s(settings, services)) as direct,
        aclosing(open_gateway(settings, services)) as gateway,
        aclosing(open_diretrix(settings, services)) as diretrix,
        aclosing(open_work_api(settings, services)) as work_api,
    ):
        leads = gateway if settings.c2s_gateway_url else None
        yield Upstreams(
            C2s(direct, leads, settings.c2s_message_path),
            Diretrix(diretrix),
            WorkApi(work_api, settings.work_api_token),
            limits,
        )


def build_pipeline(
    settings: Settings,
    pool: Pool,
    upstreams: Upstreams,
    metrics: Metrics,
    clock: Clock,
    history: DatabaseHistory,
    pulse: Callable[[], Callable[[], bool]],
) -> Pipeline:
    keys, c2s, work_api = settings.hash_keys, upstreams.c2s, upstreams.work_api
    store = EnrichmentStore(pool, history, keys.hashes("account", _account(settings))[0], settings)
    memory = Memory(pool, work_api, upstreams.limits, clock, metrics, settings)
    lookup = Lookup(memory, upstreams.diretrix, work_api, settings)
    sender = Sender(store, c2s, metrics, keys, pulse, settings)
    return Pipeline(store, c2s, lookup, memory, sender, keys, settings)


@asynccontextmanager
async def build_poller(
    settings: Settings,
    metrics: Metrics,
    *,
    boundary: Boundary | None = None,
    transport: AnyTransport | None = None,
    clock: Clock | None = None,
    watched: bool = False,
    suspects: Sequence[str] | None = COMMAND,
    worker: str | None = None,
) -> AsyncIterator[Poller]:
    """A poller, ready to run. `boundary` is called at every named point of an event's life (see
    `queue.claim.Journal`). `suspects` is the command of the process for suspects; None: this is it,
    named `worker` by the poller that started it.
    """
    clock = clock or Clock()
    async with AsyncExitStack() as stack:
        worker = worker or _worker_name()
        pool = await stack.enter_async_context(open_pool(settings, name=f"pool {worker}"))
        upstreams = await stack.enter_async_context(
            open_upstreams(settings, pool, metrics, clock, transport)
        )
        history = DatabaseHistory(pool)
        await _prepare(upstreams.limits, history, settings, pool, clock)
        direct = partial(connect_direct, settings.direct_url.reveal(), straight=True)
        listener = Listener(partial(direct, name=f"pulse {worker}"))
        facts, version = record_facts(), release(settings)
        store = QueueStore(pool, settings, worker=worker, record_facts=facts, version=version)
        poller = Poller(
            store,
            build_pipeline(settings, pool, upstreams, metrics, clock, history, listener.pulse),
            settings,
            clock,
            metrics,
            suspects=suspects,
            listener=listener,
            duties=(
                partial(retention_duty, pool, settings),
                partial(reconcile_duty, pool, upstreams.c2s.leads_updated_since, settings),
            ),
            boundary=boundary,
        )
        metrics.watch("in_flight", "Events that are worked on", lambda: len(poller.in_flight))
        metrics.watch(
            "claim_loop_age_seconds", "Since the claim loop came round", poller.watchdog.silent_for
        )
        health = build_health(settings, pool, metrics, clock, Signals(stuck=poller.watchdog.stuck))
        poller.store.metrics_address = await stack.enter_async_context(
            watch(settings, pool, metrics, health, "poller", watched)
        )
        yield poller


def _account(settings: Settings) -> str:
    """What makes the way to C2S another one."""
    addresses = (settings.c2s_base_url, settings.c2s_gateway_url, settings.c2s_message_path)
    return "\n".join((*addresses, settings.c2s_token.reveal()))


async def _prepare(
    limits: Limits, history: DatabaseHistory, settings: Settings, pool: Pool, clock: Clock
) -> None:
    """Checks the hash key and writes the rate limits, waiting for the database and its schema."""
    while True:
        try:
            problem = await schema_problem(pool)
            if problem is None:
                await history.check_key(settings.hash_keys)
                return await limits.configure()
            _log.warning("poller_waits_for_schema", problem=problem)
            await clock.sleep(5.0)
            await pool.drain()  # sessions keep the defaults with which they began
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("poller_waits_for_database", error=type(error).__name__)
            await clock.sleep(1.0)


def _worker_name() -> str:
    # The random part makes each start a worker of its own: a platform may give the same host name
    # and pid again. Of other characters Postgres makes others, and the pulse is not recognised.
    host = re.sub(r"[^A-Za-z0-9.-]", "_", socket.gethostname())
    return f"{host[:24]}-{os.getpid()}-{secrets.token_hex(3)}"
