"""Operators reprocess with one UPDATE, in any state, and the seller is told nothing twice."""

import asyncio
import random
from collections import Counter

from tests.promises.conftest import Product


class TestReprocessing:
    async def test_an_unchanged_lead_sends_no_second_copy_and_pays_no_second_call(
        self, product: Product
    ) -> None:
        await product.deliver("a" * 32, product.people[0])
        product.stage.start_poller()
        await product.until_all_ended()
        paid = (await product.calls())["counts"]

        await product.db.execute(
            "UPDATE webhook_events SET status='received' WHERE lead_id=%s", ("a" * 32,)
        )
        await product.until_all_ended()

        assert len((await product.messages())["a" * 32]) == 1
        now = (await product.calls())["counts"]
        assert now["diretrix"] == paid["diretrix"]
        assert now["work_api"] == paid["work_api"]

    async def test_a_failed_event_goes_through_once_its_cause_is_gone(
        self, product: Product
    ) -> None:
        product.stage.start_poller()
        await product.db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw) values (%s, now(),"
            " '{}')",
            ("b" * 32,),
        )
        await product.until_all_ended()
        assert await product.db.fetch("select status, error_message from webhook_events") == [
            ("failed", "Lead not found")
        ]

        await product.stage.client.put(
            f"{product.stage.simulators_url}/_sim/leads/{'b' * 32}",
            json={
                "name": product.people[1].name,
                "phone": product.people[1].phone,
                "email": product.people[1].email,
            },
        )
        await product.db.execute(
            "UPDATE webhook_events SET status='received' WHERE status='failed'"
        )
        await product.until_all_ended()

        assert len((await product.messages())["b" * 32]) == 1

    async def test_the_operators_three_queries_run_as_they_stand(self, product: Product) -> None:
        await product.deliver("c" * 32, product.people[2])
        product.stage.start_poller()
        await product.until_all_ended()

        counts = await product.db.fetch(
            "SELECT status, COUNT(*) FROM webhook_events GROUP BY status;"
        )
        newest = await product.db.fetch(
            "SELECT lead_id, status, received_at, processed_at, error_message FROM webhook_events"
            " ORDER BY received_at DESC LIMIT 10;"
        )
        seconds = await product.db.value(
            "SELECT AVG(EXTRACT(EPOCH FROM (processed_at - received_at))) FROM webhook_events"
            " WHERE processed_at IS NOT NULL;"
        )

        assert counts[0].status == "completed"
        assert newest[-1].lead_id == "c" * 32
        assert 0 < seconds < 60


class TestAnOperatorUnderFire:
    async def test_resets_a_thousand_rows_of_every_status_while_it_drains(
        self, product: Product
    ) -> None:
        leads = [f"{number:032x}" for number in range(1, 13)]
        for number, lead in enumerate(leads):
            await product.deliver(lead, product.people[number])
        # Some are cut off in the middle of a call, the others anywhere else.
        await product.fault("work_api", {"kind": "slow", "seconds": 0.3, "probability": 0.5})
        for poller in ("first", "second"):
            product.stage.start_poller(poller, CONCURRENCY="3")
        await product.until(
            "they are at work", "exists (select from webhook_events where status = 'processing')"
        )
        chance = random.Random(3)
        hit: Counter[str] = Counter()

        # Failed and completed rows are also made by hand, because nothing here fails by itself.
        for turn in range(250):
            rows = await product.db.fetch("select id, status from webhook_events order by id")
            chosen = rows if turn % 50 == 49 else chance.sample(rows, 4)
            status = (
                chance.choice(["received"] * 8 + ["failed", "completed"])
                if len(chosen) < len(rows)
                else "received"
            )
            await product.db.execute(
                "UPDATE webhook_events SET status=%s WHERE id = any(%s)",
                (status, [row.id for row in chosen]),
            )
            hit += Counter(row.status for row in chosen)
            await asyncio.sleep(0.012)
        # What was set to completed or failed by hand is put right in the end, as a person would.
        await product.db.execute("UPDATE webhook_events SET status='received'")
        await product.until_all_ended()

        assert hit.total() > 1000
        assert (
            min(hit[status] for status in ("received", "processing", "completed", "failed")) > 20
        ), hit
        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        assert (
            await product.db.fetch(
                "select lead_id, error_message from webhook_events where status <> 'completed'"
            )
            == []
        )
        assert (
            await product.db.fetch(
                "select error_message from event_attempts where error_kind = 'bug'"
            )
            == []
        )
        assert all(product.stage.alive(poller) for poller in ("first", "second"))

        # A call that a reset interrupts is asked again: its answer never came. What was answered is
        # never asked again.
        paid = (await product.calls())["counts"]
        await product.db.execute("UPDATE webhook_events SET status='received'")
        await product.until_all_ended()
        now = (await product.calls())["counts"]
        assert (now["diretrix"], now["work_api"]) == (paid["diretrix"], paid["work_api"])
        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        for poller in ("first", "second"):
            assert '"event": "bug"' not in product.stage.log_of(poller).read_text().replace(
                '":"', '": "'
            )
