"""`events`: list, show, reprocess, fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from c2s_enrich.cli import ending, frame
from c2s_enrich.cli.filtering import takes_filter
from c2s_enrich.cli.remote import Url, ask
from c2s_enrich.ops.filters import Filter

if TYPE_CHECKING:
    from c2s_enrich.ops.events import AttemptLine, EventLine
    from c2s_enrich.ops.plans import Order, Plan, PlanState

Most = Annotated[int | None, typer.Option("--limit", min=1, help="the oldest N only")]

_DONE = {
    "reprocess": "queued for reprocessing",
    "fail": "given up",
    "delivered": "recorded as delivered",
    "not_delivered": "recorded as not delivered; their messages are sent",
}

app = frame.group("Inspect and reprocess events.")


@app.command("list")
@takes_filter
def list_events(
    chosen: Filter,
    limit: frame.Limit = 20,
    after: Annotated[UUID | None, typer.Option(help="go on behind this event")] = None,
    as_json: frame.AsJson = False,
    url: Url = None,
) -> None:
    """The newest events.

    c2s-enrich events list --status failed --since 2h
    """
    from c2s_enrich.ops.events import EventLine, EventsDesk

    frame.print_table(
        ask(
            url,
            "events",
            lambda pool: EventsDesk(pool).events(chosen, limit, after),
            list[EventLine],
            query=chosen.texts | {"limit": limit} | ({"after": after} if after else {}),
        ),
        {
            "received": "received_at",
            "event": "event_id",
            "lead": "lead_id",
            "status": "status",
            "try": lambda line: f"{line.attempts}/{line.max_attempts}",
            "why": _why,
        },
        as_json=as_json,
        empty=f"No event matches {chosen.options}." if chosen else "No webhook has arrived yet.",
        spare=("event", "try"),
    )


@app.command("show")
def show_event(event_id: UUID, as_json: frame.AsJson = False) -> None:
    """One event with every attempt: who, how long, which steps and calls, how it ended."""
    from c2s_enrich.ops.events import EventsDesk

    async def look(pool: frame.Pool) -> tuple[list[EventLine], list[AttemptLine]]:
        desk = EventsDesk(pool)
        lines = await desk.events(Filter(event=(str(event_id),)), 1)
        return lines, await desk.history(event_id)

    lines, attempts = frame.with_pool(look)
    if not lines:
        ending.fail(f"there is no event {event_id}", ending.NOT_FOUND)
    [line] = lines
    if as_json:
        return frame.print_json({"event": line, "attempts": attempts})
    end = f"{line.outcome or line.error_kind or ''}  {frame.visible(line.error_message)}"
    head = f"{line.event_id}  lead {frame.visible(line.lead_id)}  {line.status}  {end}"
    typer.echo(head.rstrip())
    for attempt in attempts:
        end = f"{attempt.result}  {frame.visible(attempt.error_message)}".rstrip()
        typer.echo(f"  {frame.when(attempt.started_at)}  {attempt.worker}  {end}")
        for at, text in sorted(_timeline(attempt)):
            typer.echo(f"    +{at / 1000:7.3f} s  {frame.visible(text)}")
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
    dry_run: frame.DryRun = False,
    yes: frame.Yes = False,
    as_json: frame.AsJson = False,
) -> None:
    """Run events again. A seller never gets the same message twice.

    Shows a plan first. Ids apply in any state; a filter means failed events unless it says which.

    c2s-enrich events reprocess --kind upstream_refused --since 2h
    """
    from c2s_enrich.ops.plans import Order

    bulk(Order("reprocess", chosen, fresh=fresh, limit=limit), dry_run, yes, as_json)


@app.command("fail")
@takes_filter
def fail_events(
    chosen: Filter,
    because: frame.Because,
    limit: Most = None,
    dry_run: frame.DryRun = False,
    yes: frame.Yes = False,
    as_json: frame.AsJson = False,
) -> None:
    """Give up events that wait: they end as failed, kind given_up.

    c2s-enrich events fail --waiting work_api --because "contract ended"
    """
    from c2s_enrich.ops.plans import Order

    if not because.strip():
        ending.fail("--because is empty")
    bulk(Order("fail", chosen, limit=limit, reason=because.strip()), dry_run, yes, as_json)


def _why(line: EventLine) -> str:
    reason = line.waiting_reason or ""
    waits = f"waits for {line.waiting_for} ({reason})" if line.waiting_for else reason
    return line.outcome or ": ".join(filter(None, (waits, line.error_message)))


def _timeline(attempt: AttemptLine) -> list[tuple[float, str]]:
    """Steps and calls by their offset in ms."""
    found = [(each["at_ms"], f"{each['step']} {each['ms'] or 0:g} ms") for each in attempt.steps]
    for each in attempt.calls:
        paid = ", paid" if each.get("paid") else ""
        text = f"  {each['upstream']} {each['kind']}: {each['result']}, {each['ms']:g} ms{paid}"
        found.append((each["at_ms"], text))
    return found


def bulk(order: Order, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Plan, question, run. Ctrl-C stops after the batch that runs."""
    import asyncio
    import signal
    import threading

    if not order.chosen:
        ending.fail("no events selected: give ids or a filter such as --status failed --since 2h")

    plan = frame.with_pool(lambda pool: frame.planner(pool).plan(order))
    if not as_json or (not yes and not dry_run):
        _show(plan)
    if not plan.events or dry_run:
        if as_json:
            frame.print_json(plan)
        return
    frame.confirm(str(plan.events), yes)

    async def run(pool: frame.Pool) -> PlanState:
        stopped = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)

        async def progress(seen: int, done: int) -> bool:
            if plan.events > seen:
                ending.note(f"{done} of {plan.events} …")
            return not stopped.is_set()

        return await frame.planner(pool).run(plan.id, progress)

    done = frame.with_pool(run)
    if as_json:
        frame.print_json({"plan": plan, "done": done})
    else:
        verb = _DONE[plan.verb]
        left = f", {done.skipped} left out (in flight or changed)" if done.skipped else ""
        typer.echo(f"{done.done} of {plan.events} events {verb}{left}.")
    if done.state != "done":
        ending.note("Stopped: the rest is as it was.")
        raise typer.Exit(ending.NOT_DONE)


