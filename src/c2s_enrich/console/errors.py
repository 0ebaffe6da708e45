"""Errors in groups: what fails alike, and the way to all of it."""

from __future__ import annotations

from c2s_enrich.console.page import Column, Page, Table, Visit, address, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import parse_filter


async def errors(visit: Visit) -> Page:
    """Of the last 24 hours, unless the address says since when."""
    words = {"since": "24h"} | visit.query
    rows = await EventsDesk(visit.tools.reads).errors(parse_filter(words, visit.words.zone))
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
        Column(
            *("sample", N_("For example"), lambda row: row.newest_event),
            link=lambda row: f"/events/{row.newest_event}",
        ),
    )
    table = Table(columns, rows, N_("No event has had an error in this time."))
    return Page("errors.html", N_("Errors"), {"filter": words}, table)
