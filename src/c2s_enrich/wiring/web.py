"""Where the objects of the web process meet."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from c2s_enrich.clock import Clock
from c2s_enrich.database import open_pool
from c2s_enrich.intake.metrics import IntakeMetrics, every_minute
from c2s_enrich.intake.openapi import openapi_route
from c2s_enrich.intake.refusals import Refusals
from c2s_enrich.intake.webhook import WebApp, Webhook
from c2s_enrich.intake.writer import Writer
from c2s_enrich.ops.alerts import watch
from c2s_enrich.ops.health import Signals, build_health
from c2s_enrich.serving.middleware import RequestMiddleware, answer_http_error
from c2s_enrich.serving.problem import Faults
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics


def build_web(
    settings: Settings, metrics: Metrics, *, clock: Clock | None = None, watched: bool = False
) -> WebApp:
    """An ASGI app whose lifespan opens pool and writer; what was accepted is written at its end."""
    clock = clock or Clock()
    intake, faults = IntakeMetrics(), Faults(clock)
    refusals = Refusals(faults)
    metrics.registry.register(intake)
    pool = open_pool(settings, name="web")
    writer = Writer(pool, settings)

    signals = Signals(faults.sentences, intake.summary)
    health = build_health(settings, pool, metrics, clock, signals)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = watch(settings, pool, metrics, health, "web", watched)
        async with pool, writer, every_minute(pool, intake, refusals, clock), watching:
            yield

    known = (settings.webhook_secret.reveal(), settings.webhook_secret_previous.reveal())
    return WebApp(
        RequestMiddleware(
            Webhook(settings, writer, intake, refusals, faults, random.SystemRandom()),
            faults,
            known,
        ),
        routes=[
            *health.routes(),
            openapi_route(settings.body_limit, settings.batch_limit),
        ],
        middleware=[Middleware(RequestMiddleware, faults=faults, known=known)],
        exception_handlers={HTTPException: answer_http_error},
        lifespan=lifespan,
    )