def _show(plan: Plan) -> None:
    from c2s_enrich.ops.plans import MOST

    note = ending.note
    note(f"Plan: {plan.verb} {plan.events} events of {plan.leads} leads")
    if not plan.events and not plan.in_flight:
        state = plan.filter.get("status")
        meant = f" Only {state} events are meant unless --status says otherwise." if state else ""
        return note(f"No event matches.{meant}")
    for each in plan.groups[:10]:
        span = f"{frame.when(each.first_at)} to {frame.when(each.newest_at)}"
        text = frame.visible(each.error or "")[:60]
        line = f"  {each.events:7}  {each.state}  {text}  {span if each.events > 1 else ''}"
        note(line.rstrip())
    if plan.verb == "reprocess":
        calls = ", ".join(f"{name} {count}" for name, count in plan.paid_calls.items()) or "none"
        left = "".join(f"; budget left: {n} {count}" for n, count in plan.budget_left.items())
        note(f"  paid calls   at most {calls}; {plan.remembered} answers are remembered{left}")
        told = f"{plan.told_before} were told before and get only what is new"
        note(f"  messages     at most {plan.leads}; {told}; none twice")
        note(f"  takes        about {plan.minutes:g} min at the present limits")
    if plan.filter.get("limit") == MOST:
        note(f"  more match   a plan takes the oldest {MOST}; plan again for the rest")
    if plan.in_flight:
        note(f"  leaves out   {plan.in_flight} in flight")
    return note(f"  for example  c2s-enrich explain {plan.groups[0].example}")
