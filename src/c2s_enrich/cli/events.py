"""`events`: list, show, reprocess, fail; and `errors`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from c2s_enrich.cli.filtering import takes_filter
from c2s_enrich.cli.frame import (
    NOT_DONE,
    NOT_FOUND,
    AsJson,
    confirm,
    fail,
    group,
    note,
    operator,
    print_json,
    print_table,
    visible,
    when,
    with_pool,
)
from c2s_enrich.cli.remote import Url, ask
from c2s_enrich.ops.filters import Filter

if TYPE_CHECKING:
    from c2s_enrich.database import Pool
    from c2s_enrich.ops.events import AttemptLine, EventsDesk
    from c2s_enrich.ops.plans import Order, Plan
    from c2s_enrich.settings import Settings

T = TypeVar("T")
Limit = Annotated[int, typer.Option(min=1, max=1000, help="at most this many, newest first")]
Yes = Annotated[bool, typer.Option("--yes", help="Run the plan without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="the oldest N only")]

app = group("Inspect and reprocess events.")


@app.command("list")
@takes_filter
def list_events(
    chosen: Filter,
    limit: Limit = 20,
    after: Annotated[UUID | None, typer.Option(help="go on behind this event")] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """The newest events.

    c2s-enrich events list --status failed --since 2h
    """
    page = {"limit": limit} | ({"after": str(after)} if after else {})
    lines = ask(
        url,
        "events",
        chosen.texts | page,
        lambda pool, _: _desk(pool).events(chosen, limit, after),
    )
    print_table(
        lines,
        {
            "received": lambda line: datetime.fromisoformat(line["received_at"]),
            "event": lambda line: line["event_id"],
            "lead": lambda line: line["lead_id"],
            "status": lambda line: line["status"],
            "try": lambda line: f"{line['attempts']}/{line['max_attempts']}",
            "why": why,
        },
        as_json=as_json,
        empty=f"No event matches {chosen.options}." if chosen else "No webhook has arrived yet.",
        spare=("event", "try"),
    )


@app.command("show")
def show_event(event_id: UUID, as_json: AsJson = False) -> None:
    """One event with every attempt: who, how long, which steps and calls, how it ended."""

    async def look(pool: Pool, _: Settings) -> tuple[Any, list[AttemptLine]]:
        desk = _desk(pool)
        lines = await desk.events(Filter(event=(str(event_id),)), 1)
        return (lines[0] if lines else None), await desk.history(event_id)

    line, attempts = with_pool(look)
    if line is None:
        fail(f"there is no event {event_id}", NOT_FOUND)
    if as_json:
        return print_json({"event": line, "attempts": attempts})
    end = f"{line.outcome or line.error_kind or ''}  {visible(line.error_message)}".rstrip()
    typer.echo(f"{line.event_id}  lead {visible(line.lead_id)}  {line.status}  {end}".rstrip())
    for attempt in attempts:
        end = f"{attempt.result}  {visible(attempt.error_message)}".rstrip()
        typer.echo(f"  {when(attempt.started_at)}  {attempt.worker}  {end}")
        for at, text in sorted(_timeline(attempt)):
            typer.echo(f"    +{at / 1000:7.3f} s  {visible(text)}")
    return None


@app.command("reprocess")
@takes_filter
def reprocess_events(
    chosen: Filter,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Ask the sources again, and pay again, for these leads."),
    ] = False,
    limit: Most = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Run events again. A seller never gets the same message twice.

    Shows a plan first. Ids apply in any state; a filter means failed events unless it says which.

    c2s-enrich events reprocess --kind upstream_refused --since 2h
    """
    from c2s_enrich.ops.plans import Order

    _bulk(Order("reprocess", chosen, fresh=fresh, limit=limit), dry_run, yes, as_json)


