"""`upstreams`: list, pause, resume."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from c2s_enrich.cli.frame import AsJson, fail, group, note, print_table, with_pool

if TYPE_CHECKING:
    from c2s_enrich.upstreams.limits import Limits, UpstreamState

T = TypeVar("T")

app = group("The services we call: pauses, limits, budgets.")


@app.command("list")
def list_upstreams(as_json: AsJson = False) -> None:
    """Every upstream with its pause, its rate limit and today's calls."""
    print_table(
        _with_limits(lambda limits: limits.all()),
        {
            "upstream": lambda state: state.name,
            "state": _pause,
            "failures in a row": lambda state: state.failures,
            "every": lambda state: f"{state.min_interval.total_seconds():g} s",
            "calls today": _budget,
        },
        as_json=as_json,
        empty="No upstream is known yet: the first poller that starts writes them down.",
    )


@app.command("pause")
def pause_upstream(name: str, minutes: float = 15, reason: str = "paused by hand") -> None:
    """Stop all pollers from calling it for a while."""
    if not _with_limits(lambda limits: limits.pause(name, minutes, reason)):
        fail(f"there is no upstream {name}")
    note(f"{name} is paused for {minutes:g} minutes.")


@app.command("resume")
def resume_upstream(name: str) -> None:
    """End its pause; the events that wait for it are due at once."""
    if not _with_limits(lambda limits: limits.resume(name)):
        fail(f"there is no upstream {name}")
    note(f"{name} is called again.")


def _pause(state: UpstreamState) -> str:
    if not state.pause_left:
        return "open"
    return f"paused, {state.pause_left.total_seconds():.0f} s left: {state.reason}"


def _budget(state: UpstreamState) -> str:
    of = f" of {state.daily_budget}" if state.daily_budget else ""
    return f"{state.calls_today}{of}"


def _with_limits(ask: Callable[[Limits], Awaitable[T]]) -> T:
    from c2s_enrich.clock import SystemClock
    from c2s_enrich.upstreams.limits import Limits

    return with_pool(lambda pool, settings: ask(Limits(pool, settings, SystemClock())))
