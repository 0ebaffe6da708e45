"""The command line. Each command reads the settings, calls one function and turns its answer into
text and an exit status.

Exit status: 0 done · 1 it did not work out · 2 the call or the settings are wrong.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, NoReturn, TypeVar
from uuid import UUID

import psycopg
import typer

from c2s_enrich.clock import SystemClock
from c2s_enrich.database import Pool, open_pool
from c2s_enrich.enrichment.people_store import forget_answers
from c2s_enrich.errors import EnrichError, SettingsError
from c2s_enrich.migrations import migrate as apply_migrations
from c2s_enrich.migrations import pending
from c2s_enrich.ops.events import EventsDesk, Filters
from c2s_enrich.ops.reconcile import Report
from c2s_enrich.ops.reconcile import reconcile as reconcile_with
from c2s_enrich.ops.rejects import RejectsDesk, body_text, line_text
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.erase import erase as erase_from
from c2s_enrich.queue.poller import Poller
from c2s_enrich.redaction import redact_error
from c2s_enrich.sandbox.demo.run import run_demo
from c2s_enrich.sandbox.drill.plan import FAULTS
from c2s_enrich.sandbox.drill.run import run_drill
from c2s_enrich.serving.server import run_server
from c2s_enrich.settings import Process, Settings
from c2s_enrich.telemetry.logs import configure_logging
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Limits
from c2s_enrich.wiring import build_poller, build_rejects, build_web, open_upstreams

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
    once: Annotated[
        bool, typer.Option(help="End by itself when the traffic is worked off.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="The last line is a JSON object.")
    ] = False,
) -> None:
    """Watch leads arrive, get enriched and answered. Brings its own Postgres and simulated
    upstreams.
    """
    raise typer.Exit(_guarded(lambda: run_demo(once=once, as_json=as_json)))


@app.command()
def drill(
    seed: Annotated[
        int,
        typer.Option(help="The same seed gives the same traffic and the same schedule of faults."),
    ] = 1,
    minutes: Annotated[
        float,
        typer.Option(
            min=0.1, help="How long faults strike; starting, draining and the audit come on top."
        ),
    ] = 1,
    events: Annotated[
        int | None,
        typer.Option(min=1, help="Different events in the stream; default: four a second."),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="FAULT", help="Nothing but this fault: " + ", ".join(FAULTS)),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The last line is a JSON object.")
    ] = False,
) -> None:
    """Break everything on purpose and count what was lost, told twice or left behind: all must be
    0. Brings its own Postgres.
    """
    if only is not None and only not in FAULTS:
        _refuse("--only is one of " + ", ".join(FAULTS))
    raise typer.Exit(
        _guarded(
            lambda: run_drill(seed=seed, minutes=minutes, events=events, only=only, as_json=as_json)
        )
    )


@app.command()
def web(
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Start without WEBHOOK_SECRET; needs HOST=127.0.0.1.")
    ] = False,
) -> None:
    """Receive webhooks until SIGTERM. Stores them and does nothing else."""
    settings = _settings("web", {"INSECURE": "true"} if insecure else None)
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
    """Bring the database to the newest schema. Safe to run twice, and from several machines at
    once.
    """
    settings = _settings("migrate")
    applied = _run(apply_migrations(settings.direct_url.reveal()))
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("nothing to do: the schema is up to date")


events = typer.Typer(help="Look at events, and send them through again.", no_args_is_help=True)
messages = typer.Typer(
    help="Messages that are not proven to be delivered, and a person's verdict on them.",
    no_args_is_help=True,
)
upstreams = typer.Typer(help="The services we call: pauses, limits, budgets.", no_args_is_help=True)
rejects = typer.Typer(
    help="Deliveries that were no readable event, kept whole: look, and replay them.",
    no_args_is_help=True,
)
app.add_typer(events, name="events")
app.add_typer(messages, name="messages")
app.add_typer(upstreams, name="upstreams")
app.add_typer(rejects, name="rejects")

Status = Annotated[str | None, typer.Option(help="received, processing, completed or failed")]
Lead = Annotated[str | None, typer.Option(help="C2S's id of the lead")]
Kind = Annotated[str | None, typer.Option(help="error kind, for example upstream_unavailable")]
Hours = Annotated[
    float | None, typer.Option("--hours", help="only those received within so many hours")
]


@events.command("list")
def list_events(
    status: Status = None,
    lead: Lead = None,
    kind: Kind = None,
    hours: Hours = None,
    limit: int = 20,
) -> None:
    """The newest events."""
    for line in _at_the_desk(lambda desk: desk.events(_filters(status, lead, kind, hours), limit)):
        end = (
            line.outcome
            or line.error_message
            or ("waits for " + line.waiting_for if line.waiting_for else "")
        )
        typer.echo(
            f"{line.received_at:%Y-%m-%d %H:%M:%S}  {line.id}  {line.lead_id}  {line.status}  {line.attempts}/{line.max_attempts}  {end}"
        )


@events.command("show")
def show_event(event_id: UUID) -> None:
    """One event with every attempt: who, how long, which steps, how it ended."""
    lines = _at_the_desk(lambda desk: desk.events(Filters(ids=(event_id,)), 1))
    if not lines:
        _refuse(f"there is no event {event_id}")
    [line] = lines
    typer.echo(
        f"{line.id}  lead {line.lead_id}  {line.status}  {line.outcome or line.error_kind or ''}  {line.error_message or ''}"
    )
    for attempt in _at_the_desk(lambda desk: desk.history(event_id)):
        steps = " ".join(
            f"{name}={milliseconds:g}ms" for name, milliseconds in attempt.steps.items()
        )
        typer.echo(
            f"  {attempt.started_at:%H:%M:%S}  {attempt.worker}  {attempt.result}  {attempt.error_message or ''}  {steps}"
        )
        for note in attempt.notes:
            typer.echo(f"    {note}")


@events.command("reprocess")
def reprocess_events(
    event_ids: Annotated[list[UUID] | None, typer.Argument(help="events by id")] = None,
    status: Status = None,
    lead: Lead = None,
    kind: Kind = None,
    hours: Hours = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Ask the sources again, and pay for it, instead of using what they said.",
        ),
    ] = False,
) -> None:
    """Send events through again. The seller is told nothing that was told before."""
    filters = replace(
        _filters(status, lead, kind, hours), ids=tuple(event_ids) if event_ids else None
    )
    if not filters:
        _refuse("say which events: ids, --status, --lead, --kind or --hours")

    async def reprocess(pool: Pool, _: Settings) -> int:
        desk = EventsDesk(pool)
        if fresh:
            await forget_answers(
                pool, [line.lead_id for line in await desk.events(filters, limit=None)]
            )
        return len(await desk.reprocess(filters))

    typer.echo(f"{_with_pool(reprocess)} events are received again")


@messages.command("list")
def list_messages() -> None:
    """Every message that is pending or whose delivery is unclear."""
    for line in _at_the_desk(lambda desk: desk.open_messages()):
        state = f"{line.status}, sent {line.sends} time(s), not found {line.looks} time(s)"
        typer.echo(
            f"{line.id}  lead {line.lead_id}  ref {line.ref}  {state}  event {line.event_status} {line.event_error_kind or ''}"
        )


@messages.command("delivered")
def message_was_delivered(message_id: UUID) -> None:
    """A person has seen the message on the lead."""
    _judge(message_id, delivered=True)


@messages.command("not-delivered")
def message_was_not_delivered(message_id: UUID) -> None:
    """A person has looked and the message is not there: it is sent (again)."""
    _judge(message_id, delivered=False)


@upstreams.command("list")
def list_upstreams() -> None:
    """Every upstream with its pause, its rate limit and today's calls."""
    for state in _with_limits(lambda limits: limits.all()):
        pause = (
            f"paused, {state.pause_left.total_seconds():.0f} s left: {state.reason}"
            if state.pause_left is not None
            else "open"
        )
        budget = (
            f"{state.calls_today} of {state.daily_budget} calls today"
            if state.daily_budget
            else "no budget"
        )
        typer.echo(
            f"{state.name}  {pause}  {state.failures} failures in a row  every {state.min_interval.total_seconds():g} s  {budget}"
        )


