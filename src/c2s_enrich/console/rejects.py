"""Deliveries that could not be parsed: a list, one of them with its text, what to do with it."""

from collections.abc import Sequence
from uuid import UUID

from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Visit, address, lead_address
from c2s_enrich.console.table import Column, Table, named
from c2s_enrich.console.words import N_
from c2s_enrich.ops.rejects import Reject, body_text, line_text

# One click checks so many, a few seconds of work; the command line has no such bound.
_BATCH = 1000


async def rejects(visit: Visit) -> Page:
    """Newest first; those that wait, or with `all` settled ones, too."""
    words = visit.only("reason", "all")
    rows = await visit.tools.rejects.rejects(
        waiting_only="all" not in words,
        reason=words.get("reason"),
        limit=visit.rows,
        after=visit.after,
    )
    columns = (
        named("last_received_at", N_("Received"), link=lambda row: f"/rejects/{row.id}"),
        named("reason", N_("Reason"), codes="reject"),
        Column("detail", N_("Detail"), lambda row: line_text(row.detail)),
        Column(
            *("lead_id", N_("Lead"), lambda row: line_text(row.lead_id) or None),
            link=lambda row: lead_address(row.lead_id),
        ),
        named("size", N_("Bytes")),
        named("times", N_("Times")),
        Column("state", N_("State"), _state, codes="reject_state"),
    )
    after = str(rows[-1].id) if len(rows) == visit.rows else None
    table = Table(columns, rows, N_("No rejected delivery waits."), after)
    return Page("rejects.html", N_("Rejects"), {"filter": words}, table)


async def reject(visit: Visit) -> Page:
    """One of them; what may be about a person is masked."""
    return await _one(visit, reveal=False)


async def show(visit: Visit, form: Form) -> Page:
    """The same as it arrived, for a reason that stands in the audit."""
    reason = form.reason
    page = await _one(visit, reveal=True)
    await visit.audit("show_reject", {"reject": str(_id(visit))}, reason)
    return page


async def replay(visit: Visit, _: Form) -> Onward:
    return await _replayed(visit, [_id(visit)], f"/rejects/{_id(visit)}")


async def replay_alike(visit: Visit, form: Form) -> Onward:
    """All that wait for one reason, in the order in which they came, some at a time."""
    reason = form.one("reason")
    chosen = (await visit.tools.rejects.waiting_for(reason))[:_BATCH]
    return await _replayed(visit, chosen, address("/rejects", reason=reason))


async def dismiss(visit: Visit, form: Form) -> Onward:
    reason = form.reason
    if not await visit.tools.rejects.dismiss([_id(visit)]):
        raise PageRefused(409, N_("It waits no longer, or there is no such delivery."))
    await visit.audit("dismiss", {"rejects": [str(_id(visit))]}, reason)
    return Onward("/rejects", visit.say(N_("Dismissed.")))


async def _replayed(visit: Visit, chosen: Sequence[UUID], back: str) -> Onward:
    done = [found for each in chosen if (found := await visit.tools.rejects.replay(each))]
    if chosen and not done:
        raise PageRefused(404, N_("There is no such delivery."))
    await visit.audit("replay", {"rejects": [str(each) for each in chosen[:10]]})
    said = N_("%(checked)s checked: %(stored)s events stored, %(still)s still rejected. %(why)s")
    stored, still = sum(each.stored for each in done), sum(bool(each.flaws) for each in done)
    why = next((flaw for each in done for flaw in each.flaws), "")
    return Onward(back, visit.say(said, checked=len(done), stored=stored, still=still, why=why))


async def _one(visit: Visit, *, reveal: bool) -> Page:
    found = await visit.tools.rejects.reject(_id(visit))
    if found is None:
        raise PageRefused(404, N_("There is no such delivery."))
    shown = {
        "id": found.id,
        "received_at": found.received_at,
        "reason": found.reason,
        "state": _state(found),
        "lead": line_text(found.lead_id),
        "detail": line_text(found.detail),
        "headers": {line_text(name): line_text(str(each)) for name, each in found.headers.items()},
        "body": body_text(found.raw, reveal=reveal),
    }
    context = {**shown, "size": found.size, "revealed": reveal}
    return Page("reject.html", N_("Rejected delivery"), context, data=shown)


def _state(row: Reject) -> str:
    return "replayed" if row.replayed_at else "dismissed" if row.dismissed_at else "waits"


def _id(visit: Visit) -> UUID:
    return UUID(str(visit.request.path_params["reject_id"]))
