"""All that happened to one lead, for its page: deliveries, attempts, messages, people, actions."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool, Statements
from c2s_enrich.ops.events import AttemptLine
from c2s_enrich.redaction import redact


@dataclass(frozen=True)
class LeadEvent:
    """One delivery of the lead with its newest 20 ended claims."""

    event_id: UUID
    hook_action: str | None
    status: str
    outcome: str | None
    error_kind: str | None
    error_message: str | None
    attempts: int
    max_attempts: int
    received_at: datetime
    processed_at: datetime | None
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
    """Somebody who was found by the lead's contacts."""

    cpf: str
    name: str | None
    birth_date: date | None
    found_by: str
    seen_at: datetime
    has_record: bool
    profile_fetched_at: datetime | None


@dataclass(frozen=True)
class LeadReject:
    """A delivery of the lead that could not be read and still waits."""

    id: UUID
    received_at: datetime
    reason: str
    detail: str | None
    times: int


@dataclass(frozen=True)
class LeadAction:
    """What an operator did to this lead, one of its events or one of its messages."""

    id: UUID
    at: datetime
    actor: str
    via: str
    verb: str
    reason: str | None
    state: str
    done: int
    skipped: int


@dataclass(frozen=True)
class Customer:
    """Who the lead is, as C2S said last; contacts only where personal data is asked for."""

    name: str | None
    phone: str | None
    email: str | None
    closed: bool
    seller_name: str | None


@dataclass(frozen=True)
class LeadStory:
    """Newest first; at most 50 events and 20 of everything else."""

    events: list[LeadEvent]
    messages: list[LeadMessage]
    people: list[LeadPerson]
    rejects: list[LeadReject]
    actions: list[LeadAction]
    customer: Customer | None


class LeadsDesk:
    def __init__(self, pool: Pool) -> None:
        self._sql = Statements(pool, "leads", prepare=False)

    async def story(self, lead_id: str, *, personal: bool = False) -> LeadStory:
        """What may be about a person is masked unless `personal` is true."""
        [row] = await self._sql.read(dict, "lead_story", lead=lead_id, personal=personal)
        story = msgspec.convert(row, LeadStory)
        if personal:
            return story
        masked = [replace(each, body=redact(each.body)) for each in story.messages]
        masked_rejects = [
            replace(each, detail=redact(each.detail or "") or None) for each in story.rejects
        ]
        return replace(story, messages=masked, rejects=masked_rejects)
