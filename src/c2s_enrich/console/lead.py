"""A lead: why it stands where it stands, what happened to it, what a person may do about it."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from operator import itemgetter
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec

from c2s_enrich.console.page import Onward, Page, Visit, lead_address
from c2s_enrich.console.plans import after_run
from c2s_enrich.database import Statements
from c2s_enrich.ops.causes import ACTIONS
from c2s_enrich.ops.events import AttemptLine, EventLine
from c2s_enrich.ops.explain import explain, read_what, situation_of
from c2s_enrich.ops.filters import Filter
from c2s_enrich.ops.plans import Order, PlanState
from c2s_enrich.ops.rejects import Reject
from c2s_enrich.ops.surface import N_, Refusal
from c2s_enrich.privacy.erase import erase
from c2s_enrich.redaction import redact


@dataclass(frozen=True)
class LeadEvent(EventLine):
    """One delivery of the lead with its newest 20 ended claims."""

    tries: list[AttemptLine]


@dataclass(frozen=True)
class LeadMessage:
    """A message as the seller sees it; masked unless personal data is asked for."""

    id: UUID
    event_id: UUID
    ref: str
    status: str
    body: str
    sends: int
    looks: int
    created_at: datetime
    sending_at: datetime | None
    sent_at: datetime | None
    proof: str | None


@dataclass(frozen=True)
class LeadPerson:
    cpf: str
    name: str | None
    birth_date: date | None
    found_by: str
    seen_at: datetime
    has_record: bool
    profile_fetched_at: datetime | None


@dataclass(frozen=True)
class LeadStory:
    """Newest first; at most 50 events and 20 of everything else. Rejects are those that wait.
    `customer` is who the lead is, as C2S said last: name, phone, email, closed and seller_name,
    contacts only where personal data is asked for.
    """

    events: list[LeadEvent]
    messages: list[LeadMessage]
    people: list[LeadPerson]
    rejects: list[Reject]
    actions: list[PlanState]
    customer: dict[str, Any] | None


async def lead(visit: Visit) -> Page:
    """Newest first; CPFs and contacts are masked."""
    return await _page(visit, personal=False)


async def search(visit: Visit) -> Onward:
    """By a lead's id, an event, a ref or a C2S address; a lead that never arrived has a page that
    says so. An event's own address leads to its place there.
    """
    what = str(visit.request.path_params.get("event_id") or visit.query.get("q", "").strip())
    asked = read_what(what)
    situation = await situation_of(visit.tools.reads, **asked)
    place = f"#{asked['event']}" if "event" in asked else ""
    return Onward(lead_address(situation.lead_id or what) + place)


async def act(visit: Visit) -> Page | Onward:
    match visit.field("do"):
        case "reprocess" | "fresh":
            return await _reprocess(visit)
        case "show":
            return await _show(visit)
        case "erase":
            return await _erase(visit)
    raise Refusal(422, N_("Choose one of the page's buttons."))


async def _page(visit: Visit, *, personal: bool) -> Page:
    lead_id, reads = _lead_id(visit), visit.tools.reads
    situation = await situation_of(reads, lead=lead_id)
    said = explain(situation, visit.words.language, visit.words.zone)
    sql = Statements(reads, "leads", prepare=False)
    [row] = await sql.read(dict, "lead_story", lead=lead_id, personal=personal)
    story = msgspec.convert(row, LeadStory)
    if not personal:
        story = replace(
            story,
            messages=[replace(each, body=redact(each.body)) for each in story.messages],
            rejects=[
                replace(each, detail=redact(each.detail or "") or None) for each in story.rejects
            ],
        )
    context = {
        "why": said,
        "story": story,
        "moments": _moments(story),
        "personal": personal,
        "paid": {name: ACTIONS[name][1] for name in ("again", "fresh")},
        "link": visit.tools.settings.lead_link.replace("{lead_id}", quote(lead_id, safe="")),
        "here_only": lead_address(lead_id),
    }
    return Page("lead.html", context, data={"explanation": said, "story": story})


async def _reprocess(visit: Visit) -> Onward:
    """One event, at once: the button said what it costs."""
    try:
        chosen = Filter(event=(str(UUID(visit.field("event"))),))
    except ValueError:
        raise Refusal(422, N_("Choose one of the page's buttons.")) from None
    planner = visit.planner()
    plan = await planner.plan(Order("reprocess", chosen, fresh=visit.field("do") == "fresh"))
    ended = await visit.tools.runs.run(planner, plan.id)
    return after_run(visit, plan.id, ended, lead_address(_lead_id(visit)))


async def _show(visit: Visit) -> Page:
    """The page with personal data, once: it is written down who saw it and why."""
    await visit.planner().record("personal_data_shown", {"lead": _lead_id(visit)}, visit.reason)
    return await _page(visit, personal=True)


async def _erase(visit: Visit) -> Page:
    """Cannot be undone, so the id is typed."""
    lead_id, reason = _lead_id(visit), visit.reason
    if visit.field("typed") != lead_id:
        raise Refusal(422, N_("Nothing was erased: type the lead's id exactly as it stands."))
    receipt = await erase(visit.tools.pool, lead_id=lead_id)
    await visit.planner().record("erase", {"lead": lead_id}, reason)
    keys = visit.tools.settings.hash_keys
    kept = [keys.hashes("erased", each)[0] for each in receipt.subjects] if keys.ids else []
    return Page("erased.html", {"receipt": receipt, "kept": kept})


def _lead_id(visit: Visit) -> str:
    lead_id = str(visit.part("lead_id"))
    if "\0" in lead_id:
        raise Refusal(404, N_("There is nothing at this address."))
    return lead_id


def _moments(story: LeadStory) -> list[tuple[datetime, str, Any]]:
    """When it happened, what it is and the thing itself, newest first."""
    found: list[tuple[datetime, str, Any]] = [
        *((each.received_at, "delivery", each) for each in story.events),
        *((each.finished_at, "attempt", each) for event in story.events for each in event.tries),
        *((each.received_at, "reject", each) for each in story.rejects),
        *((each.at, "action", each) for each in story.actions),
    ]
    for message in story.messages:
        at = message.sent_at or message.sending_at or message.created_at
        found.append((at, "message", message))
    return sorted(found, key=itemgetter(0), reverse=True)
