"""An older event never undoes what a newer one has told."""

from __future__ import annotations

from tests.brokerage import Brokerage

LEAD = "a1" * 16


class TestAnOlderEvent:
    async def test_that_is_reprocessed_tells_nothing_about_a_contact_the_lead_no_longer_has(
        self, brokerage: Brokerage
    ) -> None:
        ana, bia = brokerage.people[:2]
        older = await brokerage.accept(LEAD, ana)
        await brokerage.accept(LEAD, ana, email=bia.email)
        await brokerage.work()

        await brokerage.db.execute(
            "update webhook_events set status = 'received' where id = %s", (older,)
        )
        await brokerage.work()

        [text] = brokerage.messages(LEAD)
        assert bia.email in text
