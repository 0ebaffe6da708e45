"""A poller that was frozen past its lease and wakes up changes nothing: another has finished its
work meanwhile.
"""

import signal
from pathlib import Path

from tests.promises.conftest import Product

MISBEHAVING = str(Path(__file__).with_name("poller_that_misbehaves.py"))
# Before "sending" is committed; after it; after C2S has answered.
POINTS = ["permit", "permitted", "answered"]


class TestAZombie:
    async def test_that_wakes_around_the_send_neither_sends_again_nor_rewrites_what_happened(
        self, product: Product
    ) -> None:
        leads = [f"{number:032x}" for number in range(1, 4)]
        for number, lead in enumerate(leads):
            await product.deliver(lead, product.people[number])
        for point in POINTS:
            product.stage.start_poller(point, (MISBEHAVING, "freezes-at", point), CONCURRENCY="1")
        for point in POINTS:
            await product.until_frozen(point)

        product.stage.start_poller("survivor")
        await product.until_all_ended(60)
        before = await _story(product)
        product.stage.kill("survivor")
        for point in POINTS:
            product.stage.signal(point, signal.SIGCONT)
        for point in POINTS:
            await product.until_it_logs(point, "lease_lost")

        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        assert await _story(product) == before
        assert await product.db.value(
            "select count(*) from event_attempts where result = 'worker_lost'"
        ) == len(POINTS)


async def _story(product: Product) -> list[object]:
    """Every event and every attempt of those that were frozen, as they stand."""
    ours = "select id from webhook_events where updated_at < '2025-07-01'"
    return [
        *await product.db.fetch(f"select * from webhook_events where id in ({ours}) order by id"),
        *await product.db.fetch(
            f"select * from event_attempts where event_id in ({ours}) order by event_id,"
            " lease_token"
        ),
        *await product.db.fetch(
            "select id, status, sends, proof, sent_at from lead_messages order by id"
        ),
    ]
