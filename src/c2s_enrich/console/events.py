"""The list of events: the address is the filter, in the words of the command line."""

from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from c2s_enrich.console.page import Page, Visit, lead_address
from c2s_enrich.console.table import COUNTED, Column, Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import SEARCHED, EventLine, EventsDesk
from c2s_enrich.ops.filters import KINDS, OUTCOMES, REASONS, STATUSES, UPSTREAMS
from c2s_enrich.ops.filters import parse_filter as parse

# What a person picks from; the other words are typed.
CHOICES = {
    "status": STATUSES,
    "outcome": OUTCOMES,
    "kind": KINDS,
    "waiting": UPSTREAMS,
    "reason": REASONS,
    "upstream": UPSTREAMS,
}
TYPED = ("lead", "hook", "since", "until", "text", "error")


async def events(visit: Visit) -> Page:
    """Newest first. Counted only where a page does not hold them all. What no index finds is looked
    for among some thousand events at a time.
    """
    chosen = parse(visit.query, visit.words.zone)
    desk = EventsDesk(visit.tools.reads)
    floor = await desk.floor(chosen, visit.after)
    lines = await desk.events(chosen, visit.rows, visit.after, floor)
    refs = await desk.refs([line.event_id for line in lines])
    full = len(lines) == visit.rows
    total: int | None = len(lines)
    if full or "after" in visit.request.query_params:
        try:
            total = await desk.count(chosen, COUNTED, floor)
        except psycopg.errors.QueryCanceled:
            total = None
    last = lines[-1] if full else floor
    table = Table(
        columns=_columns(refs),
        rows=lines,
        empty=N_("No event matches this filter.") if chosen else N_("No webhook has arrived yet."),
        after=str(last.event_id) if last else None,
        total=total,
        id=lambda line: str(line.event_id),
    )
    context = {
        "filter": visit.query, "choices": CHOICES, "typed": TYPED, "searched": floor and SEARCHED,
    }  # fmt: skip
    return Page("events.html", N_("Events"), context, table)


def _columns(refs: dict[UUID, tuple[str, str]]) -> tuple[Column, ...]:
    def cause(line: EventLine) -> str | None:
        return line.error_kind or line.outcome or line.waiting_reason

    def message(line: EventLine) -> str | None:
        return " ".join(refs[line.event_id]) if line.event_id in refs else None

    def took(line: EventLine) -> timedelta | None:
        return line.processed_at - line.received_at if line.processed_at else None

    def waits(line: EventLine) -> datetime | None:
        return line.available_at if line.status == "received" else None

    return (
        named("received_at", N_("Received")),
        named("event_id", N_("Event"), link=lambda e: f"/events/{e.event_id}"),
        named("lead_id", N_("Lead"), link=lambda e: lead_address(e.lead_id)),
        named("hook_action", N_("Hook")),
        named("status", N_("Status"), codes="status"),
        Column("cause", N_("Outcome or cause"), cause, codes="cause"),
        Column("error", N_("Error"), lambda line: line.error_message),
        Column("tries", N_("Try"), lambda line: f"{line.attempts}/{line.max_attempts}"),
        named("waiting_for", N_("Waits for"), codes="upstream"),
        Column("waits_until", N_("Waits until"), waits),
        Column("took", N_("Took"), took),
        Column("message", N_("Message"), message),
    )