@app.command("fail")
@takes_filter
def fail_events(
    chosen: Filter,
    why: Annotated[str, typer.Option("--because", help="for the audit and for `explain`")],
    limit: Most = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give up events that wait: they end as failed, kind given_up.

    c2s-enrich events fail --waiting work_api --because "contract ended"
    """
    from c2s_enrich.ops.plans import Order
    from c2s_enrich.redaction import redact

    if not why.strip():
        fail("--because is empty")
    order = Order("fail", chosen, limit=limit, reason=redact(why.strip())[:300])
    _bulk(order, dry_run, yes, as_json)


@takes_filter
def errors(chosen: Filter, as_json: AsJson = False, url: Url = None) -> None:
    """Failed and waiting events in groups of one error each; the fingerprint is a filter, too.

    c2s-enrich errors --since 24h
    """
    groups = ask(url, "errors", chosen.texts, lambda pool, _: _desk(pool).errors(chosen))
    print_table(
        groups,
        {
            "error": lambda each: each["error_group"],
            "events": lambda each: each["events"],
            "leads": lambda each: each["leads"],
            "newest": lambda each: datetime.fromisoformat(each["newest_at"]),
            "first": lambda each: datetime.fromisoformat(each["first_at"]),
            "kind": lambda each: each["error_kind"],
            "step": lambda each: each["error_step"],
            "newest message": lambda each: each["newest_message"],
        },
        as_json=as_json,
        empty="No event has an error" + (f" and matches {chosen.options}." if chosen else "."),
        spare=("first", "kind", "step"),
    )


def at_the_desk(ask: Callable[[EventsDesk], Awaitable[T]]) -> T:
    """What the operators' desk for events and messages answers."""
    return with_pool(lambda pool, _: ask(_desk(pool)))


def why(line: dict[str, Any]) -> str:
    """How it ended, or what it waits for."""
    reason = line["waiting_reason"] or ""
    waits = f"waits for {line['waiting_for']} ({reason})" if line["waiting_for"] else reason
    message = line["error_message"] or ""
    return str(line["outcome"] or ": ".join(text for text in (waits, message) if text))


def _desk(pool: Pool) -> EventsDesk:
    from c2s_enrich.ops.events import EventsDesk

    return EventsDesk(pool)


def _timeline(attempt: AttemptLine) -> list[tuple[float, str]]:
    """Steps and calls by their offset in ms."""
    steps = [(each["at_ms"], f"{each['step']} {each['ms'] or 0:g} ms") for each in attempt.steps]
    return steps + [
        (
            each["at_ms"],
            f"  {each['upstream']} {each['kind']}: {each['result']}, {each['ms']:g} ms"
            + (", paid" if each.get("paid") else ""),
        )
        for each in attempt.calls
    ]


def _bulk(order: Order, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Plan, question, run. Ctrl-C stops after the batch that runs."""
    import asyncio
    import signal
    import threading

    from c2s_enrich.ops.plans import Planner

    if not order.chosen:
        fail("no events selected: give ids or a filter, for example --status failed --since 2h")

    plan = with_pool(lambda pool, _: Planner(pool, actor=operator(), via="cli").plan(order))
    if not as_json or (not yes and not dry_run):
        _show(plan)
    if not plan.events or dry_run:
        if as_json:
            print_json(plan)
        return
    confirm(str(plan.events), yes)

    async def run(pool: Pool, _: Settings) -> Any:
        stopped = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)

        async def progress(seen: int, done: int) -> bool:
            if plan.events > seen:
                note(f"{done} of {plan.events} …")
            return not stopped.is_set()

        return await Planner(pool, actor=operator(), via="cli").run(plan.id, progress)

    done = with_pool(run)
    if as_json:
        print_json({"plan": plan, "done": done})
    else:
        verb = "queued for reprocessing" if plan.verb == "reprocess" else "given up"
        left = f", {done.skipped} left out (in flight or changed)" if done.skipped else ""
        typer.echo(f"{done.done} of {plan.events} events {verb}{left}.")
    if done.state != "done":
        note("Stopped: the rest is as it was.")
        raise typer.Exit(NOT_DONE)


def _show(plan: Plan) -> None:
    """The plan in words, on stderr."""
    note(f"Plan: {plan.verb} {plan.events} events of {plan.leads} leads")
    if not plan.events and not plan.in_flight:
        state = plan.filter.get("status")
        meant = f" Only {state} events are meant unless --status says otherwise." if state else ""
        return note(f"No event matches.{meant}")
    for each in plan.groups[:10]:
        span = f"{when(each.first_at)} to {when(each.newest_at)}" if each.events > 1 else ""
        text = visible(each.error or "")[:60]
        note(f"  {each.events:7}  {each.state}  {text}  {span}".rstrip())
    if plan.verb == "reprocess":
        calls = ", ".join(f"{name} {count}" for name, count in plan.paid_calls.items())
        left = "".join(f"; budget left: {n} {count}" for n, count in plan.budget_left.items())
        note(f"  paid calls   at most {calls}; {plan.remembered} answers are remembered{left}")
        told = f"{plan.told_before} were told before and get only what is new"
        note(f"  messages     at most {plan.leads}; {told}; none twice")
        note(f"  takes        about {plan.minutes:g} min at the present limits")
    if plan.in_flight:
        note(f"  leaves out   {plan.in_flight} in flight")
    return note(f"  for example  c2s-enrich explain {plan.groups[0].example}")
