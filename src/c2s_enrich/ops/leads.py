"""All that happened to one lead, for its page: deliveries, attempts, messages, people, actions."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool, Statements
from c2s_enrich.ops.events import AttemptLine, EventLine
from c2s_enrich.ops.plans import PlanState
from c2s_enrich.ops.rejects import Reject
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


async def lead_story(pool: Pool, lead_id: str, *, personal: bool = False) -> LeadStory:
    """One statement. What may be about a person is masked unless `personal` is true."""
    sql = Statements(pool, "leads", prepare=False)
    [row] = await sql.read(dict, "lead_story", lead=lead_id, personal=personal)
    story = msgspec.convert(row, LeadStory)
    if personal:
        return story
    messages = [replace(each, body=redact(each.body)) for each in story.messages]
    rejects = [replace(each, detail=redact(each.detail or "") or None) for each in story.rejects]
    return replace(story, messages=messages, rejects=rejects)
