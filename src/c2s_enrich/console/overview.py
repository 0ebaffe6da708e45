"""The first page, and the lists of those who work and of what people did."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

from c2s_enrich.console.page import Column, Page, Table, Visit, named
from c2s_enrich.console.store import ConsoleStore
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import parse_filter

_TOP = 5


async def overview(visit: Visit) -> Page:
    """What waits, what fails, how fast it is."""
    visit.only()
    facts, problems = await visit.tools.health.look()
    store, desk = ConsoleStore(visit.tools.reads), EventsDesk(visit.tools.reads)
    numbers, minutes, parked = await store.numbers(), await store.minutes(), await store.parked()
    day = parse_filter({"since": "24h"}, visit.words.zone)
    errors = (await desk.errors(day))[:_TOP]
    queue = facts.queue if facts else None
    cards = [
        (N_("Waiting"), queue and queue.waiting, "/events?status=received", ""),
        *((N_("Wait for"), parked[name], f"/events?waiting={name}", name) for name in parked),
        (N_("In flight"), queue and queue.in_flight, "/events?status=processing", ""),
        (N_("Slots"), numbers.slots, "/pollers", ""),
        (N_("Failed in 24 h"), numbers.failed_day, "/events?status=failed&since=24h", ""),
        (N_("Unclear messages"), queue and queue.messages_unclear, "/messages", ""),
        (N_("Rejects"), queue and queue.rejects_waiting, "/rejects", ""),
    ]
    silence = facts.silence if facts else None
    data = {
        "numbers": numbers,
        "parked": parked,
        "minutes": minutes,
        "errors": errors,
        "problems": [asdict(each) for each in problems],
        "facts": facts,
    }
    context = {
        "cards": cards,
        "due": _span(queue.oldest_due_seconds if queue else None),
        "silent": _span(silence.silent_seconds if silence else None),
        "median": _span(numbers.median),
        "p95": _span(numbers.p95),
        "minutes": minutes,
        "upstreams": facts.upstreams if facts else [],
        "errors": errors,
    }
    return Page("overview.html", N_("Overview"), context, data=data)


async def pollers(visit: Visit) -> Page:
    """Those that work, by their last sign of life."""
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
    rows = await ConsoleStore(visit.tools.reads).pollers()
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
        Column(
            "took",
            N_("Took"),
            lambda row: row.ended_at - row.at if row.ended_at and row.planned > 1 else None,
        ),
    )
    after = str(rows[-1].id) if len(rows) == visit.rows else None
    empty = N_("Nobody has changed anything yet.")
    return Page("list.html", N_("Actions"), table=Table(columns, rows, empty, after))


def _span(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
