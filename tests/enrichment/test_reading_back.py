"""Looking for a message on its lead says something only where C2S shows what it has."""

from __future__ import annotations

from typing import Any

import pytest
from tests.brokerage import Brokerage

from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.upstreams.c2s import C2s

LEAD, OTHER = "a" * 32, "b" * 32


async def an_unclear_delivery(brokerage: Brokerage, **settings: Any) -> None:
    """A send without an answer, that did not arrive; then the settle time and both looks pass."""
    brokerage.world.dial.set("c2s", Fault("error500", call="message", count=1))
    await brokerage.accept(LEAD, brokerage.people[0])
    for _ in range(4):
        await brokerage.work(**settings)
        await brokerage.db.execute(
            "update lead_messages set sending_at = sending_at - interval '1 hour' where status ="
            " 'sending'"
        )
        await brokerage.db.execute(
            "update webhook_events set available_at = now() where status = 'received'"
        )


class TestAnUnclearDelivery:
    async def test_is_held_for_a_person_before_any_message_was_read_back(
        self, brokerage: Brokerage
    ) -> None:
        await an_unclear_delivery(brokerage)

        assert await brokerage.db.fetch("select status, error_kind from webhook_events") == [
            ("failed", "delivery_unclear")
        ]
        assert brokerage.messages(LEAD) == []

    @pytest.mark.parametrize("shown", [0, 60])
    async def test_is_held_where_c2s_shows_nothing_or_only_the_beginning(
        self, brokerage: Brokerage, monkeypatch: pytest.MonkeyPatch, shown: int
    ) -> None:
        right = C2s.messages

        async def beginnings(c2s: C2s, lead_id: str) -> Any:
            return tuple(text[:shown] for text in await right(c2s, lead_id))

        monkeypatch.setattr(C2s, "messages", beginnings)
        await brokerage.accept(OTHER, brokerage.people[1])
        await brokerage.work()

        await an_unclear_delivery(brokerage)

        assert (await brokerage.outcomes()) == {OTHER: "enriched", LEAD: "failed"}
        assert brokerage.messages(LEAD) == []
        assert await brokerage.db.value("select proven_at is null from read_backs")

    async def test_is_sent_again_once_reading_back_is_proven(self, brokerage: Brokerage) -> None:
        await brokerage.accept(OTHER, brokerage.people[1])
        await brokerage.work()

        await an_unclear_delivery(brokerage)

        assert len(brokerage.messages(LEAD)) == 1

    async def test_that_becomes_clear_by_itself_ends_every_event_that_failed_because_of_it(
        self, brokerage: Brokerage
    ) -> None:
        await an_unclear_delivery(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        failed = await brokerage.db.fetch("select error_kind from webhook_events")
        await brokerage.db.execute(
            "update lead_messages set status = 'sent', sent_at = now(), proof = 'webhook'"
        )
        for _ in range(3):  # the second one may wait a moment for what the first one asks
            await brokerage.work()
            await brokerage.db.execute(
                "update webhook_events set available_at = now() where status = 'received'"
            )

        assert failed == [("delivery_unclear",)] * 2
        assert await brokerage.db.fetch("select distinct status from webhook_events") == [
            ("completed",)
        ]
        assert brokerage.messages(LEAD) == []

    async def test_is_held_again_after_a_change_of_settings(self, brokerage: Brokerage) -> None:
        await brokerage.accept(OTHER, brokerage.people[1])
        await brokerage.work()

        await an_unclear_delivery(brokerage, C2S_MESSAGE_PATH="/leads/{lead_id}/create_message/")

        assert (await brokerage.outcomes())[LEAD] == "failed"


class TestTheProof:
    async def test_is_the_first_message_found_on_its_lead_and_costs_one_look(
        self, brokerage: Brokerage
    ) -> None:
        for number in range(5):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
            await brokerage.work()

        assert len(brokerage.world.asked("c2s", "lead")) == 1
        assert await brokerage.db.value(
            "select count(*) from read_backs where proven_at is not null"
        )

    async def test_that_fails_does_not_lose_what_was_sent(self, brokerage: Brokerage) -> None:
        brokerage.world.dial.set("c2s", Fault("error500", call="lead", status=403))
        await brokerage.accept(LEAD, brokerage.people[0])

        await brokerage.work()

        assert await brokerage.outcomes() == {LEAD: "enriched"}
        assert await brokerage.db.value("select status from lead_messages") == "sent"
