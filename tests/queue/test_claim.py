"""Claiming: who gets which event, and who does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import psycopg
import pytest
from psycopg import AsyncConnection
from tests.conftest import Database
from tests.queue.conftest import (
    DEADLINE,
    LEASE,
    NOON,
    RETRIED,
    Queue,
    at,
    ended,
    settle,
    settle_until_answered,
)

from c2s_enrich.queue.store import Lane


class TestClaim:
    async def test_leases_the_event_and_says_so_in_the_row(self, queue: Queue) -> None:
        event_id = await queue.accept("lead-1", hook_action="on_create_lead")

        claim = await queue.claim(queue.worker("ana"))

        row = await queue.row(event_id)
        assert (claim.event_id, claim.lead_id, claim.hook_action, claim.payload) == (
            event_id,
            "lead-1",
            "on_create_lead",
            "{}",
        )
        assert (row.status, row.claimed_by, row.attempts, row.lease_token) == (
            "processing",
            "ana",
            1,
            1,
        )
        assert (claim.attempts, claim.lease_token, claim.worker) == (1, 1, "ana")
        assert (row.claimed_at, row.lease_expires_at, row.deadline_at) == (
            NOON,
            NOON + LEASE,
            NOON + DEADLINE,
        )

    async def test_tells_the_age_since_arrival_by_the_databases_time(self, queue: Queue) -> None:
        await queue.accept(received_at=at(-90))

        claim = await queue.claim(queue.worker())

        assert claim.age == timedelta(seconds=90)

    async def test_takes_nothing_a_microsecond_before_it_is_due(self, queue: Queue) -> None:
        await queue.accept(due=at(0.000001))

        assert await queue.worker(now=NOON).claim(10) == []
        assert len(await queue.worker(now=at(0.000001)).claim(10)) == 1

    async def test_takes_the_oldest_first(self, queue: Queue) -> None:
        third, first, second = [await queue.accept(f"lead-{n}", due=at(n)) for n in (3, 1, 2)]

        claims = await queue.worker(now=at(10)).claim(2)

        assert [claim.event_id for claim in claims] == [first, second]
        assert (await queue.row(third)).status == "received"

    async def test_skips_events_another_poller_holds(self, queue: Queue) -> None:
        held, free = await queue.accept("lead-1"), await queue.accept("lead-2", due=at(1))

        async with queue.someone_holds(held):
            claims = await queue.worker(now=at(1)).claim(2)

        assert [claim.event_id for claim in claims] == [free]

    async def test_leaves_settled_events_alone(self, queue: Queue) -> None:
        worker = queue.worker()
        await queue.accept()
        await settle(worker, await queue.claim(worker))

        assert await queue.worker(now=at(10**6)).claim(10) == []

    @pytest.mark.parametrize("slots", [1, 3, 7])
    async def test_never_takes_more_than_the_slots(self, queue: Queue, slots: int) -> None:
        # Without statistics, where the planner guesses: a LIMIT in a sub-select that is run again
        # takes more than it says.
        await queue.accept_many(500)

        taken = [len(await queue.worker(now=at(1)).claim(slots)) for _ in range(5)]

        assert taken == [slots] * 5

    async def test_works_off_a_row_of_three_columns_inserted_by_hand(
        self, queue: Queue, db: Database
    ) -> None:
        await db.execute(
            "INSERT INTO webhook_events (lead_id, updated_at, payload_raw) VALUES ('lead-1',"
            " now(), '{\"a\": 1}')"
        )

        claim = await queue.claim(queue.worker(now=None))

        assert (claim.lead_id, claim.payload, claim.attempts, claim.max_attempts) == (
            "lead-1",
            '{"a": 1}',
            1,
            8,
        )


class TestOneEventPerLead:
    async def test_takes_one_event_of_a_lead_at_a_time_in_the_order_of_its_updates(
        self, queue: Queue
    ) -> None:
        worker = queue.worker(now=at(10))
        first, second = (
            await queue.accept("lead-1", due=at(2)),
            await queue.accept("lead-1", due=at(1)),
        )

        claims = await worker.claim(10)

        # Both are due. The lead's older update goes first, although the other one became due before
        # it.
        assert [claim.event_id for claim in claims] == [first]
        assert await queue.worker("bruno", now=at(10)).claim(10) == []
        await settle(worker, claims[0])
        worker.sweep()
        assert [claim.event_id for claim in await worker.claim(10)] == [second]

    async def test_a_hot_lead_does_not_hide_the_others(self, queue: Queue) -> None:
        for n in range(50):
            await queue.accept("hot", due=at(n / 1000))
        quiet = [await queue.accept(f"quiet-{n}", due=at(1 + n)) for n in range(4)]
        worker = queue.worker(now=at(10))

        claims = await worker.claim(5) + await worker.claim(4)

        assert Counter(claim.lead_id for claim in claims)["hot"] == 1
        assert {claim.event_id for claim in claims} >= set(quiet)

    async def test_a_lead_with_thousands_of_due_events_is_passed_by_at_the_cost_of_a_few_claims(
        self, queue: Queue, db: Database
    ) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, available_at)"
            " select 'hot', now() + g * interval '1 s', '{}', %s + g * interval '1 us' from"
            " generate_series(1, 2000) g",
            (NOON,),
        )
        await queue.accept_many(300, due=at(1))
        worker = queue.worker(now=at(1))
        leads: Counter[str] = Counter()

        for _ in range(5):
            leads.update(claim.lead_id for claim in await worker.claimer.claim(100))

        # The first claim looks at a hundred of its events and takes one. The next ones find its
        # lead in flight, pass all of them by and take full hundreds.
        assert leads.pop("hot") == 1
        assert leads.total() == 300

    async def test_the_index_refuses_a_second_event_in_flight_whatever_the_statement(
        self, queue: Queue, db: Database
    ) -> None:
        await queue.accept("lead-1")
        await queue.claim(queue.worker())
        other = await queue.accept("lead-1")

        with pytest.raises(psycopg.errors.UniqueViolation, match="one_per_lead"):
            await db.execute(
                "update webhook_events set status = 'processing', claimed_by = 'x', claimed_at ="
                " now(), lease_expires_at = now(),"
                " deadline_at = now() where id = %s",
                (other,),
            )

    async def test_pollers_racing_for_the_same_leads_share_them_out(
        self, queue: Queue, db: Database
    ) -> None:
        await queue.accept_many(400, leads=10)
        workers = [queue.worker(f"worker-{n}", now=at(1)) for n in range(4)]
        start = asyncio.Barrier(len(workers))
        in_flight: Counter[str] = Counter()
        done: Counter[str] = Counter()

        async def work(index: int) -> None:
            worker = workers[index]
            await start.wait()
            while sum(done.values()) < 400:
                worker.sweep()
                for claim in await worker.claim(4):
                    in_flight[claim.lead_id] += 1
                    assert in_flight[claim.lead_id] == 1, "two events of one lead in flight"
                    await asyncio.sleep(0)
                    in_flight[claim.lead_id] -= 1
                    await settle_until_answered(worker, [ended(claim)])
                    done[str(claim.event_id)] += 1

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for index in range(len(workers)):
                group.create_task(work(index))

        assert set(done.values()) == {1}
        assert (
            await db.value("select count(*) from event_attempts where result = 'completed'") == 400
        )

    async def test_repeats_the_claim_when_another_poller_was_faster(
        self, queue: Queue, db: Database
    ) -> None:
        # A rival takes the lead's other event and has not committed yet: our claim has to wait in
        # the unique index for it.
        rival, ours = await queue.accept("lead-1"), await queue.accept("lead-1", due=at(1))
        free = await queue.accept("lead-2", due=at(2))
        worker = queue.worker(now=at(2))
        async with await AsyncConnection.connect(db.url) as connection:
            await connection.execute(
                "update webhook_events set status = 'processing', claimed_by = 'rival',"
                " claimed_at = now(), lease_expires_at = %s,"
                " deadline_at = %s where id = %s",
                (at(30), at(300), rival),
            )
            claiming = asyncio.create_task(worker.claim(2))
            await db.until_blocked()
            await connection.commit()

            claims = await claiming

        assert [claim.event_id for claim in claims] == [free]
        assert worker.conflicts == 1
        assert (await queue.row(ours)).status == "received"

    async def test_gives_up_waiting_before_postgres_looks_for_a_deadlock(
        self, queue: Queue, db: Database
    ) -> None:
        # The rival's transaction stays open, as a person's might. Postgres would look for a
        # deadlock after a second, and could end theirs instead of ours.
        rival = await queue.accept("lead-1")
        await queue.accept("lead-1", due=at(1))
        async with await AsyncConnection.connect(db.url) as connection:
            await connection.execute(
                "update webhook_events set status = 'processing', claimed_by = 'rival',"
                " claimed_at = now(), lease_expires_at = %s,"
                " deadline_at = %s where id = %s",
                (at(30), at(300), rival),
            )
            worker = queue.worker(now=at(2))
            claiming = asyncio.create_task(worker.claim(2))
            await db.until_blocked()

            async with asyncio.timeout(5):
                claims = await claiming

            assert (claims, worker.conflicts) == ([], 5)


class TestTheMark:
    async def test_later_claims_look_beyond_what_was_claimed(self, queue: Queue) -> None:
        worker = queue.worker(now=at(10))
        await queue.accept_many(3)
        await worker.claim(2)

        late = await queue.accept("late", due=at(-1))

        assert late not in [claim.event_id for claim in await worker.claim(10)]

    async def test_a_sweep_finds_what_was_committed_late(self, queue: Queue) -> None:
        worker = queue.worker(now=at(10))
        await queue.accept_many(3)
        await worker.claim(2)
        late = await queue.accept("late", due=at(-1))

        worker.sweep()

        assert [claim.event_id for claim in await worker.claim(1)] == [late]

    async def test_a_sweep_finds_what_a_person_has_reset(self, queue: Queue) -> None:
        worker = queue.worker(now=at(10))
        event_id = await queue.accept()
        await settle(worker, await queue.claim(worker))
        await queue.accept_many(1, due=at(1))
        await queue.claim(worker)
        await queue.reset(event_id)
        assert await worker.claim(1) == []

        worker.sweep()

        assert (await queue.claim(worker)).event_id == event_id

    async def test_it_does_not_move_past_events_that_were_only_looked_at(
        self, queue: Queue
    ) -> None:
        # Three of one lead and slots for two: one is taken. The next claim begins at the same
        # place.
        worker = queue.worker(now=at(10))
        for n in range(3):
            await queue.accept("hot", due=at(n))
        free = await queue.accept("quiet", due=at(1.5))

        first, second = await worker.claim(2), await worker.claim(2)

        assert [len(first), [claim.event_id for claim in second]] == [1, [free]]


class TestTheLanes:
    async def test_the_freshest_lane_takes_what_became_due_last(self, queue: Queue) -> None:
        await queue.accept_many(20, due=at(-3600))
        fresh = [await queue.accept(f"fresh-{n}", due=at(-n)) for n in range(3)]

        claims = await queue.worker().claim(2, "freshest")

        assert {claim.event_id for claim in claims} == set(fresh[:2])

    async def test_the_freshest_lane_stays_inside_its_window(self, queue: Queue) -> None:
        await queue.accept("old", due=at(-60))
        await queue.accept("future", due=at(1))
        inside = await queue.accept("fresh", due=at(-59))

        claims = await queue.worker().claim(10, "freshest")

        assert [claim.event_id for claim in claims] == [inside]

    async def test_the_freshest_lane_does_not_move_the_mark(self, queue: Queue) -> None:
        worker = queue.worker()
        old = await queue.accept("old", due=at(-3600))
        await queue.accept("fresh")

        await worker.claim(1, "freshest")

        assert (await queue.claim(worker)).event_id == old

    async def test_suspects_come_from_their_own_lane_and_one_at_a_time(self, queue: Queue) -> None:
        suspects = [await queue.accept(f"suspect-{n}", due=at(-n), suspect=True) for n in range(2)]
        others = [await queue.accept(f"other-{n}", due=at(-n)) for n in range(2)]
        worker = queue.worker()

        assert [claim.event_id for claim in await worker.claim(10, "suspect")] == suspects[1:]
        assert {claim.event_id for claim in await worker.claim(10)} == set(others)
        assert [claim.event_id for claim in await worker.claim(10, "suspect")] == suspects[:1]
        assert await worker.claim(10, "freshest") == []

    @pytest.mark.parametrize("lane", ["oldest", "freshest", "suspect"])
    async def test_every_lane_respects_the_lead_in_flight(self, queue: Queue, lane: Lane) -> None:
        await queue.accept("lead-1")
        await queue.claim(queue.worker("bruno"))
        await queue.accept("lead-1", suspect=lane == "suspect")

        assert await queue.worker().claim(5, lane) == []


class TestABeat:
    async def test_tells_when_the_next_event_becomes_due(self, queue: Queue) -> None:
        worker = queue.worker()
        assert (await worker.beat()).next_due is None
        await queue.accept("lead-1", due=at(90), suspect=True)
        await queue.accept("lead-2", due=at(60))

        outlook = await worker.beat()

        assert outlook.next_due == pytest.approx(60)
        assert not outlook.due

    async def test_tells_what_is_due_apart_from_when_the_next_becomes_due(
        self, queue: Queue
    ) -> None:
        worker = queue.worker()
        await queue.accept("lead-1")
        await queue.claim(worker)
        await queue.accept("lead-1")
        await queue.accept("lead-2")
        worker.sweep()
        await settle(worker, await queue.claim(worker), RETRIED)

        outlook = await worker.beat()

        assert outlook.due
        assert outlook.next_due == pytest.approx(40)

    async def test_tells_whether_a_suspect_is_due(self, queue: Queue) -> None:
        await queue.accept(due=at(1), suspect=True)

        assert not (await queue.worker(now=NOON).beat()).suspect_due
        assert (await queue.worker(now=at(1)).beat()).suspect_due

    async def test_tells_that_a_lease_is_over(self, queue: Queue) -> None:
        await queue.accept()
        await queue.claim(queue.worker("ana"))

        assert not (await queue.worker("bruno", now=at(29)).beat()).lease_over
        assert (await queue.worker("bruno", now=NOON + LEASE).beat()).lease_over

    async def test_tells_whether_others_have_work_in_flight(self, queue: Queue) -> None:
        bruno = queue.worker("bruno")
        await bruno.store.beat(3, 10, pulse=False)
        assert not (await bruno.beat()).others_busy

        await queue.worker("ana").store.beat(1, 10, pulse=False)

        assert (await bruno.beat()).others_busy
