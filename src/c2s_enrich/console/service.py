"""The service as a whole: the first page, who works, and the services that we call."""

from collections.abc import Mapping
from typing import Any

from c2s_enrich.console.page import Onward, Page, Table, Visit
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.filters import parse_filter
from c2s_enrich.ops.surface import N_, Refusal
from c2s_enrich.upstreams.limits import UpstreamState

_TOP = 5
_LENGTHS = {"15": N_("15 minutes"), "60": N_("1 hour"), "525600": N_("until resumed")}


async def overview(visit: Visit) -> Page:
    visit.only()
    facts, problems = await visit.tools.health.look()
    [numbers] = await visit.sql().read(dict, "numbers")
    day = parse_filter({"since": "24h"}, visit.words.zone)
    data = {
        "trouble": problems,
        "facts": facts,
        "numbers": numbers,
        "minutes": await visit.sql().read(dict, "minutes"),
        "errors": (await EventsDesk(visit.tools.reads).errors(day))[:_TOP],
    }
    return Page("overview.html", data, data=data)


async def pollers(visit: Visit) -> Page:
    visit.only()
    keys = (
        *("name", "version", "started_at", "beat_at", "beating", "in_flight", "concurrency"),
        *("ended", "lost"),
    )
    return Page("pollers.html", table=Table(await visit.sql().read(dict, "pollers"), keys))


async def upstreams(visit: Visit) -> Page:
    """Every upstream by name: its limits, its last hour, and whom it found."""
    visit.only()
    hours = {each["upstream"]: each for each in await visit.sql().read(dict, "calls")}
    facts, _ = await visit.tools.health.look()
    waiting = {each.name: each.waiting for each in facts.upstreams} if facts else {}

    def row(state: UpstreamState) -> dict[str, Any]:
        left, hour = state.pause_left_seconds, hours.get(state.name)
        hits = [
            f"{rate.kind} {rate.latest_found}/{rate.latest} ({rate.earlier_found}/{rate.earlier})"
            for rate in (facts.rates if facts else [])
            if rate.source == state.name
        ]
        return vars(state) | {
            "state": "in_use" if left is None else "paused" if left > 0 else "probing",
            "waiting": waiting.get(state.name),
            "daily_budget": state.daily_budget or None,
            "median_ms": hour and hour["median"],
            "p95_ms": hour and hour["p95"],
            "failed": hour and f"{hour['failed']}/{hour['calls']}",
            "hits": ", ".join(hits),
        }

    table = Table(
        [row(state) for state in await visit.tools.limits.all()],
        (
            *("name", "state", "paused_since", "paused_until", "reason", "failures", "waiting"),
            *("calls_today", "daily_budget", "every_seconds", "median_ms", "p95_ms", "failed"),
            "hits",
        ),
    )
    return Page("upstreams.html", {"lengths": _LENGTHS}, table)


async def pause(visit: Visit) -> Onward:
    minutes, reason = visit.field("minutes"), visit.reason
    if minutes not in _LENGTHS:
        raise Refusal(422, N_("Choose for how long."))
    done = await visit.tools.limits.pause(visit.part("name"), int(minutes), reason)
    said = N_("%(name)s is paused; events that need it wait.")
    return await _changed(visit, done, said, {"minutes": int(minutes)}, reason)


async def resume(visit: Visit) -> Onward:
    done = await visit.tools.limits.resume(visit.part("name"))
    return await _changed(visit, done, N_("%(name)s is called again; what waited for it is due."))


async def budget(visit: Visit) -> Onward:
    calls = visit.field("calls")
    if not calls.isascii() or not calls.isdigit() or len(calls) > 7:
        raise Refusal(422, N_("A budget is a whole number of calls; 0 is no limit."))
    done = await visit.tools.limits.budget(visit.part("name"), int(calls))
    said = N_("%(name)s has another budget for today; what waited for it is due.")
    return await _changed(visit, done, said, {"calls": int(calls)})


async def _changed(
    visit: Visit, done: bool, said: str, words: Mapping[str, Any] = {}, reason: str | None = None
) -> Onward:
    name = visit.part("name")
    if not done:
        raise Refusal(404, N_("There is no such upstream."))
    await visit.planner().record(visit.verb, {"upstream": name, **words}, reason)
    return visit.onward("/upstreams", said, name=visit.words.code("upstream", name))
