"""The services that we call: their state, their last hour, and what a person may change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from c2s_enrich.console.page import (
    Form,
    Onward,
    Page,
    PageRefused,
    Table,
    Visit,
    named,
    reason_of,
)
from c2s_enrich.console.store import ConsoleStore
from c2s_enrich.console.words import N_

_LENGTHS = {"15": N_("15 minutes"), "60": N_("1 hour"), "525600": N_("until resumed")}


@dataclass(frozen=True)
class UpstreamLine:
    """One upstream; times in ms, shares of the last hour as "3 of 40"."""

    name: str
    state: str
    paused_since: datetime | None
    paused_until: datetime | None
    why: str | None
    failures: int
    waiting: int
    calls_today: int
    daily_budget: int | None
    every_seconds: float
    median_ms: float | None
    p95_ms: float | None
    failed: str | None
    hits: str | None


async def upstreams(visit: Visit) -> Page:
    """Every upstream by name."""
    visit.only()
    store = ConsoleStore(visit.tools.reads)
    states, parked, calls = (
        await visit.tools.limits.all(),
        await store.parked(),
        await store.calls(),
    )
    facts, _ = await visit.tools.health.look()
    rows = [
        UpstreamLine(
            state.name,
            "in_use" if state.pause_left_seconds is None
            else "paused" if state.pause_left_seconds > 0 else "probing",
            state.paused_since, state.paused_until, state.reason, state.failures,
            parked.get(state.name, 0), state.calls_today, state.daily_budget or None,
            state.every_seconds,
            hour.median if (hour := calls.get(state.name)) else None,
            hour.p95 if hour else None,
            f"{hour.failed}/{hour.calls}" if hour else None,
            ", ".join(
                f"{rate.kind} {rate.latest_found}/{rate.latest}"
                f" ({rate.earlier_found}/{rate.earlier})"
                for rate in (facts.rates if facts else []) if rate.source == state.name
            ) or None,
        )
        for state in states
    ]  # fmt: skip
    columns = (
        named("name", N_("Upstream"), codes="upstream"),
        named("state", N_("State"), codes="pause"),
        named("paused_since", N_("Paused since")),
        named("paused_until", N_("Until")),
        named("why", N_("Why")),
        named("failures", N_("Failures in a row")),
        named("waiting", N_("Waiting events"), link=lambda row: f"/events?waiting={row.name}"),
        named("calls_today", N_("Calls today")),
        named("daily_budget", N_("Budget")),
        named("every_seconds", N_("Seconds between calls")),
        named("median_ms", N_("Median ms, 1 h")),
        named("p95_ms", N_("p95 ms, 1 h")),
        named("failed", N_("Failed, 1 h")),
        named("hits", N_("Found somebody: latest (before)")),
    )
    empty = N_("No upstream is known yet: the first poller that starts writes them down.")
    table = Table(columns, rows, empty)
    return Page("upstreams.html", N_("Upstreams"), {"lengths": _LENGTHS}, table)


async def pause(visit: Visit, form: Form) -> Onward:
    """Nobody calls it for a while; a reason is needed."""
    minutes, reason = form.one("minutes"), reason_of(form)
    if minutes not in _LENGTHS:
        raise PageRefused(422, N_("Choose for how long."))
    name = visit.request.path_params["name"]
    done = await visit.tools.limits.pause(name, int(minutes), reason)
    said = N_("%(name)s is paused; events that need it wait.")
    return await _changed(visit, done, "pause", {"minutes": int(minutes)}, reason, said)


async def resume(visit: Visit, _: Form) -> Onward:
    """Ends its pause."""
    done = await visit.tools.limits.resume(visit.request.path_params["name"])
    said = N_("%(name)s is called again; what waited for it is due.")
    return await _changed(visit, done, "resume", {}, None, said)


async def budget(visit: Visit, form: Form) -> Onward:
    """Another budget for today."""
    calls = form.one("calls")
    if not calls.isascii() or not calls.isdigit() or len(calls) > 7:
        raise PageRefused(422, N_("A budget is a whole number of calls; 0 is no limit."))
    done = await visit.tools.limits.budget(visit.request.path_params["name"], int(calls))
    said = N_("%(name)s has another budget for today; what waited for it is due.")
    return await _changed(visit, done, "budget", {"calls": int(calls)}, None, said)


async def _changed(
    visit: Visit, done: bool, verb: str, words: dict[str, Any], reason: str | None, said: str
) -> Onward:
    name = visit.request.path_params["name"]
    if not done:
        raise PageRefused(404, N_("There is no such upstream."))
    await visit.audit(verb, {"upstream": name} | words, reason)
    return Onward("/upstreams", visit.say(said, name=visit.words.code("upstream", name)))
