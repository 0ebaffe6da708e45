"""Events and what fails alike: the address is the filter, in the words of the command line."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import psycopg

from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Visit, address, lead_address
from c2s_enrich.console.table import COUNTED, Column, Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import SEARCHED, EventLine, EventsDesk
from c2s_enrich.ops.filters import CHOICES, WORDS
from c2s_enrich.ops.filters import parse_filter as parse

TYPED = ("lead", "hook", "since", "until", "text", "error")


async def events(visit: Visit) -> Page:
    """Newest first. Counted only where a page does not hold them all. What no index finds is looked
    for among some thousand events at a time.
    """
    chosen = parse(visit.query, visit.words.zone)
    desk = EventsDesk(visit.tools.reads)
    floor, floor_event = await desk.floor(chosen, visit.after)
    lines = await desk.events(chosen, visit.rows, visit.after, floor)
    refs = await desk.refs([line.event_id for line in lines])
    full = len(lines) == visit.rows
    total: int | None = len(lines)
    if full or "after" in visit.request.query_params:
        try:
            total = await desk.count(chosen, COUNTED, floor)
        except psycopg.errors.QueryCanceled:
            total = None
    last = lines[-1].event_id if full else floor_event
    table = Table(
        columns=_columns(refs),
        rows=lines,
        empty=N_("No event matches this filter.") if chosen else N_("No webhook has arrived yet."),
        after=str(last) if last else None,
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
        Column("took", N_("Took"), lambda e: e.processed_at and e.processed_at - e.received_at),
        Column("message", N_("Message"), lambda e: " ".join(refs.get(e.event_id, ())) or None),
    )


async def errors(visit: Visit) -> Page:
    """Of the last 24 hours, unless the address says since when."""
    words = {"since": "24h"} | visit.query
    rows = await EventsDesk(visit.tools.reads).errors(parse(words, visit.words.zone))
    columns = (
        named(
            *("error_group", N_("Group")),
            link=lambda row: address("/events", **(words | {"error": row.error_group})),
        ),
        named("error_step", N_("Step")),
        named("error_upstream", N_("Upstream"), codes="upstream"),
        named("error_kind", N_("Kind"), codes="cause"),
        named("newest_message", N_("Newest message")),
        named("events", N_("Events")),
        named("leads", N_("Leads")),
        named("first_at", N_("First")),
        named("newest_at", N_("Last")),
        named("over_time", N_("Over time")),
        named("still_failing", N_("Still failing")),
        named("muted_since", N_("Muted since")),
        Column(
            *("sample", N_("For example"), lambda row: row.newest_event),
            link=lambda row: f"/events/{row.newest_event}",
        ),
    )
    table = Table(columns, rows, N_("No event has had an error in this time."))
    return Page("errors.html", N_("Errors"), {"filter": words}, table)


async def mute(visit: Visit, form: Form) -> Onward:
    """Or `unmute`, by the last word of the address."""
    error = str(visit.request.path_params["error"])
    verb: Literal["mute", "unmute"] = "mute"
    said = N_(
        "No alert counts this error until it is fixed: for a week, or until one of its events is "
        "reprocessed."
    )
    if visit.request.url.path.endswith("/unmute"):
        verb, said = "unmute", N_("Alerts count this error again.")
    if not await EventsDesk(visit.tools.pool).mute(error, verb):
        raise PageRefused(404, N_("No event has this error, or it was not muted."))
    await visit.audit(verb, {"error": error})
    back = {name: form.one(name) for name in WORDS}
    return Onward(address("/errors", **back), visit.say(said))
