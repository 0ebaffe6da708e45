"""Reclaiming: what a dead or hung worker held comes back, to the second, and takes no other event
along.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.queue.conftest import BACKOFF, DEADLINE, LEASE, NOON, Queue, at, settle


class TestReclaim:
    async def test_leaves_a_lease_alone_until_its_last_microsecond(self, queue: Queue) -> None:
        event_id = await queue.accept()
        await queue.claim(queue.worker("ana"))
        bruno = queue.worker("bruno", now=NOON + LEASE - timedelta(microseconds=1))

        assert await bruno.reclaim_expired() == (0, 0)
        bruno.now = NOON + LEASE
        assert await bruno.reclaim_expired() == (1, 0)

        assert (await queue.row(event_id)).status == "received"

    async def test_raises_the_token_and_ends_the_lease(self, queue: Queue) -> None:
        event_id = await queue.accept()
        claim = await queue.claim(queue.worker("ana"))

        await queue.worker("bruno", now=NOON + LEASE).reclaim_expired()

        row = await queue.row(event_id)
        assert row.lease_token == claim.lease_token + 1
        assert (row.claimed_by, row.lease_expires_at, row.deadline_at, row.processed_at) == (
            None,
        ) * 4

    async def test_writes_down_whose_attempt_it_was(self, queue: Queue) -> None:
        event_id = await queue.accept()
        await queue.claim(queue.worker("ana"))

        await queue.worker("bruno", now=NOON + LEASE).reclaim_expired()

        [attempt] = await queue.history(event_id)
        assert (attempt.worker, attempt.result, attempt.attempt) == ("ana", "worker_lost", 1)
        assert (attempt.started_at, attempt.finished_at) == (NOON, NOON + LEASE)
        row = await queue.row(event_id)
        assert (row.error_kind, row.attempts) == ("worker_lost", 1)
        assert "ana" in row.error_message

    async def test_the_first_loss_is_due_at_once_and_later_ones_wait_longer(
        self, queue: Queue
    ) -> None:
        ana, bruno = queue.worker("ana"), queue.worker("bruno")
        event_id = await queue.accept()
        now, waits = NOON, []
        for turn in range(5):
            ana.now = now
            await ana.claim(1, "suspect" if turn else "oldest")
            bruno.now = now + LEASE
            await bruno.reclaim_expired()
            now = (await queue.row(event_id)).available_at
            waits.append(now - bruno.now)

        assert waits[0] == timedelta()
        for losses, wait in enumerate(waits[1:], start=1):
            assert BACKOFF.ceiling(losses) / 2 <= wait <= BACKOFF.ceiling(losses)

    async def test_fails_the_event_as_worker_lost_when_its_attempts_are_spent(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept(max_attempts=2)
        ana, bruno = queue.worker("ana"), queue.worker("bruno")
        for turn, answer in enumerate([(1, 0), (1, 1)]):
            ana.now = at(1000 * turn)
            await ana.claim(1, "suspect" if turn else "oldest")
            bruno.now = at(1000 * turn + 30)
            assert await bruno.reclaim_expired() == answer

        row = await queue.row(event_id)
        assert (row.status, row.error_kind, row.attempts, row.processed_at) == (
            "failed",
            "worker_lost",
            2,
            at(1030),
        )

    async def test_a_task_that_hangs_while_its_process_beats_is_freed_at_the_deadline(
        self, queue: Queue
    ) -> None:
        ana = queue.worker("ana")
        event_id = await queue.accept()
        claim = await queue.claim(ana)
        bruno = queue.worker("bruno")
        for beat in range(1, 31):
            ana.now = bruno.now = at(10 * beat)
            await ana.extend_leases([claim])
            reclaimed, _ = await bruno.reclaim_expired()
            assert reclaimed == (ana.now == NOON + DEADLINE)

        assert (await queue.row(event_id)).status == "received"

    async def test_leaves_what_the_asking_worker_holds_to_itself_until_the_deadline(
        self, queue: Queue
    ) -> None:
        # Postgres was away for a minute. The worker lives and is about to settle; its event is
        # under no suspicion.
        ana = queue.worker("ana")
        event_id = await queue.accept()
        claim = await queue.claim(ana)

        ana.now = at(60)
        assert await ana.reclaim_expired([claim]) == (0, 0)
        assert await settle(ana, claim) == "settled"

        assert not (await queue.row(event_id)).suspect

    async def test_takes_what_hangs_in_the_asking_worker_itself_at_the_deadline(
        self, queue: Queue
    ) -> None:
        ana = queue.worker("ana")
        await queue.accept()
        claim = await queue.claim(ana)

        ana.now = NOON + DEADLINE

        assert await ana.reclaim_expired([claim]) == (1, 0)

    async def test_takes_a_claim_whose_answer_never_reached_the_asking_worker(
        self, queue: Queue
    ) -> None:
        ana = queue.worker("ana")
        await queue.accept()
        await queue.claim(ana)

        ana.now = at(60)

        assert await ana.reclaim_expired([]) == (1, 0)

    async def test_a_hundred_at_a_time_and_by_several_at_once_each_exactly_once(
        self, queue: Queue
    ) -> None:
        await queue.accept_many(250)
        await queue.worker("ana", now=at(1)).claim(250)
        workers = [queue.worker(f"worker-{n}", now=at(31)) for n in range(3)]
        start = asyncio.Barrier(3)

        async def reclaim(n: int) -> int:
            await start.wait()
            total = 0
            while count := (await workers[n].reclaim_expired())[0]:
                total += count
            return total

        counts = await asyncio.gather(*(reclaim(n) for n in range(3)))

        assert sum(counts) == 250
        assert await queue.statuses() == {"received": 250}

    async def test_does_not_wait_for_a_row_that_somebody_has_locked(self, queue: Queue) -> None:
        await queue.accept_many(2)
        busy, _ = await queue.worker("ana", now=at(1)).claim(2)
        bruno = queue.worker("bruno", now=at(31))

        async with queue.someone_holds(busy.event_id):
            assert await bruno.reclaim_expired() == (1, 0)
        assert await bruno.reclaim_expired() == (1, 0)


class TestASuspect:
    async def test_is_every_event_that_was_in_flight_when_its_worker_died(
        self, queue: Queue
    ) -> None:
        await queue.accept_many(3)
        ana = queue.worker("ana", now=at(1))
        dying, settled = (await ana.claim(2))[:2]
        await settle(ana, settled)

        await queue.worker("bruno", now=at(31)).reclaim_expired()

        assert (await queue.row(dying.event_id)).suspect
        assert [
            row.suspect
            for row in await queue.db.fetch("select suspect from webhook_events where not suspect")
        ] == [False, False]

    async def test_does_not_come_with_others(self, queue: Queue) -> None:
        await queue.accept_many(3)
        await queue.worker("ana", now=at(1)).claim(3)
        bruno = queue.worker("bruno", now=at(31))
        await bruno.reclaim_expired()
        fresh = await queue.accept("fresh", due=at(1))

        assert [claim.event_id for claim in await bruno.claim(10)] == [fresh]
        assert len(await bruno.claim(10, "suspect")) == 1
