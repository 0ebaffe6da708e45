"""The lease: how long it lasts, who may extend it, and what its holder knows of it without the
database.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.queue.conftest import DEADLINE, LEASE, NOON, Queue, at, settle

from c2s_enrich.clock import Clock
from c2s_enrich.errors import LeaseLost
from c2s_enrich.queue.claim import Lease


class TestHeartbeat:
    async def test_moves_the_end_of_every_lease_in_flight_in_one_statement(
        self, queue: Queue
    ) -> None:
        await queue.accept_many(5)
        worker = queue.worker()
        worker.now = at(1)
        claims = await worker.claim(5)

        worker.now = at(11)
        ours = await worker.extend_leases(claims)

        assert ours == {claim.key: True for claim in claims}
        assert {(await queue.row(claim.event_id)).lease_expires_at for claim in claims} == {
            at(11) + LEASE
        }

    async def test_never_moves_it_past_the_deadline(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        worker.now = NOON + DEADLINE - timedelta(seconds=1)
        assert await worker.extend_leases([claim]) == {claim.key: True}
        row = await queue.row(event_id)
        assert row.lease_expires_at == row.deadline_at == NOON + DEADLINE

    async def test_at_the_deadline_the_event_is_no_longer_ours(self, queue: Queue) -> None:
        worker = queue.worker()
        await queue.accept()
        claim = await queue.claim(worker)

        worker.now = NOON + DEADLINE

        assert await worker.extend_leases([claim]) == {}

    async def test_changes_nothing_but_the_end_of_the_lease(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        before = await queue.row(event_id)

        worker.now = at(10)
        await worker.extend_leases([claim])

        assert await queue.row(event_id) == before._replace(lease_expires_at=at(10) + LEASE)

    async def test_does_not_wait_for_a_busy_row_and_says_that_it_is_still_ours(
        self, queue: Queue
    ) -> None:
        worker = queue.worker()
        await queue.accept_many(2)
        worker.now = at(1)
        busy, free = await worker.claim(2)

        worker.now = at(10)
        async with queue.someone_holds(busy.event_id):
            ours = await worker.extend_leases([busy, free])

        assert ours == {busy.key: False, free.key: True}
        assert (await queue.row(busy.event_id)).lease_expires_at == at(1) + LEASE

    async def test_leaves_out_what_a_person_took_away(self, queue: Queue) -> None:
        worker = queue.worker()
        await queue.accept_many(2)
        worker.now = at(1)
        taken, kept = await worker.claim(2)

        await queue.reset(taken.event_id)

        assert await worker.extend_leases([taken, kept]) == {kept.key: True}

    async def test_tells_two_claims_of_one_event_apart(self, queue: Queue) -> None:
        # Reset by a person and claimed again by the same worker, whose first task has not noticed
        # yet.
        worker = queue.worker()
        await queue.accept()
        old = await queue.claim(worker)
        await queue.reset(old.event_id)
        worker.sweep()
        new = await queue.claim(worker)

        assert await worker.extend_leases([old, new]) == {new.key: True}

    async def test_revives_a_lease_that_has_ended_but_was_not_reclaimed(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        worker.now = at(100)
        assert await worker.extend_leases([claim]) == {claim.key: True}

        assert await queue.worker("bruno", now=at(101)).reclaim() == (0, 0)
        assert (await queue.row(event_id)).status == "processing"


class SetClock(Clock):
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1000.0

    def boottime(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


class TestTheCountdown:
    """The holder's own view: never longer than the database's."""

    def test_begins_when_the_claim_was_asked_for(self) -> None:
        clock = SetClock()
        lease = Lease(clock, clock.now, timedelta(seconds=30))

        clock.now += 29

        assert lease.seconds_left == 1

    def test_is_extended_from_when_the_heartbeat_was_asked_for(self) -> None:
        clock = SetClock()
        lease = Lease(clock, clock.now, timedelta(seconds=30))

        clock.now += 12
        lease.extend(asked_at=1010.0)

        assert lease.seconds_left == 28

    def test_an_answer_that_overtakes_another_does_not_shorten_it(self) -> None:
        clock = SetClock()
        lease = Lease(clock, clock.now, timedelta(seconds=30))

        lease.extend(asked_at=1020.0)
        lease.extend(asked_at=1010.0)

        assert lease.seconds_left == 50

    def test_ends_at_the_deadline_like_the_databases(self) -> None:
        clock = SetClock()
        lease = Lease(clock, clock.now, timedelta(seconds=30), timedelta(seconds=40))

        lease.extend(asked_at=1025.0)

        assert lease.seconds_left == 40
        assert not lease.deadline_passed
        clock.now += 40
        assert lease.deadline_passed

    def test_must_outlast_what_cannot_be_undone(self) -> None:
        clock = SetClock()
        lease = Lease(clock, clock.now, timedelta(seconds=30))
        clock.now += 15

        lease.must_outlast(timedelta(seconds=15))
        with pytest.raises(LeaseLost):
            lease.must_outlast(timedelta(seconds=15.001))

    def test_nothing_is_left_of_a_lease_that_was_taken_away(self) -> None:
        lease = Lease(SetClock(), 1000.0, timedelta(seconds=30))

        lease.taken_away = True

        assert lease.seconds_left == 0
        with pytest.raises(LeaseLost):
            lease.must_outlast(timedelta(milliseconds=1))


class TestTheRow:
    async def test_only_a_processing_row_has_a_lease(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        leased = await queue.claim(worker)

        await settle(worker, leased)

        row = await queue.row(event_id)
        assert (row.claimed_by, row.claimed_at, row.lease_expires_at, row.deadline_at) == (
            None,
        ) * 4
