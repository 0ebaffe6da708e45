"""DELIVERY=shadow: the first days of a brokerage, before anybody knows who can read a message."""

from __future__ import annotations

from tests.brokerage import Brokerage

LEAD = "a" * 32


class TestShadow:
    async def test_does_everything_but_send(self, brokerage: Brokerage) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])

        await brokerage.work(DELIVERY="shadow")

        assert await brokerage.outcomes() == {LEAD: "shadow"}
        [message] = await brokerage.db.fetch("select status, body, sends from lead_messages")
        assert (message.status, message.sends) == ("pending", 0)
        assert brokerage.people[0].name.split()[0].upper() in message.body.upper()
        assert brokerage.world.leads[LEAD].messages == []

    async def test_is_why_the_seller_was_told_nothing(self, brokerage: Brokerage) -> None:
        event = await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(DELIVERY="shadow")

        cause = await brokerage.db.value("select cause from v_explain where event_id = %s", [event])

        assert cause == "shadow"

    async def test_ends_and_what_was_held_back_is_told_when_a_person_asks_for_it(
        self, brokerage: Brokerage
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(DELIVERY="shadow")

        await brokerage.work()
        assert brokerage.world.leads[LEAD].messages == []
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        assert await brokerage.outcomes() == {LEAD: "enriched"}
        assert len(brokerage.world.leads[LEAD].messages) == 1

    async def test_tells_nobody_of_a_lead_that_changes_either(self, brokerage: Brokerage) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(DELIVERY="shadow")

        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        assert await brokerage.outcomes() == {LEAD: "enriched"}
        assert len(brokerage.world.leads[LEAD].messages) == 1
