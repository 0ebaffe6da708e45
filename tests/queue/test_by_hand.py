"""What people do to the table with plain SQL, while pollers work on it: safe in every state, one
row or thousands at once.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from tests.conftest import Database
from tests.queue.conftest import (
    COMPLETED,
    FAILED,
    LEASE,
    NOON,
    RETRIED,
    Queue,
    at,
    ended,
    settle,
    settle_until_answered,
)

STATUSES = ["received", "processing", "completed", "failed"]


async def an_event_in(status: str, queue: Queue) -> UUID:
    """An event that has come to this status in the ordinary way, after one retry."""
    worker = queue.worker()
    event_id = await queue.accept()
    await settle(worker, await queue.claim(worker), RETRIED)
    if status != "received":
        worker.now = at(100)
        worker.sweep()
        claim = await queue.claim(worker)
        if status != "processing":
            await settle(worker, claim, COMPLETED if status == "completed" else FAILED)
    return event_id


class TestResettingARow:
    @pytest.mark.parametrize("status", STATUSES)
    async def test_makes_it_due_at_once_with_all_attempts_in_every_status(
        self, queue: Queue, db: Database, status: str
    ) -> None:
        event_id = await an_event_in(status, queue)
        token = (await queue.row(event_id)).lease_token

        await queue.reset(event_id)

        row = await queue.row(event_id)
        assert (row.status, row.attempts, row.reprocess, row.suspect) == (
            "received",
            0,
            True,
            False,
        )
        assert (
            row.outcome,
            row.processed_at,
            row.error_kind,
            row.error_message,
            row.waiting_for,
        ) == (None,) * 5
        assert (row.claimed_by, row.claimed_at, row.lease_expires_at, row.deadline_at) == (
            None,
        ) * 4
        assert row.lease_token == token + 1
        assert await db.value("select available_at <= now() from webhook_events")

    @pytest.mark.parametrize("status", STATUSES)
    async def test_has_it_worked_on_again_to_the_end(self, queue: Queue, status: str) -> None:
        event_id = await an_event_in(status, queue)
        await queue.reset(event_id)
        worker = queue.worker("bruno", now=None)

        claim = await queue.claim(worker)

        assert (claim.attempts, claim.reprocess) == (1, True)
        assert await settle(worker, claim) == "settled"
        assert (await queue.row(event_id)).status == "completed"

    async def test_while_it_is_worked_on_writes_down_that_the_claim_was_taken_away(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()
        claim = await queue.claim(queue.worker("ana"))

        await queue.reset(event_id)

        [attempt] = await queue.history(event_id)
        assert (attempt.worker, attempt.result, attempt.lease_token) == (
            "ana",
            "taken_away",
            claim.lease_token,
        )

    async def test_twice_is_the_same_as_once(self, queue: Queue) -> None:
        event_id = await queue.accept()
        await queue.claim(queue.worker())

        await queue.reset(event_id)
        await queue.reset(event_id)

        assert (await queue.row(event_id)).status == "received"
        assert len(await queue.history(event_id)) == 1

    async def test_wakes_the_pollers(self, queue: Queue, db: Database) -> None:
        event_id = await an_event_in("completed", queue)
        async with await AsyncConnection.connect(db.url, autocommit=True) as listener:
            await listener.execute("listen webhook_events")

            await queue.reset(event_id)

            assert len([n async for n in listener.notifies(timeout=5, stop_after=1)]) == 1


class TestEndingARowByHand:
    @pytest.mark.parametrize("status", ["completed", "failed"])
    @pytest.mark.parametrize("before", STATUSES)
    async def test_ends_it_in_every_status(
        self, queue: Queue, db: Database, before: str, status: str
    ) -> None:
        event_id = await an_event_in(before, queue)

        await db.execute("UPDATE webhook_events SET status = %s WHERE id = %s", (status, event_id))

        row = await queue.row(event_id)
        assert row.status == status
        assert row.processed_at is not None
        assert row.lease_expires_at is None

    async def test_takes_it_away_from_the_poller_that_works_on_it(
        self, queue: Queue, db: Database
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        await db.execute("UPDATE webhook_events SET status = 'failed' WHERE id = %s", (event_id,))

        assert await worker.extend_leases([claim]) == {}
        assert await settle(worker, claim, COMPLETED) == "lost"
        assert (await queue.row(event_id)).status == "failed"

    async def test_a_lease_cannot_be_given_by_hand(self, queue: Queue, db: Database) -> None:
        await queue.accept()

        with pytest.raises(psycopg.errors.CheckViolation, match="leased_if_and_only_if_processing"):
            await db.execute("UPDATE webhook_events SET status = 'processing'")


class TestNotify:
    async def test_is_one_hint_a_statement_however_many_rows(
        self, queue: Queue, db: Database
    ) -> None:
        async with await AsyncConnection.connect(db.url, autocommit=True) as listener:
            await listener.execute("listen webhook_events")

            await queue.accept_many(1000)
            await db.execute("UPDATE webhook_events SET status = 'received'")

            assert len([n async for n in listener.notifies(timeout=0.5)]) == 2

    async def test_is_not_sent_by_the_pollers_themselves(self, queue: Queue, db: Database) -> None:
        await queue.accept_many(10)
        worker = queue.worker(now=at(1))
        async with await AsyncConnection.connect(db.url, autocommit=True) as listener:
            await listener.execute("listen webhook_events")

            claims = await worker.claim(10)
            await worker.extend_leases(claims)
            await worker.settle([ended(claim, RETRIED) for claim in claims[:5]])
            worker.now = at(1) + LEASE
            await worker.reclaim()

            assert [n async for n in listener.notifies(timeout=0.3)] == []


class TestUnderFire:
    """Two workers drain while a person resets: no deadlock, no error on either side, and everything
    ends.
    """

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE webhook_events SET status = 'received'",
            "UPDATE webhook_events SET status = 'received' WHERE id IN (SELECT id FROM"
            " webhook_events ORDER BY random() LIMIT 300)",
            "UPDATE webhook_events SET status = 'received' WHERE id = (SELECT id FROM"
            " webhook_events ORDER BY random() LIMIT 1)",
            "UPDATE webhook_events SET status = 'failed' WHERE id IN (SELECT id FROM"
            " webhook_events ORDER BY random() LIMIT 300)",
        ],
        ids=["everything at once", "hundreds at random", "one at a time", "failed by hand"],
    )
    async def test_resets_disturb_nobody(self, queue: Queue, db: Database, statement: str) -> None:
        await queue.accept_many(2000, leads=200)
        workers = [queue.worker(f"worker-{n}", now=NOON.replace(hour=13)) for n in range(2)]
        fire_over = asyncio.Event()

        async def work(index: int) -> None:
            worker = workers[index]
            while True:
                worker.sweep()
                claims = await worker.claim(10)
                if not claims and fire_over.is_set():
                    return
                await worker.extend_leases(claims)
                await settle_until_answered(worker, [ended(claim) for claim in claims])
                await worker.reclaim()

        async def fire() -> None:
            async with await AsyncConnection.connect(db.url, autocommit=True) as person:
                for _ in range(25):
                    await person.execute(statement.encode())
            fire_over.set()

        async with asyncio.timeout(50), asyncio.TaskGroup() as group:
            for index in range(len(workers)):
                group.create_task(work(index))
            group.create_task(fire())

        statuses = await queue.statuses()
        assert statuses["received"] == statuses["processing"] == 0
        assert (
            await db.value(
                "select deadlocks from pg_stat_database where datname = current_database()"
            )
            == 0
        )
