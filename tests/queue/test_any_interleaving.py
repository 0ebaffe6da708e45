"""Any interleaving: whatever several pollers, time and a person do to the queue, in whatever order,
its rules hold.

A model of a few lines keeps book next to the real statements on the real database, and after each
step the two must agree.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import AsyncConnection
from psycopg.rows import namedtuple_row
from tests.conftest import ENVIRONMENT, Database
from tests.queue.conftest import DEADLINE, EVERY_ENDING, LEASE, NOON, Queue, Worker, settle

from c2s_enrich.database import open_pool
from c2s_enrich.queue.claim import Claim, ClaimKey, Ending
from c2s_enrich.queue.store import Lane
from c2s_enrich.settings import Settings

T = TypeVar("T")

LEADS = ("lead-1", "lead-2", "lead-3")
POLLERS = ("ana", "bruno", "carla")
MOST_ATTEMPTS = 3
BY_HAND = ("received", "completed", "failed")
# Which of those that there are. Not drawn from them: how many claims there are also depends on the
# jitter of the database, and what is drawn must not.
WHICH = st.integers(0, 59)


@dataclass
class Held:
    """What the model knows of one claim. `result` is None while it is live."""

    claim: Claim
    store: Worker
    expires: datetime
    deadline: datetime
    result: str | None = None
    ending: Ending | None = None


class World:
    """The loop, the database and the pool: made once, because a thousand short lives share them."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._url = url
        self._closing: list[Any] = []
        self.queue: Queue = self.run(self._open())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def close(self) -> None:
        for manager in reversed(self._closing):
            self.run(manager.__aexit__(None, None, None))
        self._runner.close()

    async def _open(self) -> Queue:
        connection = await AsyncConnection.connect(
            self._url, autocommit=True, row_factory=namedtuple_row
        )
        self._closing.append(connection)
        pool = open_pool(
            Settings.load(ENVIRONMENT | {"DATABASE_URL": self._url}, "tool"), name="test"
        )
        self._closing.append(pool)
        return Queue(Database(self._url, connection), await pool.__aenter__())


