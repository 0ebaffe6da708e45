"""One webhook in, one message on the lead, everything in Postgres."""

from tests.promises.conftest import Product


class TestTheMainJob:
    async def test_a_webhook_ends_completed_with_one_message_and_all_its_rows(
        self, product: Product
    ) -> None:
        product.stage.start_poller()

        answer = await product.deliver("a" * 32, product.people[0])
        await product.until_all_ended()

        assert answer == {
            "status": "received",
            "received": 1,
            "processed": 1,
            "duplicates": 0,
            "rejected": 0,
        }
        [body] = (await product.messages())["a" * 32]
        assert body.startswith("📞📧")
        for table in ("people", "lead_people", "lead_messages", "event_attempts"):
            assert await product.db.value(f"select count(*) from {table}") >= 1, table
        steps = await product.db.value(
            "select steps from event_attempts where outcome = 'enriched'"
        )
        assert {"extract", "skip", "lookup", "enrich", "store", "send"} <= {
            each["step"] for each in steps
        }

    async def test_our_own_message_is_not_answered(self, product: Product) -> None:
        product.stage.start_poller()

        await product.deliver("b" * 32, product.people[1])
        await product.until(
            "C2S's echo of our message has arrived and ended",
            "count(*) filter (where status = 'completed') = 2 from webhook_events",
        )

        assert len((await product.messages())["b" * 32]) == 1
        assert await product.db.fetch(
            "select outcome from webhook_events order by received_at"
        ) == [("enriched",), ("unchanged",)]