@upstreams.command("pause")
def pause_upstream(name: str, minutes: float = 15, reason: str = "paused by hand") -> None:
    """No poller calls it for so many minutes."""
    if not _with_limits(lambda limits: limits.pause(name, minutes, reason)):
        _refuse(f"there is no upstream {name}")


@upstreams.command("resume")
def resume_upstream(name: str) -> None:
    """End its pause; the events that wait for it are due at once."""
    if not _with_limits(lambda limits: limits.resume(name)):
        _refuse(f"there is no upstream {name}")


Reason = Annotated[str | None, typer.Option(help="why they were rejected, for example not_json")]


@rejects.command("list")
def list_rejects(
    reason: Reason = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that were replayed, too.")
    ] = False,
    limit: int = 20,
) -> None:
    """The newest rejected deliveries, without what is in them."""
    for line in _at_the_rejects(
        lambda desk: desk.rejects(waiting_only=not everything, reason=reason, limit=limit)
    ):
        state = f"replayed {line.replayed_at:%Y-%m-%d %H:%M:%S}" if line.replayed_at else "waits"
        lead = line_text(line.lead_id) or "-"
        typer.echo(
            f"{line.received_at:%Y-%m-%d %H:%M:%S}  {line.id}  {line.reason}  lead {lead}  {line.size} bytes  {state}"
        )


