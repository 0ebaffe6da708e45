"""Where the operators' objects meet: API, console, and the desk for rejected deliveries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import msgspec
import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from c2s_enrich.clock import Clock
from c2s_enrich.console.app import SECURITY, Console
from c2s_enrich.console.page import Tools
from c2s_enrich.database import Pool, open_pool
from c2s_enrich.enrichment.history import DatabaseHistory
from c2s_enrich.intake.payload import read_delivery
from c2s_enrich.ops.alerts import watch
from c2s_enrich.ops.api import AdminApi
from c2s_enrich.ops.health import Signals, build_health
from c2s_enrich.ops.plans import Runs
from c2s_enrich.ops.rejects import RejectsDesk
from c2s_enrich.serving.middleware import RequestMiddleware
from c2s_enrich.serving.problem import Faults
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Limits

# A few people look at pages; their reads never keep an action from a connection.
_READS = 4


def build_ops(settings: Settings, metrics: Metrics, *, watched: bool = False) -> Starlette:
    clock = Clock()
    faults, pool = Faults(clock), open_pool(settings, name="ops")
    reads = open_pool(replace(settings, database_pool_size=_READS), name="console")
    health = build_health(settings, pool, metrics, clock, Signals(faults.sentences))
    limits = Limits(pool, settings, clock)
    runs = Runs()
    api = AdminApi(pool, limits, runs, settings)
    rejects = build_rejects(settings, pool)
    console = Console(Tools(reads, pool, limits, health, rejects, runs, settings), clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool, reads, watch(settings, pool, metrics, health, "ops", watched):
            # A wrong key ends this process; a database that is away is what /health is for.
            with suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(3):
                    await DatabaseHistory(pool).check_key(settings.hash_keys)
            yield
            await runs.close()

    known = (settings.admin_token.reveal(), settings.viewer_token.reveal())
    return Starlette(
        routes=[*health.routes(), *api.routes(), *console.routes()],
        middleware=[Middleware(RequestMiddleware, faults=faults, known=known, security=SECURITY)],
        exception_handlers={HTTPException: console.answer_http_error},
        lifespan=lifespan,
    )


def build_rejects(settings: Settings, pool: Pool) -> RejectsDesk:
    """With intake's parser and its limits: BATCH_LIMIT raised for one command is obeyed, too."""

    def read(raw: bytes, hook_action: str | None) -> tuple[list[dict[str, Any]], list[str]]:
        delivery = read_delivery(raw, hook_action, settings.batch_limit)
        flaws = [flaw.detail for flaw in delivery.rejections]
        return [msgspec.structs.asdict(each) for each in delivery.events], flaws

    return RejectsDesk(pool, read)
