"""`upstreams`: list, pause, resume, budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c2s_enrich.cli.frame import AsJson, audit, fail, group, note, print_table
from c2s_enrich.cli.remote import Url, ask

if TYPE_CHECKING:
    from c2s_enrich.database import Pool
    from c2s_enrich.settings import Settings
    from c2s_enrich.upstreams.limits import Limits

app = group("The services we call: pauses, limits, budgets.")
Name = Annotated[str, typer.Argument(help="c2s, diretrix or work_api")]


@app.command("list")
def list_upstreams(as_json: AsJson = False, url: Url = None) -> None:
    """Every upstream with its pause, its rate limit and today's calls."""
    print_table(
        ask(url, "upstreams", {}, lambda pool, settings: _limits(pool, settings).all()),
        {
            "upstream": lambda each: each["name"],
            "failures": lambda each: each["failures"],
            "every s": lambda each: f"{each['every_seconds']:g}",
            "calls today": lambda each: (
                f"{each['calls_today']} of {each['daily_budget']}"
                if each["daily_budget"]
                else each["calls_today"]
            ),
            "paused since": lambda each: _time(each["paused_since"]),
            "state": _state,
        },
        as_json=as_json,
        empty="No upstream is known yet: the first poller that starts writes them down.",
        spare=("paused since",),
    )


@app.command("pause")
def pause_upstream(
    name: Name,
    minutes: Annotated[float, typer.Option(min=0.1, max=525_600)] = 15,
    reason: str = "paused by hand",
    url: Url = None,
) -> None:
    """Stop all pollers from calling it for a while."""
    _change(
        url, name, "pause", {"minutes": minutes, "reason": reason},
        lambda limits: limits.pause(name, minutes, reason),
    )  # fmt: skip
    note(f"{name} is paused for {minutes:g} minutes.")


@app.command("resume")
def resume_upstream(name: Name, url: Url = None) -> None:
    """End its pause; the events that wait for it are due at once."""
    _change(url, name, "resume", {}, lambda limits: limits.resume(name))
    note(f"{name} is called again; what waited for it is due.")


@app.command("budget")
def budget_of_upstream(name: Name, calls: Annotated[int, typer.Argument(min=0)]) -> None:
    """Give it another budget of calls for today, 0 for none; tomorrow the setting holds again.

    c2s-enrich upstreams budget work_api 600
    """
    _change(None, name, "budget", {"calls": calls}, lambda limits: limits.budget(name, calls))
    note(f"{name} may be called {calls or 'any number of'} times today; what waited is due.")


def _change(
    url: str | None,
    name: str,
    verb: str,
    words: dict[str, Any],
    change: Callable[[Limits], Awaitable[bool]],
) -> None:
    async def local(pool: Pool, settings: Settings) -> bool:
        done = await change(_limits(pool, settings))
        if done:
            await audit(pool, verb, {"upstream": name} | words)
        return done

    if not ask(url, f"upstreams/{name}/{verb}", words, local, method="POST"):
        fail(f"there is no upstream {name}")


def _state(each: dict[str, Any]) -> str:
    if each["paused_until"] is None:
        return "open"
    until = "" if each["pause_left_seconds"] <= 0 else f" until {_time(each['paused_until'])}"
    return f"paused{until or ', tried at the next call'}: {each['reason'] or 'no reason given'}"


def _time(text: str | None) -> str:
    from c2s_enrich.cli.frame import when

    return when(datetime.fromisoformat(text)) if text else ""


def _limits(pool: Pool, settings: Settings) -> Limits:
    from c2s_enrich.clock import SystemClock
    from c2s_enrich.upstreams.limits import Limits

    return Limits(pool, settings, SystemClock())
