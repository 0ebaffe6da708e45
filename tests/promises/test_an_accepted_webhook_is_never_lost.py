"""An accepted webhook is never lost: what was answered 200 ends, whatever is killed meanwhile."""

from promises.conftest import Product


class TestAnAcceptedWebhook:
    async def test_survives_kill_9_of_web_and_of_the_poller(self, product: Product) -> None:
        leads = [f"{number:032x}" for number in range(1, 13)]
        for number, lead in enumerate(leads[:6]):
            await product.deliver(lead, product.people[number])
        product.stage.kill("web")
        product.stage.start_poller("first", CONCURRENCY="3")
        await product.until("the first poller is at work", "exists (select from webhook_events where status = 'processing')")
        product.stage.kill("first")

        await product.stage.start_web()
        for number, lead in enumerate(leads[6:], start=6):
            await product.deliver(lead, product.people[number])
        product.stage.start_poller("second")
        await product.until_all_ended()

        messages = await product.messages()
        assert {lead: len(messages.get(lead, [])) for lead in leads} == dict.fromkeys(leads, 1)
        assert await product.db.value("select count(*) from webhook_events where status <> 'completed'") == 0
