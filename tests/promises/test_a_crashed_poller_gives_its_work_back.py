"""A crashed poller gives its work back: what kills the process fails in the end, and takes nobody
along.
"""

import asyncio
from pathlib import Path

from promises.conftest import Product

MISBEHAVING = str(Path(__file__).with_name("poller_that_misbehaves.py"))
CRASHED = 139
POISON = "f" * 32


class TestAnEventThatKillsItsProcess:
    async def test_fails_as_worker_lost_after_its_attempts_and_takes_company_along_only_once(
        self, product: Product
    ) -> None:
        others = [f"{number:032x}" for number in range(1, 4)]
        for number, lead in enumerate(others):
            await product.deliver(lead, product.people[number])
        await product.deliver(POISON, product.people[3])
        await product.db.execute(
            "update webhook_events set max_attempts = 2 where lead_id = %s", (POISON,)
        )
        await product.fault("work_api", {"kind": "slow", "seconds": 0.6})

        crashes = await _restart_until_all_ended(product, "crashes-on", POISON)

        assert crashes == 2
        assert await product.db.fetch(
            "select status, error_kind, attempts from webhook_events where lead_id = %s", (POISON,)
        ) == [("failed", "worker_lost", 2)]
        assert (
            await product.db.value(
                "select count(*) from webhook_events where lead_id <> %s and status <> 'completed'",
                (POISON,),
            )
            == 0
        )
        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(others, 1)
        first, second = await product.db.fetch(
            "select count(*) as n, bool_or(lead_id = %s) as poison from event_attempts a join webhook_events e on e.id = a.event_id"
            " where result = 'worker_lost' group by worker order by min(a.finished_at)",
            (POISON,),
        )
        assert first.poison
        assert first.n > 1, "it should have had company when it first crashed"
        assert (second.n, second.poison) == (1, True)


async def _restart_until_all_ended(product: Product, *habit: str) -> int:
    """What a supervisor does. Returns how often the process crashed."""
    crashes = 0
    # Each crash costs a whole lease.
    settings = {"LEASE_SECONDS": "3", "C2S_TIMEOUT": "1.5"}
    product.stage.start_poller("poller", (MISBEHAVING, *habit), **settings)
    async with asyncio.timeout(90):
        while await product.db.value(
            "select exists (select from webhook_events where status in ('received', 'processing'))"
        ):
            if not product.stage.alive("poller"):
                assert product.stage.processes["poller"].returncode == CRASHED, (
                    product.stage.log_of("poller").read_text()[-2000:]
                )
                crashes += 1
                product.stage.start_again("poller")
            await asyncio.sleep(0.1)
    return crashes
