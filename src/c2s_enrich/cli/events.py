"""`events`: list, show, reprocess, fail."""

from __future__ import annotations

import signal
from typing import Annotated
from uuid import UUID

from typer import Exit, Option, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_DONE, NOT_FOUND, fail, note
from c2s_enrich.cli.lazy import database, ops
from c2s_enrich.cli.printing import Column, print_json, print_table, visible, when
from c2s_enrich.ops.filters import Filter

Most = Annotated[int | None, Option("--limit", min=1, help="the oldest N only")]

_DONE = {
    "reprocess": "queued for reprocessing",
    "fail": "given up",
    "delivered": "recorded as delivered",
    "not_delivered": "recorded as not delivered; their messages are sent",
}

app = frame.group("Inspect and reprocess events.")


@app.command("list")
@frame.takes_filter
def list_events(
    chosen: Filter,
    limit: frame.Limit = 20,
    after: Annotated[UUID | None, Option(help="go on behind this event")] = None,
    as_json: frame.AsJson = False,
    url: frame.Url = None,
) -> None:
    """The newest events.

    c2s-enrich events list --status failed --since 2h
    """
    lines = frame.ask(
        url,
        "events",
        lambda pool: ops.events.EventsDesk(pool).events(chosen, limit, after),
        list[ops.events.EventLine],
        query=chosen.texts | {"limit": limit} | ({"after": after} if after else {}),
    )
    columns: dict[str, Column] = {
        "received": "received_at", "event": "event_id", "lead": "lead_id", "status": "status",
        "try": lambda line: f"{line.attempts}/{line.max_attempts}", "why": _why,
    }  # fmt: skip
    empty = f"No event matches {chosen.options}." if chosen else "No webhook has arrived yet."
    print_table(lines, columns, as_json=as_json, empty=empty, spare=("event", "try"))


@app.command("show")
def show_event(event_id: UUID, as_json: frame.AsJson = False) -> None:
    """One event with every attempt: who, how long, which steps and calls, how it ended."""
    desk, this = ops.events.EventsDesk, Filter(event=(str(event_id),))
    lines = frame.with_pool(lambda pool: desk(pool).events(this, 1))
    if not lines:
        fail(f"there is no event {event_id}", NOT_FOUND)
    [line] = lines
    attempts = frame.with_pool(lambda pool: desk(pool).history(event_id))
    if as_json:
        return print_json({"event": line, "attempts": attempts})
    end = f"{line.outcome or line.error_kind or ''}  {visible(line.error_message)}"
    echo(f"{line.event_id}  lead {visible(line.lead_id)}  {line.status}  {end}".rstrip())
    for attempt in attempts:
        end = f"{attempt.result}  {visible(attempt.error_message)}".rstrip()
        echo(f"  {when(attempt.started_at)}  {attempt.worker}  {end}")
        for at, text in sorted(_timeline(attempt)):
            echo(f"    +{at / 1000:7.3f} s  {visible(text)}")
    return None


@app.command("reprocess")
@frame.takes_filter
def reprocess_events(
    chosen: Filter,
    fresh: Annotated[
        bool, Option("--fresh", help="Ask the sources again, and pay again, for these leads.")
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
    order = ops.plans.Order("reprocess", chosen, fresh=fresh, limit=limit)
    bulk(order, dry_run, yes, as_json)


@app.command("fail")
@frame.takes_filter
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
    if not because.strip():
        fail("--because is empty")
    order = ops.plans.Order("fail", chosen, limit=limit, reason=because.strip())
    bulk(order, dry_run, yes, as_json)


def _why(line: ops.events.EventLine) -> str:
    reason = line.waiting_reason or ""
    waits = f"waits for {line.waiting_for} ({reason})" if line.waiting_for else reason
    return line.outcome or ": ".join(filter(None, (waits, line.error_message)))


def _timeline(attempt: ops.events.AttemptLine) -> list[tuple[float, str]]:
    """Steps and calls by their offset in ms."""
    found = [(each["at_ms"], f"{each['step']} {each['ms'] or 0:g} ms") for each in attempt.steps]
    for each in attempt.calls:
        paid = ", paid" if each.get("paid") else ""
        text = f"  {each['upstream']} {each['kind']}: {each['result']}, {each['ms']:g} ms{paid}"
        found.append((each["at_ms"], text))
    return found


def bulk(order: ops.plans.Order, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Plan, question, run. Ctrl-C stops after the batch that runs."""
    import asyncio
    import threading

    if not order.chosen:
        fail("no events selected: give ids or a filter such as --status failed --since 2h")

    plan = frame.with_pool(lambda pool: frame.planner(pool).plan(order))
    if not as_json or (not yes and not dry_run):
        _show(plan)
    if not plan.events or dry_run:
        return print_json(plan) if as_json else None
    frame.confirm(str(plan.events), yes)

    async def run(pool: database.Pool) -> ops.plans.PlanState:
        stopped = asyncio.Event()
        if threading.current_thread() is threading.main_thread():
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopped.set)

        async def progress(seen: int, done: int) -> bool:
            if plan.events > seen:
                note(f"{done} of {plan.events} …")
            return not stopped.is_set()

        return await frame.planner(pool).run(plan.id, progress)

    done = frame.with_pool(run)
    if as_json:
        print_json({"plan": plan, "done": done})
    else:
        left = f", {done.skipped} left out (in flight or changed)" if done.skipped else ""
        echo(f"{done.done} of {plan.events} events {_DONE[plan.verb]}{left}.")
    if done.state != "done":
        note("Stopped: the rest is as it was.")
        raise Exit(NOT_DONE)
    return None


def _show(plan: ops.plans.Plan) -> None:
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
        calls = ", ".join(f"{name} {count}" for name, count in plan.paid_calls.items()) or "none"
        left = "".join(f"; budget left: {n} {count}" for n, count in plan.budget_left.items())
        note(f"  paid calls   at most {calls}; {plan.remembered} answers are remembered{left}")
        told = f"{plan.told_before} were told before and get only what is new"
        note(f"  messages     at most {plan.leads}; {told}; none twice")
        note(f"  takes        about {plan.minutes:g} min at the present limits")
    if plan.filter.get("limit") == (most := ops.plans.MOST):
        note(f"  more match   a plan takes the oldest {most}; plan again for the rest")
    if plan.in_flight:
        note(f"  leaves out   {plan.in_flight} in flight")
    return note(f"  for example  c2s-enrich explain {plan.groups[0].example}")
