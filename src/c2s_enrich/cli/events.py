"""`events`: list, show, reprocess."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

import typer

from c2s_enrich.cli.frame import AsJson, fail, group, print_table, visible, when, with_pool

if TYPE_CHECKING:
    from c2s_enrich.database import Pool
    from c2s_enrich.ops.events import EventLine, EventsDesk, Filters
    from c2s_enrich.settings import Settings

T = TypeVar("T")

app = group("Inspect and reprocess events.")

Status = Annotated[str | None, typer.Option(help="received, processing, completed or failed")]
Lead = Annotated[str | None, typer.Option(help="C2S's id of the lead")]
Kind = Annotated[str | None, typer.Option(help="error kind, for example upstream_unavailable")]
Hours = Annotated[float | None, typer.Option(help="only those received in the last HOURS")]


@app.command("list")
def list_events(
    status: Status = None,
    lead: Lead = None,
    kind: Kind = None,
    hours: Hours = None,
    limit: int = 20,
    as_json: AsJson = False,
) -> None:
    """The newest events."""
    print_table(
        at_the_desk(lambda desk: desk.events(_filters(status, lead, kind, hours), limit)),
        {
            "received": lambda line: line.received_at,
            "event": lambda line: line.id,
            "lead": lambda line: line.lead_id,
            "status": lambda line: line.status,
            "attempts": lambda line: f"{line.attempts}/{line.max_attempts}",
            "why": _why,
        },
        as_json=as_json,
        empty="No event matches.",
    )


@app.command("show")
def show_event(event_id: UUID) -> None:
    """One event with every attempt: who, how long, which steps, how it ended."""
    from c2s_enrich.ops.events import Filters

    lines = at_the_desk(lambda desk: desk.events(Filters(ids=(event_id,)), 1))
    if not lines:
        fail(f"there is no event {event_id}")
    [line] = lines
    end = f"{line.outcome or line.error_kind or ''}  {visible(line.error_message)}"
    typer.echo(f"{line.id}  lead {visible(line.lead_id)}  {line.status}  {end}")
    for attempt in at_the_desk(lambda desk: desk.history(event_id)):
        steps = " ".join(f"{step['step']}={step['ms'] or 0:g}ms" for step in attempt.steps)
        end = f"{attempt.result}  {visible(attempt.error_message)}  {steps}"
        typer.echo(f"  {when(attempt.started_at)}  {attempt.worker}  {end}")


@app.command("reprocess")
def reprocess_events(
    event_ids: Annotated[list[UUID] | None, typer.Argument(help="events by id")] = None,
    status: Status = None,
    lead: Lead = None,
    kind: Kind = None,
    hours: Hours = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Ask the sources again, and pay again, for these leads."),
    ] = False,
) -> None:
    """Run events again. A seller never gets the same message twice."""
    from c2s_enrich.enrichment.people_store import forget_answers
    from c2s_enrich.ops.events import EventsDesk

    ids = tuple(event_ids) if event_ids else None
    filters = replace(_filters(status, lead, kind, hours), ids=ids)
    if not filters:
        fail("no events selected: give ids, --status, --lead, --kind or --hours")

    async def reprocess(pool: Pool, _: Settings) -> int:
        desk = EventsDesk(pool)
        if fresh:
            lines = await desk.events(filters, limit=None)
            await forget_answers(pool, [line.lead_id for line in lines])
        return len(await desk.reprocess(filters))

    count = with_pool(reprocess)
    typer.echo(f"Queued {count} event{'' if count == 1 else 's'} for reprocessing.")


def at_the_desk(ask: Callable[[EventsDesk], Awaitable[T]]) -> T:
    """What the operators' desk for events and messages answers."""
    from c2s_enrich.ops.events import EventsDesk

    return with_pool(lambda pool, _: ask(EventsDesk(pool)))


def _why(line: EventLine) -> str:
    waiting = f"waits for {line.waiting_for}" if line.waiting_for else ""
    return line.outcome or line.error_message or waiting


def _filters(
    status: str | None, lead: str | None, kind: str | None, hours: float | None
) -> Filters:
    from c2s_enrich.ops.events import Filters

    since = None if hours is None else timedelta(hours=hours)
    return Filters(lead_id=lead, status=status, error_kind=kind, since=since)
