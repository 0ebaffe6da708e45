"""Operators reprocess with one UPDATE, in any state, and the seller is told nothing twice."""

from promises.conftest import Product


class TestReprocessing:
    async def test_an_unchanged_lead_sends_no_second_copy_and_pays_no_second_call(self, product: Product) -> None:
        await product.deliver("a" * 32, product.people[0])
        product.stage.start_poller()
        await product.until_all_ended()
        paid = (await product.calls())["counts"]

        await product.db.execute("UPDATE webhook_events SET status='received' WHERE lead_id=%s", ("a" * 32,))
        await product.until_all_ended()

        assert len((await product.messages())["a" * 32]) == 1
        now = (await product.calls())["counts"]
        assert now["diretrix"] == paid["diretrix"]
        assert now["work_api"] == paid["work_api"]

    async def test_a_failed_event_goes_through_once_its_cause_is_gone(self, product: Product) -> None:
        product.stage.start_poller()
        await product.db.execute("insert into webhook_events (lead_id, updated_at, payload_raw) values (%s, now(), '{}')", ("b" * 32,))
        await product.until_all_ended()
        assert await product.db.fetch("select status, error_message from webhook_events") == [("failed", "Lead not found")]

        await product.stage.client.put(
            f"{product.stage.simulators_url}/_sim/leads/{'b' * 32}",
            json={"name": product.people[1].name, "phone": product.people[1].phone, "email": product.people[1].email},
        )
        await product.db.execute("UPDATE webhook_events SET status='received' WHERE status='failed'")
        await product.until_all_ended()

        assert len((await product.messages())["b" * 32]) == 1

    async def test_the_operators_three_queries_run_as_they_stand(self, product: Product) -> None:
        await product.deliver("c" * 32, product.people[2])
        product.stage.start_poller()
        await product.until_all_ended()

        counts = await product.db.fetch("SELECT status, COUNT(*) FROM webhook_events GROUP BY status;")
        newest = await product.db.fetch(
            "SELECT lead_id, status, received_at, processed_at, error_message FROM webhook_events ORDER BY received_at DESC LIMIT 10;"
        )
        seconds = await product.db.value(
            "SELECT AVG(EXTRACT(EPOCH FROM (processed_at - received_at))) FROM webhook_events WHERE processed_at IS NOT NULL;"
        )

        assert counts[0].status == "completed"
        assert newest[-1].lead_id == "c" * 32
        assert 0 < seconds < 60
