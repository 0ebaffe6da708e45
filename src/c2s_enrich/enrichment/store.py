"""The pipeline's only door to the database: each statement of `sql/queries/enrichment.sql` has its
one caller here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic, LiteralString, TypeVar
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool, statements
from c2s_enrich.enrichment.message import SellerMessage, Told
from c2s_enrich.enrichment.skip import Situation
from c2s_enrich.errors import LeaseLost
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.queue.claim import Claim, Fact

T = TypeVar("T")


@dataclass(frozen=True)
class OutboxMessage:
    """One row of `lead_messages`. `unsettled` is how long C2S may still take to apply the last
    send; `sending_at` names it.
    """

    id: UUID
    status: str
    body: str
    ref: str
    sends: int
    looks: int
    sending_at: datetime | None
    unsettled: timedelta | None


@dataclass(frozen=True)
class Remembered(Generic[T]):
    """A remembered answer, which may itself be "nobody" or "no record", and when it was asked for."""

    answer: T
    at: datetime


def record_facts() -> LiteralString:
    """The statement by which the queue records `message_sent` in the same breath as the event's
    completion.
    """
    return statements("enrichment")["message_sent"]


class EnrichmentStore:
    """Leads, remembered answers and the outbox. Methods that take a Claim are fenced, or tie a
    question to its lease.
    """

    def __init__(
        self, pool: Pool, *, settle_time: timedelta, time_limit: timedelta, max_sends: int
    ) -> None:
        self._pool = pool
        self._sql = statements("enrichment")
        self._sending = {
            "settle_time": settle_time,
            "time_limit": time_limit,
            "max_sends": max_sends,
        }

    async def merge_lead(self, claim: Claim, facts: LeadFacts) -> LeadFacts:
        """Merges what an event says of its lead into what was known; returns the facts with the
        merged contact, which is a newer event's where there is one.

        Raises LeaseLost when the event is not ours any more, or its lead was erased.
        """
        row = await self._one(
            "merge_lead",
            event_id=claim.event_id, lease_token=claim.lease_token,
            lead_id=facts.lead_id, name=facts.name, phone=facts.phone, email=facts.email, closed=facts.closed,
            seller_id=facts.seller_id, seller_name=facts.seller_name,
        )  # fmt: skip
        if row is None:
            raise LeaseLost
        return replace(facts, name=row[0], phone=row[1], email=row[2])

    async def situation(self, claim: Claim) -> Situation:
        row = await self._one("situation", event_id=claim.event_id, lead_id=claim.lead_id)
        return Situation(*row) if row else Situation(False, None, False)

    async def told(self, lead_id: str) -> list[Told]:
        """What the lead's seller was told, oldest first."""
        return [
            Told(key, ref, frozenset(contacts))
            for key, ref, contacts in await self._all("told", lead_id=lead_id)
        ]

    async def receive_own_messages(self, lead_id: str, refs: Sequence[str]) -> int:
        """Marks the messages that a payload shows as sent; returns how many were unclear until now."""
        return len(await self._all("receive_own_messages", lead_id=lead_id, refs=list(refs)))

    async def withdraw_unsent(self, claim: Claim) -> None:
        await self._run("withdraw_unsent", **self._withdrawal(claim, None))

    def _withdrawal(self, claim: Claim, kept: str | None) -> dict[str, Any]:
        fence = {"event_id": claim.event_id, "lease_token": claim.lease_token}
        return fence | {"kept": kept, "settle_time": self._sending["settle_time"]}

    async def recall_lookup(
        self, source: str, kind: str, contact: str
    ) -> Remembered[tuple[Candidate, ...]] | None:
        row = await self._one("recall_lookup", source=source, kind=kind, contact=contact)
        if row is None:
            return None
        found = ((Cpf.parse(entry["cpf"]), entry["name"]) for entry in row[0])
        people = tuple(Candidate(cpf, name) for cpf, name in found if cpf is not None)
        return Remembered(people, row[1])

    async def keep_lookup(
        self,
        claim: Claim,
        what: str,
        source: str,
        kind: str,
        contact: str,
        answer: Sequence[Candidate],
        asked_at: datetime,
        freshness: timedelta,
    ) -> None:
        """`asked_at` is what `ask_first` answered: freshness counts from there, and an older answer
        never replaces a newer one.
        """
        await self._run(
            "keep_lookup",
            what=what, event_id=claim.event_id, source=source, kind=kind, contact=contact, asked_at=asked_at, freshness=freshness,
            candidates=msgspec.json.encode([{"cpf": c.cpf.digits, "name": c.name} for c in answer]).decode(),
        )  # fmt: skip

    async def ask_first(self, claim: Claim, what: str) -> datetime | None:
        """The database's time: this event asks the paid question. None: another one is asking just
        now.
        """
        row = await self._one(
            "ask_first", what=what, event_id=claim.event_id, lease_token=claim.lease_token
        )
        return row[0] if row else None

    async def give_up_asking(self, claim: Claim, what: str) -> None:
        await self._run(
            "give_up_asking", what=what, event_id=claim.event_id, lease_token=claim.lease_token
        )

    async def store_result(
        self,
        claim: Claim,
        people: Sequence[tuple[Cpf, str]],
        message: SellerMessage,
        contacts: Sequence[str],
    ) -> None:
        """One fenced transaction: who was found, and the message into the outbox. Raises LeaseLost
        when the event is not ours.
        """
        async with (
            self._pool.connection() as connection,
            connection.pipeline(),
            connection.transaction(),
        ):
            held = await connection.execute(
                self._sql["hold_event"],
                {"event_id": claim.event_id, "lease_token": claim.lease_token},
            )
            if await held.fetchone() is None:
                raise LeaseLost
            for cpf, found_by in people:
                await connection.execute(
                    self._sql["link_person"],
                    {
                        "lead_id": claim.lead_id,
                        "cpf": cpf.digits,
                        "found_by": found_by,
                        "event_id": claim.event_id,
                    },
                )
            await connection.execute(
                self._sql["unlink_others"],
                {"lead_id": claim.lead_id, "cpfs": [cpf.digits for cpf, _ in people]},
            )
            await connection.execute(
                self._sql["withdraw_unsent"], self._withdrawal(claim, message.content_key)
            )
            await connection.execute(
                self._sql["put_message"],
                {
                    "event_id": claim.event_id,
                    "lead_id": claim.lead_id,
                    "content_key": message.content_key,
                    "body": message.body,
                    "ref": message.ref,
                    "contacts": list(contacts),
                },
            )

    async def message(self, lead_id: str, content_key: str) -> OutboxMessage | None:
        row = await self._one(
            "message",
            lead_id=lead_id,
            content_key=content_key,
            settle_time=self._sending["settle_time"],
        )
        return OutboxMessage(*row) if row else None

    async def unclear_messages(self, claim: Claim, content_key: str | None) -> list[OutboxMessage]:
        """What this event may have sent with another content than this one."""
        settle_time = self._sending["settle_time"]
        rows = await self._all(
            "unclear_messages",
            event_id=claim.event_id,
            content_key=content_key,
            settle_time=settle_time,
        )
        return [OutboxMessage(*row) for row in rows]

    async def permit_send(self, claim: Claim, message: OutboxMessage) -> datetime | None:
        """The right to send, committed; its name is the answer. None: the lease is too short or
        gone, or the row has moved on.
        """
        row = await self._one(
            "permit_send",
            event_id=claim.event_id,
            lease_token=claim.lease_token,
            message_id=message.id,
            **self._sending,
        )
        return row[0] if row else None

    async def not_sent(self, message: OutboxMessage, sending_at: datetime) -> None:
        await self._run("not_sent", message_id=message.id, sending_at=sending_at)

    async def record_look(self, message: OutboxMessage) -> int | None:
        """Counts a look that did not find the message; None when the row has moved on meanwhile."""
        row = await self._one(
            "record_look",
            message_id=message.id,
            sending_at=message.sending_at,
            settle_time=self._sending["settle_time"],
        )
        return row[0] if row else None

    def message_sent(self, message: OutboxMessage, proof: str, c2s_message_id: str | None) -> Fact:
        """The fact that C2S has the message, to be committed together with the event's completion."""
        return {"message_id": message.id, "proof": proof, "c2s_message_id": c2s_message_id}

    async def record_sent(self, message: OutboxMessage, proof: str) -> None:
        """The same at once: for a message that is not the one with which the event ends."""
        facts = msgspec.json.encode([self.message_sent(message, proof, None)]).decode()
        await self._run("message_sent", facts=facts)

    async def _one(self, statement: str, /, **params: Any) -> tuple[Any, ...] | None:
        async with self._pool.connection() as connection:
            return await (await connection.execute(self._sql[statement], params)).fetchone()

    async def _all(self, statement: str, /, **params: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(self._sql[statement], params)).fetchall()

    async def _run(self, statement: str, /, **params: Any) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(self._sql[statement], params)
