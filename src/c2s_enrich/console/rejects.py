"""Deliveries that could not be parsed: a list, one of them with its text, what to do with it."""

from collections.abc import Sequence
from uuid import UUID

from c2s_enrich.console.page import Onward, Page, Visit, address
from c2s_enrich.ops.rejects import body_text, line_text
from c2s_enrich.ops.surface import N_, Refusal

# One click checks so many, a few seconds of work; the command line has no such bound.
_BATCH = 1000


async def rejects(visit: Visit) -> Page:
    """Newest first; those that wait, or with `all` settled ones, too."""
    words, page = visit.only("reason", "all"), visit.paging
    found = await visit.tools.rejects.rejects(
        waiting_only="all" not in words,
        reason=words.get("reason"),
        limit=page.limit,
        after=page.after,
    )
    rows = [
        vars(each)
        | {"detail": line_text(each.detail), "lead_id": line_text(each.lead_id) or None}
        | {"lead": each.lead_id, "state": each.state}
        for each in found
    ]
    keys = ("last_received_at", "reason", "detail", "lead_id", "size", "times", "state")
    return Page("rejects.html", {"filter": words}, visit.table(rows, keys))


async def reject(visit: Visit) -> Page:
    """One of them; what may be about a person is masked."""
    return await _one(visit, reveal=False)


async def show(visit: Visit) -> Page:
    """The same as it arrived, for a reason that stands in the audit."""
    reason, page = visit.reason, await _one(visit, reveal=True)
    await visit.planner().record("show_reject", {"reject": str(visit.part("reject_id"))}, reason)
    return page


async def replay(visit: Visit) -> Onward:
    reject_id = visit.part("reject_id")
    return await _replayed(visit, [reject_id], f"/rejects/{reject_id}")


async def replay_alike(visit: Visit) -> Onward:
    """All that wait for one reason, in the order in which they came, some at a time."""
    reason = visit.field("reason")
    chosen = (await visit.tools.rejects.waiting_for(reason))[:_BATCH]
    return await _replayed(visit, chosen, address("/rejects", reason=reason))


async def dismiss(visit: Visit) -> Onward:
    reason, reject_id = visit.reason, visit.part("reject_id")
    if not await visit.tools.rejects.dismiss([reject_id]):
        raise Refusal(409, N_("It waits no longer, or there is no such delivery."))
    await visit.planner().record("dismiss", {"rejects": [str(reject_id)]}, reason)
    return visit.onward("/rejects", N_("Dismissed."))


async def _replayed(visit: Visit, chosen: Sequence[UUID], back: str) -> Onward:
    done = [found for each in chosen if (found := await visit.tools.rejects.replay(each))]
    if chosen and not done:
        raise Refusal(404, N_("There is no such delivery."))
    await visit.planner().record("replay", {"rejects": [str(each) for each in chosen[:10]]})
    return visit.onward(
        back,
        N_("%(checked)s checked: %(stored)s events stored, %(still)s still rejected. %(why)s"),
        checked=len(done),
        stored=sum(each.stored for each in done),
        still=sum(bool(each.flaws) for each in done),
        why=next((flaw for each in done for flaw in each.flaws), ""),
    )


async def _one(visit: Visit, *, reveal: bool) -> Page:
    found = await visit.tools.rejects.reject(visit.part("reject_id"))
    if found is None:
        raise Refusal(404, N_("There is no such delivery."))
    shown = {
        "id": found.id,
        "received_at": found.received_at,
        "reason": found.reason,
        "state": found.state,
        "lead": line_text(found.lead_id),
        "detail": line_text(found.detail),
        "headers": {line_text(name): line_text(str(each)) for name, each in found.headers.items()},
        "body": body_text(found.raw, reveal=reveal),
    }
    return Page("reject.html", {**shown, "size": found.size, "revealed": reveal}, data=shown)
