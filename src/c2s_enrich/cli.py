"""The command line. Each command reads the settings, calls one function and turns its answer into text and an exit status.

Exit status: 0 done · 1 it did not work out · 2 the call or the settings are wrong.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer

from c2s_enrich.demo.run import run_demo
from c2s_enrich.errors import EnrichError, SettingsError
from c2s_enrich.intake.server import run_server
from c2s_enrich.migrations import migrate as apply_migrations
from c2s_enrich.queue.poller import Poller
from c2s_enrich.redaction import redact_error
from c2s_enrich.settings import Process, Settings
from c2s_enrich.telemetry import Metrics, configure_logging
from c2s_enrich.wiring import build_poller, build_web

T = TypeVar("T")

app = typer.Typer(
    name="c2s-enrich",
    help="A Contact2Sale webhook in, one message on the lead, everything in Postgres.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="End by itself when the traffic is worked off.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The last line is a JSON object.")] = False,
) -> None:
    """Watch leads arrive, get enriched and answered. Brings its own Postgres and simulated upstreams."""
    raise typer.Exit(_guarded(lambda: run_demo(once=once, as_json=as_json)))


@app.command()
def web() -> None:
    """Receive webhooks until SIGTERM. Stores them and does nothing else."""
    settings = _settings("web")
    configure_logging(settings, "web")
    run_server(build_web(settings, Metrics()), settings)


@app.command()
def poller() -> None:
    """Work on events until SIGTERM. Several pollers may run at once."""
    settings = _settings("poller")
    configure_logging(settings, "poller")
    _run(_run_poller(settings))


@app.command()
def migrate() -> None:
    """Bring the database to the newest schema. Safe to run twice, and from several machines at once."""
    settings = _settings("migrate")
    applied = _run(apply_migrations(settings.direct_url.reveal()))
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("nothing to do: the schema is up to date")


async def _run_poller(settings: Settings) -> None:
    async with build_poller(settings, Metrics()) as built:
        _stop_on_signals(built)
        await built.run()


def _stop_on_signals(built: Poller) -> None:
    """The first signal lets the poller finish what it holds, the second makes it give everything back at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, built.stop)


def _settings(process: Process) -> Settings:
    try:
        return Settings.load(os.environ, process)
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(2) from None


def _run(work: Coroutine[Any, Any, T]) -> T:
    return _guarded(lambda: asyncio.run(work))


def _guarded(work: Callable[[], T]) -> T:
    """Does it; an error that the user can do something about becomes one line and exit status 1."""
    try:
        return work()
    except EnrichError as error:
        typer.echo(f"error: {redact_error(error)}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def main() -> None:
    """The console script's entry."""
    app()
