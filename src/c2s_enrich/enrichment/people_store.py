"""Records, whole as remembered answers and in rows for analysts: `sql/queries/people.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from c2s_enrich.database import Pool, Statements
from c2s_enrich.enrichment.store import Question
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.profile import AddressEntry, Profile
from c2s_enrich.queue.claim import Claim


@dataclass(frozen=True)
class HitRate:
    """Found among a source's latest 50 answers, and the up to 500 before; `fell`: not by chance."""

    source: str
    kind: str
    latest: int
    latest_found: int
    earlier: int
    earlier_found: int
    fell: bool


class PeopleStore:
    def __init__(self, pool: Pool) -> None:
        self._sql = Statements(pool, "people")

    async def keep_person(
        self,
        claim: Claim,
        question: Question,
        answer: Profile | None,
        asked_at: datetime,
        freshness: timedelta,
    ) -> None:
        """Remembers an answer and ends the question. `asked_at` is the database's time before the
        question left. A fact, not fenced: it was paid for. Only an answer older than the known one,
        or of an erased lead, is dropped.
        """
        await self._sql.rows(
            "keep_person",
            **question.params,
            event_id=claim.event_id,
            cpf=question.subject,
            asked_at=asked_at,
            freshness=freshness,
            profile=None if answer is None else msgspec.json.encode(answer).decode(),
            phones=_entries(answer.phones if answer else ()),
            emails=_entries(answer.emails if answer else ()),
            addresses=_entries(answer.addresses if answer else ()),
            companies=_entries(answer.companies if answer else ()),
        )

    async def hit_rates(self) -> list[HitRate]:
        """By source and kind; those without any answer are left out."""
        return [HitRate(*row) for row in await self._sql.rows("hit_rates")]


async def forget_answers(pool: Pool, lead_ids: Sequence[str]) -> int:
    """Ends the freshness of all answers that these leads rest on; returns how many."""
    async with pool.connection() as connection, connection.transaction():
        sql = Statements(connection, "people")
        leads = await sql.rows("lead_contacts", lead_ids=list(lead_ids))
        contacts = [key for row in leads for key in read_contacts(LeadFacts(*row)).keys]
        lookups = await sql.touch("forget_lookups", lead_ids=list(lead_ids), contacts=contacts)
        return lookups + await sql.touch("forget_people", lead_ids=list(lead_ids))


def _entries(entries: Sequence[msgspec.Struct]) -> str:
    """A list of the profile as JSON, in its order: best first."""
    fields: list[dict[str, Any]] = msgspec.to_builtins(entries)
    for entry, as_json in zip(entries, fields, strict=True):
        if isinstance(entry, AddressEntry):
            as_json["key"] = entry.key
    return msgspec.json.encode(fields).decode()
