"""What others hold, connections, rows and snapshots: the queue goes round it, fails nothing, and
takes it up when it is free again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from psycopg import AsyncConnection, IsolationLevel
from tests.conftest import Database
from tests.queue.conftest import Queue, complete_at_once, make_poller, running, until

from c2s_enrich.database import Pool
from c2s_enrich.queue.claim import Claim, Done, Journal, Lease

SOON = timedelta(seconds=0.5)


@asynccontextmanager
async def all_connections_taken(pool: Pool) -> AsyncIterator[None]:
    """Nobody else gets one while inside, except who holds one already."""
    async with AsyncExitStack() as stack:
        while pool.get_stats()["pool_size"] < pool.max_size or pool.get_stats()["pool_available"]:
            await stack.enter_async_context(pool.connection())
        yield


async def all_completed(queue: Queue, count: int) -> bool:
    return await queue.statuses() == {"completed": count}


class TestAnExhaustedPool:
    async def test_makes_a_poller_wait_and_go_on(self, queue: Queue, pool: Pool) -> None:
        await queue.accept_many(20)
        # The default is 30 s: longer than a test may take.
        pool.timeout = 0.2

        async with all_connections_taken(pool):
            poller = make_poller(queue.worker(), complete_at_once)
            task = asyncio.create_task(poller.run())
            await asyncio.sleep(0.7)
            assert await queue.statuses() == {"received": 20}
            assert not task.done()

        await until(lambda: all_completed(queue, 20))
        poller.stop()
        await task
        assert {
            row.attempt for row in await queue.db.fetch("select attempt from event_attempts")
        } == {1}

    async def test_that_handlers_meet_costs_their_events_no_attempt(
        self, queue: Queue, pool: Pool
    ) -> None:
        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            async with pool.connection() as connection:
                await connection.execute("select 1")
            return Done("enriched")

        async with running(make_poller(queue.worker(), handler, idle_poll=SOON)):
            # Claims and settlements have their own connections from their first use on: only the
            # handlers get none.
            await queue.accept_many(1)
            await until(lambda: all_completed(queue, 1))
            # From here on: a slow first connection would postpone the first event, too.
            pool.timeout = 0.2
            async with all_connections_taken(pool):
                await queue.accept_many(4)
                await until(lambda: _all_postponed(queue, 4))
            await queue.db.execute(
                "update webhook_events set available_at = now() where status = 'received'"
            )
            await until(lambda: all_completed(queue, 5))

        assert (
            await queue.db.value(
                "select count(*) from event_attempts where result not in ('postponed', 'completed')"
            )
            == 0
        )
        assert await queue.db.value("select max(attempts) from webhook_events") == 1


class TestATransactionHeldForLong:
    async def test_keeps_its_rows_and_no_others_from_being_worked_on(
        self, queue: Queue, db: Database
    ) -> None:
        await queue.accept_many(30)
        poller = make_poller(queue.worker(), complete_at_once, idle_poll=SOON)

        async with await AsyncConnection.connect(db.url) as someone:
            await someone.set_isolation_level(IsolationLevel.REPEATABLE_READ)
            locked = await someone.execute(
                "select id from webhook_events order by available_at limit 5 for update"
            )
            held = {event_id for (event_id,) in await locked.fetchall()}
            async with running(poller):
                await until(lambda: _completed(queue, 25))
                assert {
                    row.id
                    for row in await db.fetch(
                        "select id from webhook_events where status = 'received'"
                    )
                } == held

                # Its snapshot is from before: what has been done meanwhile it does not see.
                seen = await someone.execute(
                    "select count(*) from webhook_events where status = 'received'"
                )
                assert await seen.fetchone() == (30,)
                await someone.rollback()
                await until(lambda: all_completed(queue, 30))

        assert (
            await db.value("select count(*) from event_attempts where result <> 'completed'") == 0
        )

    async def test_with_new_events_in_it_delays_those_only(
        self, queue: Queue, db: Database
    ) -> None:
        async with await AsyncConnection.connect(db.url) as someone:
            # Due before all others, and seen only when the claim has long passed by.
            await someone.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw) values ('lead',"
                " now(), '{}')"
            )
            async with running(make_poller(queue.worker(), complete_at_once, idle_poll=SOON)):
                await queue.accept_many(20)
                await until(lambda: all_completed(queue, 20))

                await someone.commit()
                await until(lambda: all_completed(queue, 21))


async def _completed(queue: Queue, count: int) -> bool:
    return (await queue.statuses())["completed"] == count


async def _all_postponed(queue: Queue, count: int) -> bool:
    found: int = await queue.db.value(
        "select count(distinct event_id) from event_attempts where result = 'postponed'"
    )
    return found == count
