"""Losing the lease: whoever comes back late changes nothing."""

from __future__ import annotations

import asyncio

import pytest
from tests.conftest import Database
from tests.queue.conftest import (
    COMPLETED,
    EVERY_ENDING,
    FAILED,
    LEASE,
    NOON,
    RETRIED,
    Queue,
    at,
    ended,
    settle,
)

from c2s_enrich.queue.claim import Ending


@pytest.fixture(params=list(EVERY_ENDING.values()), ids=list(EVERY_ENDING))
def ending(request: pytest.FixtureRequest) -> Ending:
    return request.param  # type: ignore[no-any-return]


class TestAStalePoller:
    async def test_changes_nothing_after_another_has_claimed_the_event(
        self, queue: Queue, ending: Ending
    ) -> None:
        event_id = await queue.accept()
        stale = await queue.claim(queue.worker("ana"))
        bruno = queue.worker("bruno", now=NOON + LEASE)
        await bruno.reclaim()
        await bruno.claim(1)
        before, history = await queue.row(event_id), await queue.history(event_id)

        answer = await settle(queue.worker("ana", now=at(31)), stale, ending)

        assert answer == "lost"
        assert (await queue.row(event_id), await queue.history(event_id)) == (before, history)

    async def test_changes_nothing_after_another_has_settled_the_event(
        self, queue: Queue, ending: Ending
    ) -> None:
        event_id = await queue.accept()
        stale = await queue.claim(queue.worker("ana"))
        bruno = queue.worker("bruno", now=NOON + LEASE)
        await bruno.reclaim()
        [fresh] = await bruno.claim(1)
        await settle(bruno, fresh, COMPLETED)
        before, history = await queue.row(event_id), await queue.history(event_id)

        assert await settle(queue.worker("ana"), stale, ending) == "lost"

        assert (await queue.row(event_id), await queue.history(event_id)) == (before, history)

    async def test_changes_nothing_after_a_person_has_reset_the_event(
        self, queue: Queue, ending: Ending
    ) -> None:
        event_id = await queue.accept()
        stale = await queue.claim(queue.worker())
        await queue.reset(event_id)
        before = await queue.row(event_id)

        assert await settle(queue.worker(), stale, ending) == "lost"

        assert await queue.row(event_id) == before

    async def test_cannot_extend_the_lease_of_its_successor(self, queue: Queue) -> None:
        event_id = await queue.accept()
        stale = await queue.claim(first := queue.worker("ana"))
        await queue.reset(event_id)
        await queue.claim(queue.worker("bia", now=at(1)))
        before = await queue.row(event_id)

        first.now = at(20)
        assert await first.extend_leases([stale]) == {}

        assert await queue.row(event_id) == before

    async def test_does_not_hold_up_the_others_of_its_batch(self, queue: Queue) -> None:
        worker = queue.worker(now=at(1))
        await queue.accept_many(3)
        first, stale, last = await worker.claim(3)
        await queue.reset(stale.event_id)

        answers = await worker.settle([ended(first), ended(stale), ended(last, FAILED)])

        assert answers == ["settled", "lost", "settled"]
        assert await queue.statuses() == {"completed": 1, "received": 1, "failed": 1}

    async def test_still_records_what_it_knows_to_be_true(self, queue: Queue, db: Database) -> None:
        # Transitions are fenced, facts are not: C2S took the message, whoever owns the event now.
        event_id = await queue.accept()
        stale = await queue.claim(queue.worker())
        await queue.reset(event_id)
        fact = {"cpf": "00000000191"}

        answer = await settle(
            queue.worker(), stale, Ending("completed", outcome="enriched", fact=fact)
        )

        assert answer == "lost"
        assert await db.value("select count(*) from people") == 1


class TestSettlingTwice:
    async def test_changes_nothing_the_second_time_and_tells_how_it_ended(
        self, queue: Queue, ending: Ending
    ) -> None:
        # The connection died between COMMIT and answer: the settlement is simply sent again.
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        assert await settle(worker, claim, ending) == "settled"
        before, history = await queue.row(event_id), await queue.history(event_id)

        assert await settle(queue.worker(now=at(5)), claim, ending) == "settled"

        assert (await queue.row(event_id), await queue.history(event_id)) == (before, history)

    async def test_a_different_end_afterwards_is_lost(self, queue: Queue) -> None:
        worker = queue.worker()
        await queue.accept()
        claim = await queue.claim(worker)
        await settle(worker, claim, COMPLETED)

        assert await settle(worker, claim, FAILED) == "lost"

    async def test_of_two_at_the_same_time_one_wins(self, queue: Queue) -> None:
        event_id = await queue.accept()
        claim = await queue.claim(queue.worker())
        start = asyncio.Barrier(2)

        async def end(ending: Ending) -> str:
            await start.wait()
            answer = await settle(queue.worker(), claim, ending)
            while answer == "busy":
                answer = await settle(queue.worker(), claim, ending)
            return answer

        answers = await asyncio.gather(end(COMPLETED), end(FAILED))

        assert sorted(answers) == ["lost", "settled"]
        [attempt] = await queue.history(event_id)
        assert attempt.result == (await queue.row(event_id)).status

    async def test_tells_two_claims_of_one_event_apart(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        stale = await queue.claim(worker)
        await queue.reset(event_id)
        worker.sweep()
        fresh = await queue.claim(worker)

        answers = await worker.settle([ended(stale, RETRIED), ended(fresh, COMPLETED)])

        assert answers == ["lost", "settled"]
        assert (await queue.row(event_id)).status == "completed"


class TestABusyRow:
    async def test_is_not_waited_for(self, queue: Queue) -> None:
        worker = queue.worker(now=at(1))
        await queue.accept_many(2)
        busy, free = await worker.claim(2)

        async with queue.someone_holds(busy.event_id):
            answers = await worker.settle([ended(busy), ended(free)])

        assert answers == ["busy", "settled"]
        assert await settle(worker, busy) == "settled"

    async def test_is_lost_when_its_holder_has_reset_it(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        async with queue.someone_holds(event_id) as person:
            assert await settle(worker, claim) == "busy"
            await person.execute(
                "UPDATE webhook_events SET status = 'received' WHERE id = %s", (event_id,)
            )
            assert await settle(worker, claim) == "busy"
            await person.commit()

        assert await settle(worker, claim) == "lost"
