"""`upstreams`: list, pause, resume, budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c2s_enrich.cli import ending, frame, remote

if TYPE_CHECKING:
    from c2s_enrich.upstreams.limits import Limits, UpstreamState

app = frame.group("The services we call: pauses, limits, budgets.")
Name = Annotated[str, typer.Argument(help="c2s, diretrix or work_api")]


@app.command("list")
def list_upstreams(as_json: frame.AsJson = False, url: remote.Url = None) -> None:
    """Every upstream with its pause, its rate limit and today's calls."""
    from c2s_enrich.upstreams.limits import UpstreamState

    frame.print_table(
        remote.ask(url, "upstreams", lambda pool: _limits(pool).all(), list[UpstreamState]),
        {
            "upstream": "name",
            "failures": "failures",
            "every s": lambda each: f"{each.every_seconds:g}",
            "calls today": lambda each: (
                f"{each.calls_today}" + (f" of {each.daily_budget}" if each.daily_budget else "")
            ),
            "paused since": "paused_since",
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
    url: remote.Url = None,
) -> None:
    """Stop all pollers from calling it for a while."""
    words = {"minutes": minutes, "reason": reason}
    _change(url, name, "pause", words, lambda limits: limits.pause(name, minutes, reason))
    ending.note(f"{name} is paused for {minutes:g} minutes.")


@app.command("resume")
def resume_upstream(name: Name, url: remote.Url = None) -> None:
    """End its pause; the events that wait for it are due at once."""
    _change(url, name, "resume", {}, lambda limits: limits.resume(name))
    ending.note(f"{name} is called again; what waited for it is due.")


@app.command("budget")
def budget_of_upstream(
    name: Name, calls: Annotated[int, typer.Argument(min=0, max=2**31 - 1)], url: remote.Url = None
) -> None:
    """Give it another budget of calls for today, 0 for none; tomorrow the setting holds again.

    c2s-enrich upstreams budget work_api 600
    """
    _change(url, name, "budget", {"calls": calls}, lambda limits: limits.budget(name, calls))
    ending.note(f"{name} may be called {calls or 'any number of'} times today; what waited is due.")


def _change(
    url: str | None,
    name: str,
    verb: str,
    words: dict[str, Any],
    change: Callable[[Limits], Awaitable[bool]],
) -> None:
    async def local(pool: frame.Pool) -> bool:
        done = partial(change, _limits(pool))
        return await frame.audited(pool, done, verb, {"upstream": name} | words)

    if not remote.ask(url, f"upstreams/{name}/{verb}", local, Any, body=words):
        ending.fail(f"there is no upstream {name}", ending.NOT_FOUND)


def _state(each: UpstreamState) -> str:
    if each.paused_until is None:
        return "open"
    over = (each.pause_left_seconds or 0) <= 0
    until = ", tried at the next call" if over else f" until {frame.when(each.paused_until)}"
    return f"paused{until}: {each.reason or 'no reason given'}"


def _limits(pool: frame.Pool) -> Limits:
    from c2s_enrich.clock import SystemClock
    from c2s_enrich.upstreams.limits import Limits

    return Limits(pool, ending.load_settings("migrate"), SystemClock())
