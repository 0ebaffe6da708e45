"""The first page, and the lists of those who work and of what people did."""

from c2s_enrich.console.page import Page, Visit
from c2s_enrich.console.table import Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.database import Statements
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import parse_filter

_TOP = 5


async def overview(visit: Visit) -> Page:
    visit.only()
    facts, problems = await visit.tools.health.look()
    sql, desk = Statements(visit.tools.reads, "console"), EventsDesk(visit.tools.reads)
    [numbers] = await sql.read(dict, "numbers")
    day = parse_filter({"since": "24h"}, visit.words.zone)
    data = {
        "trouble": problems,
        "facts": facts,
        "numbers": numbers,
        "minutes": await sql.read(dict, "minutes"),
        "errors": (await desk.errors(day))[:_TOP],
    }
    return Page("overview.html", N_("Overview"), data, data=data)


async def pollers(visit: Visit) -> Page:
    visit.only()
    columns = (
        named("name", N_("Poller")),
        named("version", N_("Version")),
        named("started_at", N_("Since")),
        named("beat_at", N_("Last sign of life")),
        named("beating", N_("Alive")),
        named("in_flight", N_("In flight")),
        named("concurrency", N_("Slots")),
        named("ended", N_("Ended in 1 h")),
        named("lost", N_("Claims lost in 1 h")),
    )
    empty = N_("No poller runs: start one with `c2s-enrich poller`.")
    rows = await Statements(visit.tools.reads, "console").read(dict, "pollers")
    return Page("list.html", N_("Pollers"), table=Table(columns, rows, empty))


async def actions(visit: Visit) -> Page:
    """What people did, newest first: by command, API and page."""
    visit.only()
    rows = await visit.planner().states(visit.rows, visit.after)
    columns = (
        named("at", N_("When"), link=lambda row: f"/actions/{row.id}"),
        named("actor", N_("Who")),
        named("via", N_("From")),
        named("verb", N_("What"), codes="verb"),
        named("filter", N_("Filter")),
        named("reason", N_("Reason")),
        named("planned", N_("Planned")),
        named("done", N_("Done")),
        named("skipped", N_("Left out")),
        named("state", N_("State"), codes="action"),
        named("ended_at", N_("Ended")),
    )
    after = str(rows[-1].id) if len(rows) == visit.rows else None
    empty = N_("Nobody has changed anything yet.")
    return Page("list.html", N_("Actions"), table=Table(columns, rows, empty, after))
