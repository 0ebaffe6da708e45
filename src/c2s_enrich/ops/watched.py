"""How each process is watched: /health, metrics and alerts."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from c2s_enrich.clock import Clock, SystemClock
from c2s_enrich.database import Pool
from c2s_enrich.ops.alerts import Alerts
from c2s_enrich.ops.health import Health, Signals
from c2s_enrich.ops.store import OpsStore
from c2s_enrich.serving.monitor import monitor
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.logs import log_stream
from c2s_enrich.telemetry.metrics import Metrics


def build_health(
    settings: Settings, pool: Pool, metrics: Metrics, clock: Clock, signals: Signals
) -> Health:
    log = log_stream()

    def problems() -> list[str]:
        told = log.problem() if log is not None else None
        return [*signals.problems(), *([told] if told else [])]

    if log is not None:
        metrics.watch("log_lines_dropped", "Log lines that were lost", lambda: log.dropped)
    health = Health(OpsStore(pool), clock, replace(signals, problems=problems), settings)
    metrics.describe(health, version=health.release, schema=health.schema)
    metrics.watch_pool(pool.get_stats)
    return health


@asynccontextmanager
async def watch(
    settings: Settings, pool: Pool, metrics: Metrics, health: Health, process: str, watched: bool
) -> AsyncIterator[str | None]:
    """Serves METRICS_PORT (yields its address) and sends alerts while inside, where `watched`."""
    if not watched:
        yield None
        return
    sender = Alerts(
        pool,
        health,
        SystemClock(),
        url=settings.alert_webhook_url,
        process=f"{process} on {socket.gethostname()[:30]}",
        income_from=settings.alert_income_from if process == "poller" else 0,
        lead_link=settings.lead_link,
    )
    async with monitor(settings, metrics, health.routes(), health.refresh) as address:
        alerting = asyncio.create_task(sender.run()) if settings.alert_webhook_url else None
        try:
            yield address
        finally:
            if alerting is not None:
                alerting.cancel()
