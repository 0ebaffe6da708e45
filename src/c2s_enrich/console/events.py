"""Events and what fails alike: the address is the filter, in the words of the command line. And
messages without a proof of delivery, with a person's verdict on them.
"""

from collections.abc import Sequence
from typing import Any, Literal

import psycopg

from c2s_enrich.console.page import Onward, Page, Table, Visit, address, lead_address
from c2s_enrich.console.show import COUNTED
from c2s_enrich.ops.events import SEARCHED, EventLine, EventsDesk
from c2s_enrich.ops.filters import CHOICES, WORDS, parse_filter
from c2s_enrich.ops.surface import N_, Refusal

TYPED = ("lead", "hook", "since", "until", "text", "error")


async def events(visit: Visit) -> Page:
    """Newest first. Counted only where a page does not hold them all. What no index finds is looked
    for among some thousand events at a time.
    """
    chosen, page = parse_filter(visit.query, visit.words.zone), visit.paging
    desk = EventsDesk(visit.tools.reads)
    floor, floor_event = await desk.floor(chosen, page.after)
    lines = await desk.events(chosen, page.limit, page.after, floor)
    refs = await desk.refs([line.event_id for line in lines])
    full = len(lines) == page.limit
    total: int | None = len(lines)
    if full or page.after:
        try:
            total = await desk.count(chosen, COUNTED, floor)
        except psycopg.errors.QueryCanceled:
            total = None
    last = lines[-1].event_id if full else floor_event
    table = Table(
        [_row(line, refs.get(line.event_id, ())) for line in lines],
        (
            *("received_at", "event_id", "lead_id", "hook_action", "status", "cause", "error"),
            *("tries", "waiting_for", "waits_until", "took", "message"),
        ),
        str(last) if last else None,
    )
    context = {
        "filter": visit.query, "choices": CHOICES, "typed": TYPED, "total": total,
        "searched": floor and SEARCHED,
    }  # fmt: skip
    return Page("events.html", context, table)


def _row(line: EventLine, message: Sequence[str]) -> dict[str, Any]:
    return vars(line) | {
        "cause": line.error_kind or line.outcome or line.waiting_reason,
        "error": line.error_message,
        "tries": f"{line.attempts}/{line.max_attempts}",
        "waits_until": line.available_at if line.status == "received" else None,
        "took": line.processed_at and line.processed_at - line.received_at,
        "message": " ".join(message) or None,
    }


async def errors(visit: Visit) -> Page:
    """Of the last 24 hours, unless the address says since when."""
    words = {"since": "24h"} | visit.query
    rows = await EventsDesk(visit.tools.reads).errors(parse_filter(words, visit.words.zone))
    table = Table(
        [vars(row) | {"sample": row.newest_event} for row in rows],
        (
            *("error_group", "error_step", "error_upstream", "error_kind", "newest_message"),
            *("events", "leads", "first_at", "newest_at", "over_time", "still_failing"),
            *("muted_since", "sample"),
        ),
    )
    return Page("errors.html", {"filter": words}, table)


async def mute(visit: Visit) -> Onward:
    """Or `unmute`, by the last word of the address."""
    error = visit.part("error")
    verb: Literal["mute", "unmute"] = "mute"
    said = N_(
        "No alert counts this error until it is fixed: for a week, or until one of its events is "
        "reprocessed."
    )
    if visit.verb == "unmute":
        verb, said = "unmute", N_("Alerts count this error again.")
    if not await EventsDesk(visit.tools.pool).mute(error, verb):
        raise Refusal(404, N_("No event has this error, or it was not muted."))
    await visit.planner().record(verb, {"error": error})
    return visit.onward(address("/errors", **{name: visit.field(name) for name in WORDS}), said)


async def messages(visit: Visit) -> Page:
    visit.only()
    rows = await EventsDesk(visit.tools.reads).open_messages(visit.paging.limit)
    keys = (
        *("lead_id", "ref", "status", "created_at", "sending_at", "sends", "looks"),
        *("event_status", "event_error_kind"),
    )
    return Page("messages.html", table=Table(rows, keys))


async def judge(visit: Visit) -> Onward:
    """`delivered` or `not-delivered`, by the last word of the address."""
    message_id, delivered = visit.part("message_id"), visit.verb == "delivered"
    if not await EventsDesk(visit.tools.pool).judge(message_id, delivered=delivered):
        raise Refusal(409, N_("This message is settled already, or unknown."))
    await visit.planner().record(visit.verb.replace("-", "_"), {"message": str(message_id)})
    lead_id = visit.field("lead")
    said = N_("Recorded as delivered.") if delivered else N_("The message will be sent again.")
    return visit.onward(lead_address(lead_id) if lead_id else "/messages", said)
