"""Reclaiming: what a dead or hung worker held comes back, to the second, and takes no other event
along.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from psycopg import AsyncConnection, OperationalError
from tests.conftest import Database
from tests.queue.conftest import (
    DEADLINE,
    EVERY_ENDING,
    LEASE,
    NOON,
    RELEASED,
    SETTINGS,
    Queue,
    Worker,
    at,
    settle,
    until,
)

from c2s_enrich.queue.claim import Ending
from c2s_enrich.queue.verdict import longest_backoff


class TestReclaim:
    async def test_leaves_a_lease_alone_until_its_last_microsecond(self, queue: Queue) -> None:
        event_id = await queue.accept()
        await queue.claim(queue.worker("ana"))
        bruno = queue.worker("bruno", now=NOON + LEASE - timedelta(microseconds=1))

        assert await bruno.reclaim() == (0, 0)
        bruno.now = NOON + LEASE
        assert await bruno.reclaim() == (1, 0)

        assert (await queue.row(event_id)).status == "received"

    async def test_raises_the_token_and_ends_the_lease(self, queue: Queue) -> None:
        event_id = await queue.accept()
        claim = await queue.claim(queue.worker("ana"))

        await queue.worker("bruno", now=NOON + LEASE).reclaim()

        row = await queue.row(event_id)
        assert row.lease_token == claim.lease_token + 1
        assert (row.claimed_by, row.lease_expires_at, row.deadline_at, row.processed_at) == (
            None,
        ) * 4

    async def test_writes_down_whose_attempt_it_was(self, queue: Queue) -> None:
        event_id = await queue.accept()
        await queue.claim(queue.worker("ana"))

        await queue.worker("bruno", now=NOON + LEASE).reclaim()

        [attempt] = await queue.history(event_id)
        assert (attempt.worker, attempt.result, attempt.attempt) == ("ana", "worker_lost", 1)
        assert (attempt.started_at, attempt.finished_at) == (NOON, NOON + LEASE)
        row = await queue.row(event_id)
        assert (row.error_kind, row.attempts) == ("worker_lost", 1)
        assert "ana" in row.error_message

    async def test_after_one_loss_the_event_keeps_its_place_and_later_losses_wait_longer(
        self, queue: Queue
    ) -> None:
        ana, bruno = queue.worker("ana"), queue.worker("bruno")
        event_id = await queue.accept()
        now, waits = NOON, []
        for turn in range(5):
            ana.now = now
            ana.sweep()
            assert await ana.claim(1, "suspect" if turn > 1 else "oldest")
            bruno.now = now + LEASE
            await bruno.reclaim()
            due = (await queue.row(event_id)).available_at
            waits.append(due - bruno.now)
            now = max(due, bruno.now)

        assert waits[0] == -LEASE
        for losses, wait in enumerate(waits[1:], start=1):
            longest = longest_backoff(SETTINGS, losses)
            assert longest / 2 <= wait <= longest

    async def test_fails_the_event_as_worker_lost_when_its_attempts_are_spent(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept(max_attempts=2)
        ana, bruno = queue.worker("ana"), queue.worker("bruno")
        for turn, answer in enumerate([(1, 0), (1, 1)]):
            ana.now = at(1000 * turn)
            ana.sweep()
            await ana.claim(1)
            bruno.now = at(1000 * turn + 30)
            assert await bruno.reclaim() == answer

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
            reclaimed, _ = await bruno.reclaim()
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
        assert await ana.reclaim([claim]) == (0, 0)
        assert await settle(ana, claim) == "settled"

        assert not (await queue.row(event_id)).suspect

    async def test_takes_what_hangs_in_the_asking_worker_itself_at_the_deadline(
        self, queue: Queue
    ) -> None:
        ana = queue.worker("ana")
        await queue.accept()
        claim = await queue.claim(ana)

        ana.now = NOON + DEADLINE

        assert await ana.reclaim([claim]) == (1, 0)

    async def test_takes_a_claim_whose_answer_never_reached_the_asking_worker(
        self, queue: Queue
    ) -> None:
        ana = queue.worker("ana")
        await queue.accept()
        await queue.claim(ana)

        ana.now = at(60)

        assert await ana.reclaim([]) == (1, 0)

    async def test_by_several_at_once_each_exactly_once(self, queue: Queue) -> None:
        await queue.accept_many(250)
        await queue.worker("ana", now=at(1)).claim(250)
        workers = [queue.worker(f"worker-{n}", now=at(31)) for n in range(3)]
        start = asyncio.Barrier(3)

        async def reclaim(n: int) -> int:
            await start.wait()
            total = 0
            while count := (await workers[n].reclaim())[0]:
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
            assert await bruno.reclaim() == (1, 0)
        assert await bruno.reclaim() == (1, 0)

    async def test_leaves_alone_what_a_heartbeat_has_just_extended(self, queue: Queue) -> None:
        # Seen as expired, but extended before the row could be locked.
        await queue.accept()
        ana = queue.worker("ana", now=at(0))
        claim = await queue.claim(ana)
        bruno = queue.worker("bruno", now=at(31))
        async with queue.someone_holds(claim.event_id) as other:
            await other.execute(
                "update webhook_events set lease_expires_at = %s where id = %s",
                (at(60), claim.event_id),
            )
            assert await bruno.reclaim() == (0, 0)
            await other.commit()

        assert await bruno.reclaim() == (0, 0)


class TestADeadWorker:
    async def test_gives_its_events_back_before_their_leases_end(self, queue: Queue) -> None:
        await queue.accept_many(3)
        await queue.worker("ana", now=at(1)).claim(2)
        await queue.worker("carla", now=at(1)).claim(1)

        assert await queue.worker("bruno", now=at(2)).reclaim(dead=["ana"]) == (2, 0)

        assert await queue.statuses() == {"received": 2, "processing": 1}

    async def test_is_one_whose_pulse_has_no_session_left(self, queue: Queue, db: Database) -> None:
        bruno = queue.worker("bruno")
        await queue.worker("without").beat()
        async with await AsyncConnection.connect(
            db.url, application_name="c2s-enrich pulse ana", autocommit=True
        ):
            await queue.worker("ana").store.beat(1, 1, pulse=True)
            assert (await bruno.beat()).silent == []

        # The server notices the end of a session in its own time.
        await until(lambda: _silent(bruno, ["ana"]))
        await bruno.store.leave(["ana"])
        assert (await bruno.beat()).silent == []

    async def test_is_not_one_whose_direct_connection_leads_to_another_database(
        self, queue: Queue
    ) -> None:
        await queue.worker("ana").store.beat(1, 1, pulse=True)

        assert (await queue.worker("bruno").beat()).silent == []

    async def test_that_holds_a_row_locked_is_named_and_its_sessions_are_ended(
        self, queue: Queue, db: Database
    ) -> None:
        # A process that was frozen in the middle of a transaction.
        event_id = await queue.accept()
        await queue.claim(queue.worker("ana"))
        bruno = queue.worker("bruno", now=NOON + LEASE)
        async with (
            await AsyncConnection.connect(db.url, application_name="c2s-enrich pool ana") as frozen,
            await AsyncConnection.connect(
                db.url, application_name="c2s-enrich pool carla"
            ) as another,
        ):
            await another.execute("select 1")
            await frozen.execute("select from webhook_events where id = %s for share", (event_id,))
            assert await bruno.store.reclaim() == ([], ["ana"])

            assert await bruno.store.end_sessions("ana") == 1

            await until(lambda: _reclaimed(bruno))
            await another.execute("select 1")
            with pytest.raises(OperationalError):
                await frozen.execute("select 1")


async def _silent(worker: Worker, names: list[str]) -> bool:
    return (await worker.beat()).silent == names


async def _reclaimed(worker: Worker) -> bool:
    return await worker.reclaim() == (1, 0)


class TestASuspect:
    async def test_is_an_event_from_its_second_loss_in_a_row_on(self, queue: Queue) -> None:
        await queue.accept_many(3)
        now = at(1)
        ana = queue.worker("ana", now=now)
        dying, settled = (await ana.claim(2))[:2]
        await settle(ana, settled)

        for losses, suspect in ((1, False), (2, True)):
            await queue.worker("bruno", now=now + LEASE).reclaim()
            row = await queue.row(dying.event_id)
            assert (row.losses, row.suspect) == (losses, suspect)
            ana.now = now = at(100)
            ana.sweep()
            await ana.claim(3)

        assert not (await queue.row(settled.event_id)).suspect

    @pytest.mark.parametrize("ending", EVERY_ENDING.values(), ids=EVERY_ENDING)
    async def test_needs_both_losses_in_a_row(self, queue: Queue, ending: Ending) -> None:
        event_id = await queue.accept(losses=1)
        ana = queue.worker("ana")

        await settle(ana, await queue.claim(ana), ending)

        # Given back untouched, it has proven nothing.
        assert (await queue.row(event_id)).losses == (1 if ending is RELEASED else 0)

    async def test_does_not_come_with_others(self, queue: Queue) -> None:
        suspects = [await queue.accept(f"suspect-{n}", suspect=True) for n in range(2)]
        fresh = await queue.accept("fresh")
        bruno = queue.worker("bruno")

        assert [claim.event_id for claim in await bruno.claim(10)] == [fresh]
        [claim] = await bruno.claim(10, "suspect")
        assert claim.event_id in suspects
