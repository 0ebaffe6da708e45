"""What the queue's statements cost: which indexes they use and how many pages they touch, counted,
never timed.

Each statement is explained as the store sends it, on a large backlog, with statistics that are
fresh, stale (taken when the table was empty) or missing, planned for its parameters and planned
without them (what a prepared statement may come to).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, cast

import psycopg
import pytest
from psycopg import AsyncConnection, sql
from tests.conftest import Database
from tests.queue.conftest import (
    EVERY_ENDING,
    LEASE,
    NOON,
    Queue,
    Recorded,
    Worker,
    at,
    ended,
    make_claimer,
    queue_settings,
    settle_until_answered,
)

from c2s_enrich.connection import Connection, Statement
from c2s_enrich.database import Pool
from c2s_enrich.migrations import migrate
from c2s_enrich.queue.store import Lane, QueueStore

BACKLOG = 30_000
SETTLED = 15_000

PRIMARY_KEY = "webhook_events_pkey"
DUE, DUE_ALONE, ONE_PER_LEAD = (
    "webhook_events_due",
    "webhook_events_due_alone",
    "webhook_events_one_per_lead",
)
BY_LEAD = "webhook_events_lead_id_updated_at_key"
HISTORY = "event_attempts_pkey"
UPSTREAMS = "upstreams_pkey"
POLLERS = "pollers_pkey"


@dataclass
class Plan:
    """One explained run: the indexes that it read, the tables that it read whole, the events that
    it met, and the pages that it touched.
    """

    indexes: set[str] = field(default_factory=set)
    read_whole: set[str] = field(default_factory=set)
    events_read: int = 0
    buffers: int = 0
    wal_records: int = 0

    @classmethod
    def of(cls, explained: Mapping[str, Any]) -> Plan:
        plan = cls(
            buffers=explained["Shared Hit Blocks"] + explained["Shared Read Blocks"],
            wal_records=explained["WAL Records"],
        )
        for node in _nodes(explained):
            # Lanes that were not asked for and branches that were not needed are planned, but never
            # run.
            if node["Actual Loops"] and "Index Name" in node:
                plan.indexes.add(node["Index Name"])
            if node.get("Relation Name") == "webhook_events":
                plan.events_read += int(node["Actual Rows"] * node["Actual Loops"])
            if node["Actual Loops"] and node["Node Type"] == "Seq Scan":
                plan.read_whole.add(node["Relation Name"])
        return plan


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


@dataclass
class ExplainingPool:
    """Hands out one connection that explains each statement (and undoes it) before it runs it."""

    connection_: Connection
    plans: list[Plan] = field(default_factory=list)

    async def getconn(self) -> ExplainingPool:
        return self

    def has_outlived(self, _: ExplainingPool) -> bool:
        return False

    async def putconn(self, _: ExplainingPool) -> None:
        pass

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[ExplainingPool]:
        yield self

    async def ask(
        self,
        statement: Statement,
        params: Mapping[str, Any],
        *,
        prepare: bool = True,
        binary: bool = False,
    ) -> Any:
        arguments = sql.SQL(", ").join([sql.Literal(params[name]) for name in statement.names])
        await self.connection_.execute(b"prepare explained as " + statement.text)
        async with self.connection_.transaction(force_rollback=True):
            cursor = await self.connection_.execute(
                sql.SQL(
                    "explain (analyze, buffers, wal, format json) execute explained ({})"
                ).format(arguments)
            )
            [[[explained]]] = await cursor.fetchall()
        await self.connection_.execute("deallocate explained")
        self.plans.append(Plan.of(explained["Plan"]))
        return await self.connection_.ask(statement, params, binary=binary)


@dataclass
class Explained:
    """A worker whose statements are explained."""

    store: Worker
    pool: ExplainingPool

    @property
    def last(self) -> Plan:
        return self.pool.plans[-1]


@pytest.fixture(scope="module")
def backlogs(create_database: Callable[[], str]) -> Callable[[str], str]:
    """Addresses of databases with a large backlog, each filled once, by the statistics that their
    planner has.
    """

    @cache
    def filled(statistics: str) -> str:
        url = create_database()
        asyncio.run(migrate(url))
        with psycopg.connect(url, autocommit=True) as connection:
            # Half the time of filling is the triggers', and none of them would change a row.
            connection.execute("set session_replication_role = replica")
            for table in ("webhook_events", "event_attempts"):
                # Autovacuum would make every kind of statistics a fresh one.
                connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
                if statistics == "stale":
                    connection.execute(f"analyze {table}".encode())
            connection.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw, status, outcome,"
                " processed_at)"
                " select 'done-' || g, now(), '{}', 'completed', 'enriched', now() from"
                " generate_series(1, %s) g",
                (SETTLED,),
            )
            connection.execute(
                "insert into event_attempts (event_id, lease_token, attempt, worker, started_at,"
                " result)"
                " select id, 1, 1, 'ana', now(), 'completed' from webhook_events"
            )
            connection.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw, received_at,"
                " available_at, losses)"
                " select 'lead-' || g, now(), '{}', %s, %s + g * interval '10 us', (g %% 1000 ="
                " 0)::int * 2 from generate_series(1, %s) g",
                (NOON, NOON, BACKLOG),
            )
            if statistics == "fresh":
                connection.execute("vacuum analyze webhook_events, event_attempts")
        return url

    return filled


@pytest.fixture(params=["fresh", "stale", "no"], ids=lambda state: f"{state} statistics")
def backlog_url(request: pytest.FixtureRequest, backlogs: Callable[[str], str]) -> Iterator[str]:
    url = backlogs(request.param)
    yield url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE webhook_events SET status = 'failed' WHERE status = 'processing'"
        )


@asynccontextmanager
async def explained_worker(url: str, planning: str) -> AsyncIterator[Explained]:
    async with await Connection.connect(url, autocommit=True) as connection:
        await connection.execute(f"set plan_cache_mode = force_{planning}_plan".encode())
        pool = ExplainingPool(connection)
        store = QueueStore(cast(Pool, pool), queue_settings(), worker="ana", now=at(1))
        recorded = Recorded()
        yield Explained(Worker(store, recorded, make_claimer(store, recorded)), pool)


PLANNING = pytest.mark.parametrize("planning", ["custom", "generic"])


@pytest.fixture
async def explained(backlog_url: str, planning: str) -> AsyncIterator[Explained]:
    async with explained_worker(backlog_url, planning) as worker:
        yield worker


@PLANNING
class TestOnALargeBacklog:
    @pytest.mark.parametrize(
        ("lane", "index"), [("oldest", DUE), ("freshest", DUE), ("suspect", DUE_ALONE)]
    )
    async def test_a_claim_walks_the_index_of_its_lane(
        self, explained: Explained, lane: Lane, index: str
    ) -> None:
        claims = await explained.store.claim(10, lane)

        assert len(claims) == (1 if lane == "suspect" else 10)
        assert index in explained.last.indexes
        assert explained.last.indexes <= {index, PRIMARY_KEY, ONE_PER_LEAD, BY_LEAD}
        assert explained.last.read_whole == set()
        assert explained.last.buffers < 500

    async def test_claims_stay_cheap_while_the_backlog_is_worked_off(
        self, explained: Explained
    ) -> None:
        for _ in range(30):
            claims = await explained.store.claim(10)
            assert len(claims) == 10
            await settle_until_answered(explained.store, [ended(claim) for claim in claims])

        assert max(plan.buffers for plan in explained.pool.plans[::2]) < 500

    async def test_an_event_writes_few_records_of_wal(self, explained: Explained) -> None:
        claims = await explained.store.claim(100)
        claim = explained.last.wal_records
        await explained.store.settle([ended(claim) for claim in claims])
        settlement = explained.last.wal_records

        # A lock, the new row and four index entries for the claim; for the settlement the same with
        # one index more, and the line of history with its two. The rest is room on pages.
        assert claim <= 8 * 100
        assert settlement <= 12 * 100

    async def test_settling_goes_by_the_primary_keys(self, explained: Explained) -> None:
        claims = await explained.store.claim(len(EVERY_ENDING))

        await explained.store.settle(
            [
                ended(claim, ending)
                for claim, ending in zip(claims, EVERY_ENDING.values(), strict=True)
            ]
        )

        # Of the upstreams there are three: whichever way they are read.
        assert explained.last.indexes - {UPSTREAMS} == {PRIMARY_KEY}
        assert explained.last.read_whole <= {"upstreams"}
        assert explained.last.buffers < 500

    async def test_settling_what_was_lost_goes_by_the_primary_keys(
        self, explained: Explained
    ) -> None:
        claims = await explained.store.claim(10)
        await explained.pool.connection_.execute(
            "UPDATE webhook_events SET status = 'failed' WHERE status = 'processing'"
        )

        assert await explained.store.settle([ended(claim) for claim in claims]) == ["lost"] * 10

        assert explained.last.indexes == {PRIMARY_KEY, HISTORY}
        assert explained.last.read_whole == set()
        assert explained.last.buffers < 500

    async def test_a_heartbeat_goes_by_the_primary_key(self, explained: Explained) -> None:
        claims = await explained.store.claim(10)

        await explained.store.extend_leases(claims)

        assert explained.last.indexes == {PRIMARY_KEY}
        assert explained.last.read_whole == set()
        assert explained.last.buffers < 500

    async def test_reclaiming_reads_only_what_is_in_flight(self, explained: Explained) -> None:
        await explained.store.claim(10)
        explained.store.now = at(1) + LEASE

        assert await explained.store.reclaim() == (10, 0)

        assert explained.last.indexes == {ONE_PER_LEAD, PRIMARY_KEY}
        assert explained.last.read_whole == set()
        assert explained.last.buffers < 1000

    async def test_a_beat_reads_only_the_indexes_of_what_waits_and_of_what_is_in_flight(
        self, explained: Explained
    ) -> None:
        await explained.store.beat()

        assert explained.last.indexes <= {DUE, DUE_ALONE, ONE_PER_LEAD, POLLERS}
        assert explained.last.read_whole <= {"pollers"}
        # Not buffers: the tests before this one leave dead entries at the head of what waits, and
        # what a scan reads of them depends on the moment and on the major.
        assert explained.last.events_read <= 4


class TestWithAnOldTransactionOpen:
    """Nothing can be vacuumed: every finished event stays at the index's head as a dead entry."""

    @pytest.fixture
    async def analyst(self, queue: Queue, db: Database) -> AsyncIterator[AsyncConnection[Any]]:
        # A statistic that autovacuum takes in the middle would change the plan.
        await db.execute("alter table webhook_events set (autovacuum_enabled = off)")
        # What earlier tests have deleted would be walked, too.
        await db.execute("truncate webhook_events cascade")
        # In no order on disk, so that each dead entry costs a page of its own.
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, available_at)"
            " select 'lead-' || g, now(), jsonb_build_object('pad', repeat('x', 400)), %s +"
            " random() * interval '1 s'"
            " from generate_series(1, 4000) g",
            (NOON,),
        )
        # An emptied table counts as small, and a small one is read whole.
        await db.execute("analyze webhook_events")
        async with await AsyncConnection.connect(db.url) as connection:
            await connection.execute("set transaction isolation level repeatable read")
            await connection.execute("select count(*) from webhook_events")
            yield connection
        await db.execute("alter table webhook_events reset (autovacuum_enabled)")

    @pytest.fixture
    async def explained(self, db: Database) -> AsyncIterator[Explained]:
        async with explained_worker(db.url, "custom") as worker:
            yield worker

    @pytest.mark.usefixtures("analyst")
    async def test_claims_do_not_walk_what_is_finished(self, explained: Explained) -> None:
        while (claims := await explained.store.claim(100)) and len(explained.pool.plans) < 50:
            await settle_until_answered(explained.store, [ended(claim) for claim in claims])
        claims = await explained.store.claim(10)
        beyond_the_mark = explained.last.buffers
        explained.store.sweep()
        await explained.store.claim(10)
        sweep = explained.last.buffers

        assert len(claims) == 10
        assert beyond_the_mark < 500
        # What every claim would cost without the mark, and why sweeps are rare.
        assert sweep > 2000

    @pytest.mark.usefixtures("analyst")
    async def test_a_beat_walks_what_is_finished_once(
        self, explained: Explained, queue: Queue
    ) -> None:
        worker = queue.worker(now=at(1))
        while claims := await worker.claim(100):
            await settle_until_answered(worker, [ended(claim) for claim in claims])

        await explained.store.beat()

        # 4,000 events in the index of what waits and in that of what is in flight.
        assert explained.last.read_whole <= {"pollers"}
        assert explained.last.buffers < 2.2 * 4000
