"""A failing upstream heals without hands: events wait for it, and no one of them fails."""

from promises.conftest import Product


class TestAnOutage:
    async def test_pauses_the_upstream_and_ends_with_every_event_completed(self, product: Product) -> None:
        await product.fault("diretrix", {"kind": "error500"})
        for number in range(4):
            await product.deliver(f"{number + 1:032x}", product.people[number])
        product.stage.start_poller()
        await product.until(
            "all pollers stop calling it", "exists (select from upstreams where name = 'diretrix' and paused_until is not null)"
        )

        await product.fault("diretrix")
        await product.until_all_ended()

        assert {lead: len(texts) for lead, texts in (await product.messages()).items()} == {f"{n:032x}": 1 for n in range(1, 5)}
        assert await product.db.value("select count(*) from webhook_events where status = 'failed'") == 0
        assert await product.db.value("select paused_until from upstreams where name = 'diretrix'") is None