class Interleaving(RuleBasedStateMachine):
    """Steps in any order. `self.held` is the book: every claim that was ever made."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.queue = world.queue
        self.now = NOON
        self.held: dict[ClaimKey, Held] = {}
        self.attempts: dict[UUID, int] = {}
        self.tokens: dict[UUID, int] = {}
        self.stores: list[Worker] = []

    @initialize()
    def begin(self) -> None:
        self.world.run(self.queue.db.execute("truncate webhook_events, event_attempts"))
        self.stores = [self.queue.worker(name) for name in POLLERS]

    @rule(lead=st.sampled_from(LEADS), later=st.sampled_from([0, 0, 20]))
    def an_event_arrives(self, lead: str, later: int) -> None:
        due = self.now + timedelta(seconds=later)
        event_id = self.world.run(self.queue.accept(lead, due=due, max_attempts=MOST_ATTEMPTS))
        self.attempts[event_id], self.tokens[event_id] = 0, 0

    @rule(seconds=st.sampled_from([0.1, 5, 15, 31, 400]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.attempts)
    @rule(
        who=st.integers(0, len(POLLERS) - 1),
        slots=st.integers(1, 3),
        lane=st.sampled_from(["oldest", "oldest", "freshest", "suspect"]),
        sweep=st.booleans(),
    )
    def a_poller_claims(self, who: int, slots: int, lane: Lane, sweep: bool) -> None:
        self.claim(self.stores[who], slots, lane, sweep=sweep)

    @rule(who=st.integers(0, len(POLLERS) - 1))
    def a_poller_beats(self, who: int) -> None:
        """For all that it ever held: the heartbeat itself must tell what is still its own."""
        store = self.at_now(self.stores[who])
        mine = [held for held in self.held.values() if held.store is store]

        ours = self.world.run(store.extend_leases([held.claim for held in mine]))

        live = [held for held in mine if held.result is None and held.deadline > self.now]
        assert ours == {held.claim.key: True for held in live}
        for held in live:
            held.expires = min(self.now + LEASE, held.deadline)

    @rule(which=WHICH, ending=st.sampled_from([*EVERY_ENDING.values()]))
    def a_poller_settles(self, which: int, ending: Ending) -> None:
        if not (live := self.live()):
            return
        held = live[which % len(live)]
        if ending.result == "retried" and held.claim.attempts >= MOST_ATTEMPTS:
            ending = EVERY_ENDING["failed"]  # as the verdict decides it

        assert self.world.run(settle(self.at_now(held.store), held.claim, ending)) == "settled"

        self.end(held, ending.result, ending)

    @rule(which=WHICH, ending=st.sampled_from([*EVERY_ENDING.values()]))
    def a_zombie_settles(self, which: int, ending: Ending) -> None:
        if not (ended := self.ended()):
            return
        held = ended[which % len(ended)]
        before = self.everything()

        answer = self.world.run(settle(self.at_now(held.store), held.claim, ending))

        # Told again how it ended, it hears yes: the first answer may have been lost on its way.
        # Either way nothing changes.
        again = held.ending is not None and held.ending.result == ending.result
        assert answer == ("settled" if again else "lost")
        assert self.everything() == before

    @precondition(lambda self: self.attempts)
    @rule(which=WHICH, status=st.sampled_from(BY_HAND))
    def a_person_sets_the_status(self, which: int, status: str) -> None:
        event_id = list(self.attempts)[which % len(self.attempts)]
        self.world.run(
            self.queue.db.execute(
                "UPDATE webhook_events SET status = %s WHERE id = %s", (status, event_id)
            )
        )
        self.taken_by_hand([event_id], status)

    @precondition(lambda self: self.attempts)
    @rule(status=st.sampled_from(BY_HAND))
    def a_person_forgets_the_where(self, status: str) -> None:
        self.world.run(self.queue.db.execute("UPDATE webhook_events SET status = %s", (status,)))
        self.taken_by_hand(list(self.attempts), status)

    @rule(who=st.integers(0, len(POLLERS) - 1), holds=st.booleans())
    def a_poller_reclaims(self, who: int, holds: bool) -> None:
        self.reclaim(self.stores[who], holds=holds)

    @invariant()
    def the_table_agrees_with_the_book(self) -> None:
        if not self.stores:
            return
        rows, history = self.everything()
        processing = [row for row in rows if row.status == "processing"]
        leases = [
            row
            for row in rows
            if None not in (row.claimed_by, row.claimed_at, row.lease_expires_at, row.deadline_at)
        ]

        assert len({row.lead_id for row in processing}) == len(processing), (
            "two live leases of one lead"
        )
        assert leases == processing, "a lease if and only if it is processing"
        assert {(row.id, row.lease_token) for row in processing} == {
            held.claim.key for held in self.live()
        }
        assert {row.id: row.lease_expires_at for row in processing} == {
            held.claim.event_id: held.expires for held in self.live()
        }
        assert {(row.event_id, row.lease_token): row.result for row in history} == {
            held.claim.key: held.result for held in self.ended()
        }
        assert {row.id: row.attempts for row in rows} == self.attempts
        assert all(row.attempts <= row.max_attempts for row in rows)
        assert all(row.lease_token >= self.tokens[row.id] for row in rows), "a token has fallen"
        self.tokens = {row.id: row.lease_token for row in rows}

    def teardown(self) -> None:
        """Nothing is stuck: with the pollers gone and a healthy one at work, every event ends."""
        survivor = self.queue.worker("survivor")
        self.now += DEADLINE
        self.reclaim(survivor, holds=False)
        for _ in range(2 * len(self.attempts)):
            self.now += timedelta(hours=1)
            for lane in ("oldest", "suspect"):
                for claim in self.claim(survivor, 10, lane, sweep=True):
                    assert self.world.run(settle(survivor, claim)) == "settled"
                    self.end(self.held[claim.key], "completed", EVERY_ENDING["completed"])
        if self.stores:
            self.the_table_agrees_with_the_book()
            assert set(self.world.run(self.queue.statuses())) <= {"completed", "failed"}

    def claim(self, store: Worker, slots: int, lane: Lane, *, sweep: bool) -> list[Claim]:
        if sweep:
            store.sweep()
        busy = {held.claim.lead_id for held in self.live()}

        claims = self.world.run(self.at_now(store).claim(slots, lane))

        leads = [claim.lead_id for claim in claims]
        assert len(claims) <= slots
        assert len(set(leads)) == len(leads), "two events of one lead in one claim"
        assert not busy & set(leads), "a lead that is in flight"
        for claim in claims:
            assert claim.lease_token > self.tokens[claim.event_id], "a token twice"
            self.attempts[claim.event_id] += 1
            self.held[claim.key] = Held(claim, store, self.now + LEASE, self.now + DEADLINE)
        return claims

    def reclaim(self, store: Worker, *, holds: bool) -> None:
        mine = (
            {held.claim.event_id for held in self.live() if held.store is store} if holds else set()
        )
        expired = [held for held in self.live() if held.expires <= self.now]
        over = [
            held for held in expired if held.claim.event_id not in mine or held.deadline <= self.now
        ]
        holding = [held.claim for held in self.live() if held.claim.event_id in mine]

        reclaimed, failed = self.world.run(self.at_now(store).reclaim(holding))

        assert reclaimed == len(over)
        assert failed == sum(self.attempts[held.claim.event_id] >= MOST_ATTEMPTS for held in over)
        for held in over:
            self.end(held, "worker_lost")

    def taken_by_hand(self, event_ids: Iterable[UUID], status: str) -> None:
        for event_id in event_ids:
            for held in self.live():
                if held.claim.event_id == event_id:
                    self.end(held, "taken_away")
            if status == "received":
                self.attempts[event_id] = 0

    def end(self, held: Held, result: str, ending: Ending | None = None) -> None:
        held.result, held.ending = result, ending
        if result in ("postponed", "released"):
            self.attempts[held.claim.event_id] -= 1

    def live(self) -> list[Held]:
        return [held for held in self.held.values() if held.result is None]

    def ended(self) -> list[Held]:
        return [held for held in self.held.values() if held.result is not None]

    def at_now(self, store: Worker) -> Worker:
        store.now = self.now
        return store

    def everything(self) -> tuple[list[Any], list[Any]]:
        async def look() -> tuple[list[Any], list[Any]]:
            rows = await self.queue.db.fetch("select * from webhook_events order by id")
            return rows, await self.queue.db.fetch(
                "select * from event_attempts order by event_id, lease_token"
            )

        return self.world.run(look())


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


class TestAnyInterleaving:
    def test_keeps_the_rules_of_the_queue(self, world: World) -> None:
        run_state_machine_as_test(
            lambda: Interleaving(world),  # type: ignore[arg-type]
            settings=settings(
                max_examples=20,
                stateful_step_count=40,
                deadline=None,
                derandomize=bool(os.environ.get("CI")),
                suppress_health_check=list(HealthCheck),
            ),
        )
