"""The pipeline's only door to the database: `sql/queries/enrichment.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool, Statements, statements
from c2s_enrich.enrichment.history import DatabaseHistory
from c2s_enrich.enrichment.message import SellerMessage, Told, with_forgotten
from c2s_enrich.enrichment.skip import Situation
from c2s_enrich.errors import LeaseLost
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.queue.claim import Claim, Fact
from c2s_enrich.settings import Settings


@dataclass(frozen=True)
class OutboxMessage:
    """One row of `lead_messages`. C2S may take `unsettled` to apply the last send, which
    `sending_at` names. `to_prove`: nobody knows yet whether this account shows our messages.
    """

    id: UUID
    status: str
    body: str
    ref: str
    sends: int
    looks: int
    sending_at: datetime | None
    unsettled: timedelta | None
    content_key: str
    to_prove: bool


def record_facts() -> LiteralString:
    """The statement by which the queue records `message_sent` with the event's completion."""
    return statements("enrichment")["message_sent"]


class EnrichmentStore:
    """Leads and the outbox. Methods that take a Claim are fenced."""

    def __init__(
        self, pool: Pool, history: DatabaseHistory, account: str, settings: Settings
    ) -> None:
        self._sql = Statements(pool, "enrichment")
        self._history = history
        self._rules = {
            "account": account,
            "settle_time": settings.settle_time,
            "time_limit": settings.c2s_timeout,
            "max_sends": settings.max_sends,
        }

    async def begin_work(
        self, claim: Claim, facts: LeadFacts, refs: Sequence[str], hashes: Sequence[str] = ()
    ) -> tuple[LeadFacts, Situation, bool]:
        """Merges what an event says of its lead into what was known, and takes `refs` for receipts;
        the last answer is whether one of `hashes` must not be processed.
        Raises LeaseLost when the event is not ours any more, or its lead was erased.
        """
        asked = self._history.mark
        rows = await self._sql.rows(
            "begin_work",
            **_fence(claim), refs=list(refs), hashes=list(hashes),
            name=facts.name, phone=facts.phone, email=facts.email, closed=facts.closed,
            seller_id=facts.seller_id, seller_name=facts.seller_name,
        )  # fmt: skip
        if not rows:
            raise LeaseLost
        name, phone, email, newer, newer_waits, fingerprint, told, unsent, *more = rows[0]
        suppressed, restored, identity, log_end, remembered = more
        if await self._history.compare(identity, log_end, remembered, asked):
            # What waited is unclear now.
            return await self.begin_work(claim, facts, refs, hashes)
        earlier = tuple(Told(key, ref, frozenset(contacts)) for key, ref, contacts in told)
        if restored:
            earlier = with_forgotten(earlier, refs)
        return (
            replace(facts, name=name, phone=phone, email=email),
            Situation(newer, newer_waits, fingerprint, earlier, unsent),
            suppressed,
        )

    async def suppressed(self, hashes: Sequence[str]) -> bool:
        [(found,)] = await self._sql.rows("suppressed", hashes=list(hashes))
        return bool(found)

    async def withdraw_unsent(self, claim: Claim) -> bool:
        """What the event never sent has nothing to say any more. Whether some may have been."""
        return bool(await self._sql.rows("withdraw_unsent", **_fence(claim), **self._rules))

    async def store_result(
        self,
        claim: Claim,
        people: Sequence[tuple[Cpf, str]],
        message: SellerMessage,
        contacts: Sequence[str],
    ) -> OutboxMessage:
        """Who was found, and the message into the outbox. Raises LeaseLost."""
        stored = await self._sql.one(
            OutboxMessage,
            "store_result",
            **_fence(claim),
            **self._rules,
            cpfs=[cpf.digits for cpf, _ in people],
            found_by=[found_by for _, found_by in people],
            content_key=message.content_key,
            body=message.body,
            ref=message.ref,
            contacts=list(contacts),
        )
        if stored is None:
            raise LeaseLost
        return stored

    async def unclear_messages(self, claim: Claim, content_key: str | None) -> list[OutboxMessage]:
        """What this event may have sent with another content than this one."""
        params = _fence(claim) | self._rules | {"content_key": content_key}
        return await self._sql.read(OutboxMessage, "unclear_messages", **params)

    async def permit_send(self, claim: Claim, message: OutboxMessage) -> datetime | None:
        """When the right to send was given; None: the lease is too short or the row moved on."""
        params = _fence(claim) | self._rules | {"message_id": message.id, "worker": claim.worker}
        permitted: list[Any] = await self._sql.rows("permit_send", **params)
        return permitted[0][0] if permitted else None

    async def not_sent(self, message: OutboxMessage, sending_at: datetime) -> None:
        await self._sql.rows("not_sent", message_id=message.id, sending_at=sending_at)

    async def record_look(self, message: OutboxMessage) -> tuple[int, bool] | None:
        """Counts a look that did not find the message: how many there were, and if this account
        is proven to show what it has. None when the row has moved on meanwhile.
        """
        params = {"message_id": message.id, "sending_at": message.sending_at}
        for looks, proven in await self._sql.rows("record_look", **params, **self._rules):
            return looks, proven
        return None

    async def record_read_back(self, *, found: bool) -> None:
        await self._sql.rows("record_read_back", **self._rules, found=found)

    async def record_sent(self, fact: Fact) -> None:
        """A `sent_fact` at once, where the event does not end with it."""
        await self._sql.rows("message_sent", facts=msgspec.json.encode([fact]).decode())


def sent_fact(
    message: OutboxMessage, proof: str, c2s_id: str | None = None, *, order: Sequence[str] = ()
) -> Fact:
    """That C2S has the message, to be committed with the event's completion. `order`: the refs of
    our messages on the lead, oldest first, where it was found there.
    """
    return {
        "message_id": message.id,
        "proof": proof,
        "c2s_message_id": c2s_id,
        "on_the_lead": order,
    }


def _fence(claim: Claim) -> dict[str, Any]:
    return {"event_id": claim.event_id, "lease_token": claim.lease_token}
