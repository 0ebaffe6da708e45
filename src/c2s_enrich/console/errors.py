"""Errors in groups: what fails alike, and the way to all of it."""

from typing import Literal

from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Visit, address
from c2s_enrich.console.table import Column, Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import WORDS, parse_filter


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
        named("muted_since", N_("Muted since")),
        Column(
            *("sample", N_("For example"), lambda row: row.newest_event),
            link=lambda row: f"/events/{row.newest_event}",
        ),
    )
    table = Table(columns, rows, N_("No event has had an error in this time."))
    return Page("errors.html", N_("Errors"), {"filter": words}, table)


async def mute(visit: Visit, form: Form) -> Onward:
    said = N_(
        "No alert counts this error until it is fixed: for a week, or until one of its events is "
        "reprocessed."
    )
    return await _muted(visit, form, "mute", said)


async def unmute(visit: Visit, form: Form) -> Onward:
    return await _muted(visit, form, "unmute", N_("Alerts count this error again."))


async def _muted(visit: Visit, form: Form, verb: Literal["mute", "unmute"], said: str) -> Onward:
    error = str(visit.request.path_params["error"])
    if not await EventsDesk(visit.tools.pool).mute(error, verb):
        raise PageRefused(404, N_("No event has this error, or it was not muted."))
    await visit.audit(verb, {"error": error})
    back = {name: form.one(name) for name in WORDS}
    return Onward(address("/errors", **back), visit.say(said))
