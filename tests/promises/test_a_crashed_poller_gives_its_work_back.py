"""A crashed poller gives its work back: what kills the process fails in the end, alone."""

import asyncio
from pathlib import Path

from tests.promises.conftest import Product

MISBEHAVING = str(Path(__file__).with_name("poller_that_misbehaves.py"))
CRASHED = 139
POISON = "f" * 32


class TestAnEventThatKillsItsProcess:
    async def test_fails_as_worker_lost_after_its_attempts_and_is_alone_from_its_third_on(
        self, product: Product
    ) -> None:
        others = [f"{number:032x}" for number in range(1, 4)]
        for number, lead in enumerate(others):
            await product.deliver(lead, product.people[number])
        await product.deliver(POISON, product.people[3])
        await product.fault("work_api", {"kind": "slow", "seconds": 0.6})

        crashes = await _restart_until_all_ended(product, "crashes-on", POISON)

        # From then on it takes down a process in which nothing else is.
        assert crashes == 2
        assert await product.db.fetch(
            "select status, error_kind, attempts from webhook_events where lead_id = %s", (POISON,)
        ) == [("failed", "worker_lost", 4)]
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
        deaths = await product.db.fetch(
            "select count(*) as n, bool_or(lead_id = %s) as poison from event_attempts a join"
            " webhook_events e on e.id = a.event_id"
            " where result = 'worker_lost' group by worker order by min(a.finished_at)",
            (POISON,),
        )
        assert [death.poison for death in deaths] == [True] * 4
        assert deaths[0].n > 1, "it should have had company when it first crashed"
        assert [death.n for death in deaths[2:]] == [1, 1]


class TestAPollerThatIsKilled:
    async def test_hands_all_that_it_held_to_the_next_one_at_once_and_long_before_the_leases_end(
        self, product: Product
    ) -> None:
        leads = [f"{number:032x}" for number in range(1, 11)]
        await product.fault("work_api", {"kind": "slow", "seconds": 2})
        product.stage.start_poller("poller", LEASE_SECONDS="300", CONCURRENCY="10")
        for number, lead in enumerate(leads):
            await product.deliver(lead, product.people[number])
        await _until(
            product, "select count(*) = 10 from webhook_events where status = 'processing'"
        )
        await _until(product, "select bool_or(pulse) from pollers")

        product.stage.kill("poller")
        product.stage.start_poller("another", LEASE_SECONDS="300", CONCURRENCY="10")
        # Each message comes back as a further webhook, which is none of the ten.
        await _until(product, "select count(*) = 10 from webhook_events where outcome = 'enriched'")

        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        lost, done = [
            await product.db.fetch(
                "select count(*) as n, count(distinct worker) as workers, min(started_at) as first,"
                " max(started_at) as last, min(finished_at) as ended"
                " from event_attempts where result = %s and coalesce(outcome, 'enriched') ="
                " 'enriched'",
                (result,),
            )
            for result in ("worker_lost", "completed")
        ]
        assert (lost[0].n, done[0].n, done[0].workers) == (10, 10, 1)
        # All at once: the last one was begun before the first one was done.
        assert done[0].last < done[0].ended
        assert await product.db.value("select bool_or(suspect) from webhook_events") is False


async def _until(product: Product, condition: str) -> None:
    async with asyncio.timeout(60):
        while not await product.db.value(condition):
            await asyncio.sleep(0.05)


async def _restart_until_all_ended(product: Product, *habit: str) -> int:
    """What a supervisor does. Returns how often the process crashed."""
    crashes = 0
    # Each crash costs a whole lease.
    settings = {"LEASE_SECONDS": "3", "C2S_TIMEOUT": "1.5", "MAX_ATTEMPTS": "4"}
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