@rejects.command("show")
def show_reject(
    reject_id: UUID,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show names, contacts and all the rest as it arrived.")
    ] = False,
) -> None:
    """One rejected delivery with its text. What may be about a person is masked."""
    reject = _at_the_rejects(lambda desk: desk.reject(reject_id))
    if reject is None:
        _refuse(f"there is no rejected delivery {reject_id}")
    typer.echo(
        f"{reject.id}  lead {line_text(reject.lead_id) or '-'}  {reject.reason}  {line_text(reject.detail)}"
    )
    typer.echo(f"  received {reject.received_at:%Y-%m-%d %H:%M:%S %Z}  {reject.size} bytes")
    if reject.replayed_at is not None:
        typer.echo(f"  replayed {reject.replayed_at:%Y-%m-%d %H:%M:%S %Z}")
    for name, value in reject.headers.items():
        typer.echo(f"  {line_text(name)}: {line_text(str(value))}")
    typer.echo(body_text(reject.raw, reveal=reveal))


@rejects.command("replay")
def replay_rejects(
    reject_ids: Annotated[
        list[UUID] | None, typer.Argument(help="rejected deliveries by id")
    ] = None,
    reason: Reason = None,
) -> None:
    """Send their bytes through today's parser. Events come into the queue; what still is none
    stays. Safe to run twice.

    A body whose id and updated_at are taken by another one becomes an event a microsecond later:
    both are kept and worked off in order.
    """
    if bool(reject_ids) == (reason is not None):
        _refuse("say which rejected deliveries: ids, or --reason")

    async def replay(pool: Pool, settings: Settings) -> bool:
        desk = build_rejects(settings, pool)
        chosen = list(reject_ids or [])
        if reason is not None:
            # Oldest first: the order in which they came.
            chosen = [
                line.id
                for line in reversed(
                    await desk.rejects(waiting_only=True, reason=reason, limit=None)
                )
            ]
        stays = 0
        for reject_id in chosen:
            done = await desk.replay(reject_id)
            if done is None:
                _refuse(f"there is no rejected delivery {reject_id}")
            elif done.already_at is not None:
                typer.echo(
                    f"{reject_id}  was replayed already, at {done.already_at:%Y-%m-%d %H:%M:%S %Z}"
                )
            else:
                more = f" (and {len(done.flaws) - 3} more)" if len(done.flaws) > 3 else ""
                flaws = "".join(f"; {flaw}" for flaw in done.flaws[:3]) + more
                typer.echo(f"{reject_id}  {done.stored} events stored, {done.known} known{flaws}")
                stays += bool(done.flaws)
        typer.echo(
            f"{len(chosen)} looked at, {stays} stay as they are"
            if stays
            else f"{len(chosen)} looked at, none stays"
        )
        return not stays

    if not _with_pool(replay):
        raise typer.Exit(1)


@app.command()
def erase(
    lead: Annotated[str | None, typer.Option(help="C2S's id of the lead")] = None,
    cpf_stdin: Annotated[
        bool,
        typer.Option(
            "--cpf-stdin", help="Read the person's CPF from standard input, never from the call."
        ),
    ] = False,
) -> None:
    """Remove a lead, or a person with all their leads, from every table (LGPD). Cannot be undone;
    prints a receipt that names nobody.
    """
    if (lead is None) != cpf_stdin:
        _refuse("say who: --lead ID, or --cpf-stdin with the CPF on standard input")
    cpf = Cpf.parse(sys.stdin.readline().strip()) if cpf_stdin else None
    if cpf_stdin and cpf is None:
        _refuse("what came on standard input is no CPF")
    receipt = _with_pool(lambda pool, _: erase_from(pool, lead_id=lead, cpf=cpf))
    typer.echo(
        f"receipt {receipt.id}  erased at {receipt.erased_at:%Y-%m-%d %H:%M:%S %Z}  asked for by {receipt.asked_by}"
    )
    for table, count in receipt.counts.items():
        typer.echo(f"  {table}  {count}")


