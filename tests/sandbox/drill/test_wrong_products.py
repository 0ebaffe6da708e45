"""A product that is wrong turns the audit red: the real one with one thing changed, and the drill's
audit of what came of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database

from c2s_enrich.enrichment import pipeline
from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.send import Sender
from c2s_enrich.enrichment.store import EnrichmentStore
from c2s_enrich.sandbox.drill.audit import Findings, Records, audit
from c2s_enrich.sandbox.drill.paid import Asked
from c2s_enrich.sandbox.drill.store import DrillStore
from c2s_enrich.sandbox.simulators.stream import Said

LEAD = "c5" * 16


class Audited(Brokerage):
    """A brokerage that remembers what was posted to it."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.said: list[Said] = []
        self.first, self.second, self.third = self.people[:3]

    async def post(self, email: str) -> UUID:
        """One more event of the lead, with this e-mail."""
        event_id = await self.accept(LEAD, self.first, email=email)
        moment: datetime = await self.db.value(
            "select updated_at from webhook_events where id = %s", (event_id,)
        )
        self.said.append(Said(LEAD, moment, self.first.phone, email))
        return event_id

    async def reprocess(self, event_id: UUID) -> None:
        """An operator sends the event through again."""
        await self.db.execute(
            "update webhook_events set status = 'received' where id = %s", (event_id,)
        )
        await self.work()

    async def audit(self) -> Findings:
        """The verdict of the drill."""
        store = DrillStore(self.db.url)
        await store.keep_diary()
        rows = [replace(row, completions=1, unaccounted=0) for row in await store.events()]
        outbox = await store.messages()
        await self.db.execute("drop table drill_resets")
        return audit(
            Records(
                said=self.said,
                accepted={(said.lead_id, said.updated_at): 0.0 for said in self.said},
                rows=rows,
                outbox=outbox,
                received={LEAD: self.messages(LEAD)},
                people=self.world.people,
                asked=[
                    Asked(
                        f"{upstream} {call.kind}",
                        call.subject,
                        call.started,
                        call.ended or call.started,
                    )
                    for upstream in ("diretrix", "work_api")
                    for call in self.world.asked(upstream)
                ],
            )
        )

    async def live(self) -> None:
        """A lead whose e-mail changes, one event that was overtaken, and four resets."""
        event_id = await self.post(self.first.email)
        await self.work()
        await self.post(self.second.email)
        await self.post(self.third.email)
        await self.work()
        for _ in range(4):
            await self.reprocess(event_id)


@pytest.fixture
async def lead(db: Database) -> Audited:
    return Audited(db)


def with_facts(monkeypatch: pytest.MonkeyPatch, facts_of: Callable[[Any], Any]) -> None:
    """Lets each event work with what this makes of its own facts, not with the merged ones."""
    right = EnrichmentStore.begin_work

    async def wrong(store: Any, claim: Any, facts: Any, *others: Any) -> Any:
        _, *answers = await right(store, claim, facts, *others)
        return facts_of(facts), *answers

    monkeypatch.setattr(EnrichmentStore, "begin_work", wrong)


class TestTheRightProduct:
    async def test_leaves_the_audit_clean(self, lead: Audited) -> None:
        await lead.live()

        assert (await lead.audit()).problems == ()
        assert len(lead.messages(LEAD)) == 2


class TestTheAuditGoesRedForAProduct:
    async def test_whose_content_key_differs_from_attempt_to_attempt(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = pipeline.compose_message  # type: ignore[attr-defined]

        def wrong(*given: Any, **named: Any) -> Any:
            message = right(*given, **named)
            key, ref = secrets.token_hex(32), f"{secrets.randbits(32):08X}"
            body = message.body.replace(message.ref, ref)
            return replace(message, content_key=key, ref=ref, body=body)

        monkeypatch.setattr(pipeline, "compose_message", wrong)
        await lead.live()

        # One more message for each of the four resets, and nothing else is wrong.
        assert len(lead.messages(LEAD)) == 2 + 4
        assert (await lead.audit()).problems == (
            f"duplicated: lead {LEAD} was told the same again",
        ) * 4

    async def test_that_never_tells_a_changed_contact(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_facts(monkeypatch, lambda facts: replace(facts, email=lead.first.email))
        await lead.post(lead.first.email)
        await lead.work()
        await lead.post(lead.second.email)
        await lead.work()

        assert (await lead.audit()).messages_missing == 1

    async def test_that_tells_an_old_contact_after_the_new_one(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await lead.post(lead.first.email)
        await lead.post(lead.second.email)
        await lead.work()

        with_facts(monkeypatch, lambda facts: facts)
        await lead.reprocess(first)

        assert (await lead.audit()).messages_wrong == 1

    async def test_that_shows_another_persons_record(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = pipeline.compose_message  # type: ignore[attr-defined]

        def wrong(*given: Any, **named: Any) -> Any:
            message = right(*given, **named)
            return replace(message, body=message.body.replace(lead.first.email, lead.third.email))

        monkeypatch.setattr(pipeline, "compose_message", wrong)
        await lead.post(lead.first.email)
        await lead.work()

        assert (await lead.audit()).messages_wrong == 1

    async def test_that_completes_without_sending(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def nothing(*_: Any) -> None:
            return None

        monkeypatch.setattr(Sender, "__call__", nothing)
        await lead.post(lead.first.email)
        await lead.work()

        assert (await lead.audit()).messages_missing == 1

    @pytest.mark.parametrize("remembered", ["contact_lookups", "people"])
    async def test_that_forgets_what_it_has_paid_for(
        self, lead: Audited, monkeypatch: pytest.MonkeyPatch, remembered: str
    ) -> None:
        right = Memory.ask

        async def wrong(*given: Any) -> Any:
            await lead.db.execute(f"update {remembered} set expires_at = now()")
            return await right(*given)

        monkeypatch.setattr(Memory, "ask", wrong)
        await lead.live()

        assert (await lead.audit()).paid_twice >= 4
