"""The pipeline's only door to the database: `sql/queries/enrichment.sql`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool, Statements, statements
from c2s_enrich.enrichment.history import DatabaseHistory, Seen
from c2s_enrich.enrichment.message import SellerMessage, Told, with_forgotten
from c2s_enrich.enrichment.skip import Situation
from c2s_enrich.errors import LeaseLost
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.cpf import Candidate, Cpf
from c2s_enrich.queue.claim import Claim, Fact
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.limits import Decision, Terms


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


@dataclass(frozen=True)
class Question:
    """A paid question. `kind` is phone, email or record; `subject` the contact or the CPF."""

    source: str
    kind: str
    subject: str = field(repr=False)

    @property
    def params(self) -> dict[str, str]:
        """For statements. `what` is its key while it is being asked."""
        what = f"{self.source} {'cpf' if self.kind == 'record' else self.kind} {self.subject}"
        return {
            "what": what, "source": self.source, "kind": self.kind, "subject": self.subject,
        }  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """`decision.word` is remembered, busy or a limit's. `at`: when it was asked, or is from now."""

    decision: Decision
    answer: Any = field(repr=False)
    at: datetime


def record_facts() -> LiteralString:
    """The statement by which the queue records `message_sent` with the event's completion."""
    return statements("enrichment")["message_sent"]


class EnrichmentStore:
    """Leads, answers and the outbox. Methods that take a Claim are fenced or tied to its lease."""

    def __init__(
        self,
        pool: Pool,
        history: DatabaseHistory,
        account: str,
        settings: Settings,
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
        row = await self._one(
            "begin_work",
            **_fence(claim), refs=list(refs), hashes=list(hashes),
            name=facts.name, phone=facts.phone, email=facts.email, closed=facts.closed,
            seller_id=facts.seller_id, seller_name=facts.seller_name,
        )  # fmt: skip
        if row is None:
            raise LeaseLost
        name, phone, email, newer, newer_waits, fingerprint, told, unsent, *more = row
        suppressed, restored, *seen = more
        if await self._history.compare(Seen(*seen), asked):
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
        row = await self._one("withdraw_unsent", **_fence(claim), **self._rules)
        return row is not None

    async def ask(self, claim: Claim, question: Question, terms: Terms) -> Reply:
        """A remembered answer, or the right to ask and the limits' decision, in one statement."""
        [row] = await self._sql.rows("ask", **_fence(claim), **question.params, **terms)
        return Reply(Decision(*row[:5]), *row[5:])

    async def give_up_asking(self, claim: Claim, question: Question, *, perhaps_paid: bool) -> None:
        params = _fence(claim) | question.params
        await self._sql.rows("give_up_asking", **params, perhaps_paid=perhaps_paid)

    async def keep_lookup(
        self,
        claim: Claim,
        question: Question,
        answer: Sequence[Candidate],
        asked_at: datetime,
        freshness: timedelta,
    ) -> None:
        """Freshness counts from `asked_at`, and an older answer never replaces a newer one."""
        candidates = [{"cpf": each.cpf.digits, "name": each.name} for each in answer]
        await self._sql.rows(
            "keep_lookup",
            **_fence(claim),
            **question.params,
            contact=question.subject,
            asked_at=asked_at,
            freshness=freshness,
            candidates=msgspec.json.encode(candidates).decode(),
        )

    async def store_result(
        self,
        claim: Claim,
        people: Sequence[tuple[Cpf, str]],
        message: SellerMessage,
        contacts: Sequence[str],
    ) -> OutboxMessage:
        """Who was found, and the message into the outbox. Raises LeaseLost."""
        row = await self._one(
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
        if row is None:
            raise LeaseLost
        return OutboxMessage(*row)

    async def unclear_messages(self, claim: Claim, content_key: str | None) -> list[OutboxMessage]:
        """What this event may have sent with another content than this one."""
        params = _fence(claim) | self._rules
        rows = await self._sql.rows("unclear_messages", **params, content_key=content_key)
        return [OutboxMessage(*row) for row in rows]

    async def permit_send(self, claim: Claim, message: OutboxMessage) -> datetime | None:
        """When the right to send was given; None: the lease is too short or the row moved on."""
        params = _fence(claim) | self._rules
        row = await self._one("permit_send", **params, message_id=message.id, worker=claim.worker)
        return row[0] if row else None

    async def not_sent(self, message: OutboxMessage, sending_at: datetime) -> None:
        await self._sql.rows("not_sent", message_id=message.id, sending_at=sending_at)

    async def record_look(self, message: OutboxMessage) -> tuple[int, bool] | None:
        """Counts a look that did not find the message: how many there were, and if this account
        is proven to show what it has. None when the row has moved on meanwhile.
        """
        params = {"message_id": message.id, "sending_at": message.sending_at}
        row = await self._one("record_look", **params, **self._rules)
        return (row[0], row[1]) if row else None

    async def record_read_back(self, *, found: bool) -> None:
        await self._sql.rows("record_read_back", **self._rules, found=found)

    def message_sent(
        self,
        message: OutboxMessage,
        proof: str,
        c2s_message_id: str | None = None,
        *,
        order: Sequence[str] = (),
    ) -> Fact:
        """The fact that C2S has the message, to be committed with the event's completion. `order`:
        the refs of our messages on the lead, oldest first, where it was found there.
        """
        return {
            "message_id": message.id,
            "proof": proof,
            "c2s_message_id": c2s_message_id,
            "on_the_lead": order,
        }

    async def record_sent(self, fact: Fact) -> None:
        """The same at once, where the event does not end with it."""
        await self._sql.rows("message_sent", facts=msgspec.json.encode([fact]).decode())

    async def _one(self, statement: str, /, **params: Any) -> tuple[Any, ...] | None:
        return next(iter(await self._sql.rows(statement, **params)), None)


def _fence(claim: Claim) -> dict[str, Any]:
    return {"event_id": claim.event_id, "lease_token": claim.lease_token}