@app.command()
def reconcile(
    since: Annotated[str, typer.Option(help="how far to look back: 90m, 24h, 7d")] = "24h",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing.")] = False,
) -> None:
    """Ask C2S which leads changed, and put those of which no webhook told us into the queue. Takes
    6 s for each 50 leads.
    """
    given = re.fullmatch(r"(\d{1,4})([mhd])", since)
    if given is None:
        _refuse("--since is a number with m, h or d, for example 24h")
    back = (
        int(given[1])
        * {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}[given[2]]
    )
    settings = _settings("poller")
    configure_logging(settings, "reconcile")

    async def asked() -> Report:
        async with open_pool(settings, name="command") as pool:
            async with open_upstreams(settings, pool, Metrics(), SystemClock()) as to:
                return await reconcile_with(
                    pool, to.c2s, back, dry_run, max_attempts=settings.max_attempts
                )

    report = _run(asked())
    for missing in report.missing:
        typer.echo(
            f"missing: lead {missing.lead_id}, changed at {missing.updated_at:%Y-%m-%d %H:%M:%S %Z}"
        )
    typer.echo(
        f"{report.looked_at} leads changed since {report.since:%Y-%m-%d %H:%M:%S %Z}: {report.known} known,"
        f" {report.unchanged} with nothing new, {report.erased} erased, {report.unreadable} unreadable, {len(report.missing)} missing;"
        f" {report.inserted} put into the queue"
    )


@app.command()
def doctor() -> None:
    """Check what can be checked from here: settings of every process, the database, its schema."""
    healthy = True
    for process in ("web", "poller"):
        try:
            Settings.load(os.environ, process)
        except SettingsError as error:
            healthy = False
            for problem in error.problems:
                typer.echo(f"{process}: {problem}")
        else:
            typer.echo(f"{process}: its settings are complete")
    settings = _settings("migrate")
    waiting = _run(pending(settings.direct_url.reveal()))
    typer.echo(
        f"database: answers, {len(waiting)} migrations to apply"
        if waiting
        else "database: answers, its schema is up to date"
    )
    raise typer.Exit(0 if healthy and not waiting else 1)


def _filters(
    status: str | None, lead: str | None, kind: str | None, hours: float | None
) -> Filters:
    return Filters(
        lead_id=lead,
        status=status,
        error_kind=kind,
        since=None if hours is None else timedelta(hours=hours),
    )


def _judge(message_id: UUID, *, delivered: bool) -> None:
    if not _at_the_desk(lambda desk: desk.judge(message_id, delivered=delivered)):
        _refuse(f"there is no open message {message_id} of which this can be said")


def _at_the_desk(ask: Callable[[EventsDesk], Awaitable[T]]) -> T:
    return _with_pool(lambda pool, _: ask(EventsDesk(pool)))


def _at_the_rejects(ask: Callable[[RejectsDesk], Awaitable[T]]) -> T:
    return _with_pool(lambda pool, settings: ask(build_rejects(settings, pool)))


def _with_limits(ask: Callable[[Limits], Awaitable[T]]) -> T:
    return _with_pool(lambda pool, settings: ask(Limits(pool, settings, SystemClock())))


def _with_pool(ask: Callable[[Pool, Settings], Awaitable[T]]) -> T:
    settings = _settings("migrate")

    async def asked() -> T:
        async with open_pool(settings, name="command") as pool:
            return await ask(pool, settings)

    return _run(asked())


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"error: {sentence}", err=True)
    raise typer.Exit(2)


async def _run_poller(settings: Settings) -> None:
    async with build_poller(settings, Metrics()) as built:
        _stop_on_signals(built)
        await built.run()


def _stop_on_signals(built: Poller) -> None:
    """The first signal lets the poller finish what it holds, the second makes it give everything
    back at once.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, built.stop)


def _settings(process: Process, said: Mapping[str, str] | None = None) -> Settings:
    """`said` on the command line counts more than the environment."""
    try:
        return Settings.load({**os.environ, **(said or {})}, process)
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
    except (EnrichError, psycopg.Error) as error:
        typer.echo(f"error: {redact_error(error)}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def main() -> None:
    """The console script's entry."""
    app()
