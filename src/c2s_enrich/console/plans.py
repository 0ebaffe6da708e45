"""Bulk actions: a plan says what would happen, its number is typed, its run can be stopped."""

from uuid import UUID

from c2s_enrich.console.page import Onward, Page, Table, Visit, address, lead_address
from c2s_enrich.ops.filters import WORDS, parse_filter
from c2s_enrich.ops.plans import MOST, Order, PlanState
from c2s_enrich.ops.surface import N_, Refusal

_VERBS = {"reprocess": N_("Reprocess"), "fail": N_("Mark as failed")}


async def actions(visit: Visit) -> Page:
    """What people did, newest first: by command, API and page."""
    visit.only()
    rows = await visit.planner().states(visit.paging.limit, visit.paging.after)
    keys = (
        *("at", "actor", "via", "verb", "filter", "reason", "planned", "done", "skipped"),
        *("state", "ended_at"),
    )
    return Page("actions.html", table=visit.table(rows, keys))


async def make(visit: Visit) -> Onward:
    """`do` is what to do and with which events: those that are checked, or all that match."""
    verb, _, which = visit.field("do").partition("_")
    chosen = visit.form.get("chosen", ())
    if verb not in _VERBS or which not in ("selected", "all"):
        raise Refusal(422, N_("Choose one of the page's buttons."))
    if which == "selected" and not chosen:
        raise Refusal(422, N_("Check the events that are meant, or take all that match."))
    words = {name: text for name in WORDS if (text := visit.field(name))}
    if which == "selected":
        words = {"event": ",".join(chosen)}
    order = Order(
        "fail" if verb == "fail" else "reprocess",
        parse_filter(words, visit.words.zone),
        fresh=bool(visit.field("fresh")),
        reason=visit.reason if verb == "fail" else None,
    )
    plan = await visit.planner().plan(order)
    return Onward(f"/plans/{plan.id}")


async def plan(visit: Visit) -> Page | Onward:
    state = await _state(visit)
    if state.state != "planned":
        return Onward(f"/actions/{state.id}")
    estimate = await visit.planner().estimate(Order.of(state))
    keys = ("events", "state", "error", "first_at", "newest_at", "example")
    context = {
        "plan": state, "estimate": estimate, "groups": Table(estimate["groups"], keys),
        "back": _list_of(state), "most": MOST, "verb": _VERBS.get(state.verb, state.verb),
    }  # fmt: skip
    return Page("plan.html", context, data={"plan": state, "estimate": estimate})


async def run(visit: Visit) -> Onward:
    """Runs a plan whose number was typed; a long run goes on while its page is looked at."""
    state = await _state(visit)
    if visit.field("typed") != str(state.planned):
        raise Refusal(422, N_("Nothing was done: type the number of events as it stands."))
    ended = await visit.tools.runs.run(visit.planner(), state.id)
    return after_run(visit, state.id, ended, _list_of(state))


def after_run(visit: Visit, plan_id: UUID, ended: PlanState | None, back: str) -> Onward:
    """Back to where it was asked for, with what was done and left out; or to the run itself."""
    if ended is None:
        return Onward(f"/actions/{plan_id}?live=5")
    if ended.state != "done":
        return Onward(f"/actions/{plan_id}")
    done = N_("%(done)s queued for reprocessing, %(skipped)s left out (in flight or changed).")
    if ended.verb == "fail":
        done = N_("%(done)s given up, %(skipped)s left out (in flight or changed).")
    return visit.onward(back, done, done=ended.done, skipped=ended.skipped)


async def action(visit: Visit) -> Page:
    state = await _state(visit)
    return Page("action.html", {"plan": state, "back": _list_of(state)}, data=state)


async def stop(visit: Visit) -> Onward:
    state = await _state(visit)
    stopped = await visit.planner().stop(state.id)
    said = N_("It stops after this batch.") if stopped else N_("It was over already.")
    return visit.onward(f"/actions/{state.id}", said)


async def _state(visit: Visit) -> PlanState:
    found = await visit.planner().state(visit.part("plan_id"))
    if found is None:
        raise Refusal(404, N_("There is no such plan."))
    return found


def _list_of(state: PlanState) -> str:
    """The events that a plan is about, as they are listed; of one thing, that thing."""
    if state.verb in _VERBS:
        return address("/events", **Order.of(state).chosen.texts)
    lead = state.filter.get("lead")
    return lead_address(str(lead)) if lead else "/actions"
