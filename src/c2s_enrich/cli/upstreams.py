"""`upstreams`: list, pause, resume, budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from typer import Argument, Option

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_FOUND, fail, load_settings, note
from c2s_enrich.cli.lazy import clock, database, upstreams
from c2s_enrich.cli.printing import Column, print_table, when

Name = Annotated[str, Argument(help="c2s, diretrix or work_api")]

app = frame.group("The services we call: pauses, limits, budgets.")


@app.command("list")
def list_upstreams(as_json: frame.AsJson = False, url: frame.Url = None) -> None:
    """Every upstream with its pause, its rate limit and today's calls."""
    kind = list[upstreams.limits.UpstreamState]
    rows = frame.ask(url, "upstreams", lambda pool: _limits(pool).all(), kind)
    columns: dict[str, Column] = {
        "upstream": "name", "failures": "failures",
        "every s": lambda each: f"{each.every_seconds:g}", "calls today": _calls,
        "paused since": "paused_since", "state": _state,
    }  # fmt: skip
    empty = "No upstream is known yet: the first poller that starts writes them down."
    print_table(rows, columns, as_json=as_json, empty=empty, spare=("paused since",))


@app.command("pause")
def pause_upstream(
    name: Name,
    minutes: Annotated[float, Option(min=0.1, max=525_600)] = 15,
    reason: str = "paused by hand",
    url: frame.Url = None,
) -> None:
    """Stop all pollers from calling it for a while."""
    words = {"minutes": minutes}
    _change(url, name, "pause", words, lambda limits: limits.pause(name, minutes, reason), reason)
    note(f"{name} is paused for {minutes:g} minutes.")


@app.command("resume")
def resume_upstream(name: Name, url: frame.Url = None) -> None:
    """End its pause; the events that wait for it are due at once."""
    _change(url, name, "resume", {}, lambda limits: limits.resume(name))
    note(f"{name} is called again; what waited for it is due.")


@app.command("budget")
def budget_of_upstream(
    name: Name, calls: Annotated[int, Argument(min=0, max=2**31 - 1)], url: frame.Url = None
) -> None:
    """Give it another budget of calls for today, 0 for none; tomorrow the setting holds again.

    c2s-enrich upstreams budget work_api 600
    """
    _change(url, name, "budget", {"calls": calls}, lambda limits: limits.budget(name, calls))
    note(f"{name} may be called {calls or 'any number of'} times today; what waited is due.")


def _change(
    url: str | None,
    name: str,
    verb: str,
    words: dict[str, Any],
    change: Callable[[upstreams.limits.Limits], Awaitable[bool]],
    reason: str | None = None,
) -> None:
    said = {"upstream": name} | words
    local = frame.audited(verb, said, lambda pool: change(_limits(pool)), reason)
    body = words | ({"reason": reason} if reason else {})
    if not frame.ask(url, f"upstreams/{name}/{verb}", local, Any, body=body):
        fail(f"there is no upstream {name}", NOT_FOUND)


def _calls(each: upstreams.limits.UpstreamState) -> str:
    return f"{each.calls_today}" + (f" of {each.daily_budget}" if each.daily_budget else "")


def _state(each: upstreams.limits.UpstreamState) -> str:
    if each.paused_until is None:
        return "open"
    over = (each.pause_left_seconds or 0) <= 0
    until = ", tried at the next call" if over else f" until {when(each.paused_until)}"
    return f"paused{until}: {each.reason or 'no reason given'}"


def _limits(pool: database.Pool) -> upstreams.limits.Limits:
    return upstreams.limits.Limits(pool, load_settings("migrate"), clock.Clock())
