"""The services that we call: their state, their last hour, and what a person may change."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Visit
from c2s_enrich.console.table import Column, Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.database import Statements
from c2s_enrich.upstreams.limits import UpstreamState

_LENGTHS = {"15": N_("15 minutes"), "60": N_("1 hour"), "525600": N_("until resumed")}


async def upstreams(visit: Visit) -> Page:
    """Every upstream by name: its limits, its last hour, and whom it found."""
    visit.only()
    hours = await Statements(visit.tools.reads, "console").read(dict, "calls")
    calls = {each["upstream"]: each for each in hours}
    facts, _ = await visit.tools.health.look()
    waiting = {each.name: each.waiting for each in facts.upstreams} if facts else {}

    def hour(read: Callable[[dict[str, Any]], Any]) -> Callable[[UpstreamState], Any]:
        return lambda row: read(calls[row.name]) if row.name in calls else None

    def hits(row: UpstreamState) -> str:
        return ", ".join(
            f"{rate.kind} {rate.latest_found}/{rate.latest} ({rate.earlier_found}/{rate.earlier})"
            for rate in (facts.rates if facts else [])
            if rate.source == row.name
        )

    columns = (
        named("name", N_("Upstream"), codes="upstream"),
        Column("state", N_("State"), _state, codes="pause"),
        named("paused_since", N_("Paused since")),
        named("paused_until", N_("Until")),
        named("reason", N_("Why")),
        named("failures", N_("Failures in a row")),
        Column(
            *("waiting", N_("Waiting events"), lambda row: waiting.get(row.name)),
            link=lambda row: f"/events?waiting={row.name}",
        ),
        named("calls_today", N_("Calls today")),
        Column("daily_budget", N_("Budget"), lambda row: row.daily_budget or None),
        named("every_seconds", N_("Seconds between calls")),
        Column("median_ms", N_("Median ms, 1 h"), hour(itemgetter("median"))),
        Column("p95_ms", N_("p95 ms, 1 h"), hour(itemgetter("p95"))),
        Column("failed", N_("Failed, 1 h"), hour("{failed}/{calls}".format_map)),
        Column("hits", N_("Found somebody: latest (before)"), hits),
    )
    empty = N_("No upstream is known yet: the first poller that starts writes them down.")
    table = Table(columns, await visit.tools.limits.all(), empty)
    return Page("upstreams.html", N_("Upstreams"), {"lengths": _LENGTHS}, table)


def _state(row: UpstreamState) -> str:
    left = row.pause_left_seconds
    return "in_use" if left is None else "paused" if left > 0 else "probing"


async def pause(visit: Visit, form: Form) -> Onward:
    minutes, reason = form.one("minutes"), form.reason
    if minutes not in _LENGTHS:
        raise PageRefused(422, N_("Choose for how long."))
    done = await visit.tools.limits.pause(_name(visit), int(minutes), reason)
    said = N_("%(name)s is paused; events that need it wait.")
    return await _changed(visit, done, "pause", {"minutes": int(minutes)}, reason, said)


async def resume(visit: Visit, _: Form) -> Onward:
    done = await visit.tools.limits.resume(_name(visit))
    said = N_("%(name)s is called again; what waited for it is due.")
    return await _changed(visit, done, "resume", {}, None, said)


async def budget(visit: Visit, form: Form) -> Onward:
    calls = form.one("calls")
    if not calls.isascii() or not calls.isdigit() or len(calls) > 7:
        raise PageRefused(422, N_("A budget is a whole number of calls; 0 is no limit."))
    done = await visit.tools.limits.budget(_name(visit), int(calls))
    said = N_("%(name)s has another budget for today; what waited for it is due.")
    return await _changed(visit, done, "budget", {"calls": int(calls)}, None, said)


async def _changed(
    visit: Visit, done: bool, verb: str, words: dict[str, Any], reason: str | None, said: str
) -> Onward:
    name = _name(visit)
    if not done:
        raise PageRefused(404, N_("There is no such upstream."))
    await visit.audit(verb, {"upstream": name} | words, reason)
    return Onward("/upstreams", visit.say(said, name=visit.words.code("upstream", name)))


def _name(visit: Visit) -> str:
    return str(visit.request.path_params["name"])
