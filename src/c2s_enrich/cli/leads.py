"""Leads as C2S has them: `reconcile`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from c2s_enrich.cli.frame import fail, load_settings, run, visible, when

if TYPE_CHECKING:
    from c2s_enrich.ops.reconcile import Report

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def reconcile(
    since: Annotated[str, typer.Option(help="how far to look back: 90m, 24h, 7d")] = "24h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing.")] = False,
) -> None:
    """Ask C2S which leads changed and queue those that no webhook told us about. Takes 6 s for each
    50 leads.
    """
    from c2s_enrich.clock import SystemClock
    from c2s_enrich.database import open_pool
    from c2s_enrich.ops.reconcile import reconcile as reconcile_with
    from c2s_enrich.telemetry.logs import configure_logging
    from c2s_enrich.telemetry.metrics import Metrics
    from c2s_enrich.wiring import open_upstreams

    given = re.fullmatch(r"(\d{1,4})([mhd])", since)
    if given is None:
        fail("--since is a number with m, h or d, for example 24h")
    back = int(given[1]) * _UNITS[given[2]]
    settings = load_settings("poller")
    configure_logging(settings, "reconcile")

    async def asked() -> Report:
        async with (
            open_pool(settings, name="command") as pool,
            open_upstreams(settings, pool, Metrics(), SystemClock()) as to,
        ):
            return await reconcile_with(
                pool,
                to.c2s,
                settings.hash_keys,
                back,
                dry_run,
                max_attempts=settings.max_attempts,
            )

    report = run(asked())
    for missing in report.missing:
        at = when(missing.updated_at)
        typer.echo(f"missing: lead {visible(missing.lead_id)}, changed at {at}")
    typer.echo(
        f"{report.looked_at} leads changed since {when(report.since)}: {report.known} known, "
        f"{report.unchanged} with nothing new, {report.erased} erased, "
        f"{report.unreadable} unreadable, {len(report.missing)} missing; "
        f"{report.inserted} put into the queue"
    )
