"""The queue alone: events are bare rows, handlers are three lines, time is whatever a test says it
is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from tests.conftest import ENVIRONMENT, Database

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.queue.claim import Claim, ClaimKey, Done, Ending, Handler, Journal, Lease
from c2s_enrich.queue.claimer import START, Claimer
from c2s_enrich.queue.poller import Poller
from c2s_enrich.queue.store import Lane, Look, Outlook, QueueStore, Settled, Settlement
from c2s_enrich.queue.wakeup import Listener
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics

# After every real clock's time, so that whatever a trigger or a default dates with now() is due.
NOON = datetime(2040, 3, 2, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
DEADLINE = timedelta(seconds=300)
SETTINGS = Settings.load(ENVIRONMENT, "tool")

COMPLETED = Ending("completed", outcome="enriched", fingerprint="a-fingerprint")
RETRIED = Ending(
    "retried",
    error_kind="upstream_unavailable",
    error_message="diretrix: HTTP 500",
    delay=timedelta(seconds=40),
    reason="backoff",
)
POSTPONED = Ending(
    "postponed",
    error_kind="upstream_unavailable",
    error_message="work_api: paused",
    delay=timedelta(seconds=60),
    waiting_for="work_api",
    reason="paused",
)
FAILED = Ending("failed", error_kind="lead_not_found", error_message="Lead not found")
RELEASED = Ending("released")
# A fact in these tests is a person by CPF.
RECORD_FACTS: LiteralString = (
    "insert into people (cpf, expires_at)"
    " select f.cpf, now() from json_to_recordset(%(facts)s::json) as f(cpf text)"
)
EVERY_ENDING = {
    ending.result: ending for ending in (COMPLETED, RETRIED, POSTPONED, FAILED, RELEASED)
}


def at(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def ended(claim: Claim, ending: Ending = COMPLETED) -> Settlement:
    return claim, ending, Journal(Clock())


def make_claimer(store: QueueStore, recorded: Recorded) -> Claimer:
    return Claimer(store, Clock(), recorded, timedelta(seconds=5))


def queue_settings(**fields: Any) -> Settings:
    """The defaults with other values in these fields. Each row keeps its own `max_attempts`."""
    return replace(SETTINGS, **{"max_attempts": None} | fields)


@dataclass
class Worker:
    """One worker's statements, as its poller sends them. They believe that it is `now` (None: the
    database's own time).
    """

    store: QueueStore
    recorded: Recorded
    claimer: Claimer

    @property
    def now(self) -> datetime | None:
        return self.store.now

    @now.setter
    def now(self, now: datetime | None) -> None:
        self.store.now = now

    @property
    def conflicts(self) -> int:
        return int(self.recorded.registry.get_sample_value("c2s_claim_conflicts_total") or 0)

    async def claim(self, slots: int, lane: Lane = "oldest") -> list[Claim]:
        """From that lane; in the ordinary one beyond the mark."""
        return await self.claimer.take(Look(lane, self.claimer._mark), slots)

    def sweep(self) -> None:
        """The next claim begins with the very first due event."""
        self.claimer._mark = START

    async def extend_leases(self, claims: Sequence[Claim]) -> dict[ClaimKey, bool]:
        return await self.store.extend_leases(claims)

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        return await self.store.settle(settlements)

    async def reclaim(
        self, holding: Sequence[Claim] = (), dead: Sequence[str] = ()
    ) -> tuple[int, int]:
        """How many, and how many of them failed."""
        reclaimed, _ = await self.store.reclaim(holding, dead)
        return len(reclaimed), sum(event["failed"] for event in reclaimed)

    async def beat(self) -> Outlook:
        return await self.store.beat(0, 1, pulse=False)


@dataclass(frozen=True)
class Queue:
    """The table and its workers, in the verbs of the domain."""

    db: Database
    pool: Pool

    def worker(
        self,
        name: str = "ana",
        *,
        now: datetime | None = NOON,
        lease: timedelta = LEASE,
        deadline: timedelta = DEADLINE,
    ) -> Worker:
        store = QueueStore(
            self.pool,
            queue_settings(lease=lease, attempt_deadline=deadline),
            worker=name,
            record_facts=RECORD_FACTS,
            now=now,
        )
        recorded = Recorded()
        return Worker(store, recorded, make_claimer(store, recorded))

    async def accept(
        self, lead: str = "lead", *, due: datetime = NOON, suspect: bool = False, **columns: Any
    ) -> UUID:
        """One received event, due at `due`."""
        columns = {
            "lead_id": lead,
            "available_at": due,
            "received_at": due,
            "losses": 2 if suspect else 0,
        } | columns
        names, values = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
        query = (
            f"insert into webhook_events ({names}, updated_at, payload_raw) values ({values},"
            f" clock_timestamp(), '{{}}') returning id"
        )
        event_id: UUID = await self.db.value(query, columns)
        return event_id

    async def accept_many(
        self, count: int, *, leads: int | None = None, due: datetime = NOON
    ) -> None:
        """Events a microsecond apart, the last one due at `due`, dealt out to as many leads
        (default: each its own).
        """
        await self.db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, received_at,"
            " available_at)"
            " select 'lead-' || g %% %s, now() + g * interval '1 us', '{}', %s, %s + (g - %s) *"
            " interval '1 us'"
            " from generate_series(1, %s) g",
            (leads or count, due, due, count, count),
        )

    async def claim(self, worker: Worker) -> Claim:
        """The one event that is due."""
        [claim] = await worker.claim(1)
        return claim

    async def row(self, event_id: UUID) -> Any:
        [row] = await self.db.fetch("select * from webhook_events where id = %s", (event_id,))
        return row

    async def history(self, event_id: UUID) -> list[Any]:
        return await self.db.fetch(
            "select * from event_attempts where event_id = %s order by lease_token", (event_id,)
        )

    async def statuses(self) -> Counter[str]:
        return Counter(
            {
                row.status: row.n
                for row in await self.db.fetch(
                    "select status, count(*) as n from webhook_events group by status"
                )
            }
        )

    async def reset(self, event_id: UUID) -> None:
        """What an operator types."""
        await self.db.execute(
            "UPDATE webhook_events SET status = 'received' WHERE id = %s", (event_id,)
        )

    @asynccontextmanager
    async def someone_holds(self, event_id: UUID) -> AsyncIterator[AsyncConnection[Any]]:
        """Another session has the row locked while inside."""
        async with await AsyncConnection.connect(self.db.url) as connection:
            await connection.execute(
                "select 1 from webhook_events where id = %s for update", (event_id,)
            )
            yield connection


async def settle(worker: Worker, claim: Claim, ending: Ending = COMPLETED) -> Settled:
    [answer] = await worker.settle([ended(claim, ending)])
    return answer


async def settle_until_answered(worker: Worker, settlements: Sequence[Settlement]) -> None:
    """As the settler does it: a row may be busy for a moment, even with another worker's claim that
    looks at it in vain.
    """
    pending = list(settlements)
    while pending:
        answers = await worker.settle(pending)
        pending = [
            settlement
            for settlement, answer in zip(pending, answers, strict=True)
            if answer == "busy"
        ]


@pytest.fixture
def queue(db: Database, pool: Pool) -> Queue:
    return Queue(db, pool)


@dataclass
class Recorded(Metrics):
    """The metrics, with lists of the transitions, steps and ends."""

    transitions: Counter[str] = field(default_factory=Counter)
    steps: list[str] = field(default_factory=list)
    ends: list[tuple[str | None, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def event(self, transition: str, count: int = 1, error_kind: str | None = None) -> None:
        self.transitions[transition] += count

    def attempt(self, steps: Iterable[Mapping[str, object]]) -> None:
        self.steps += [str(step["step"]) for step in steps]

    def ended(self, outcome: str | None, seconds: float) -> None:
        self.ends.append((outcome, seconds))


async def complete_at_once(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
    return Done("enriched")


@dataclass
class Stage:
    """A handler that stops inside until it is told to go on. `entered` counts who has come in, in
    order.
    """

    open: asyncio.Event = field(default_factory=asyncio.Event)
    entered: list[Claim] = field(default_factory=list)
    cancelled: list[Claim] = field(default_factory=list)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, claim: Claim, _lease: Lease, _journal: Journal) -> Done:
        self.entered.append(claim)
        self._moved.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.append(claim)
            raise
        return Done("enriched")

    async def has(self, count: int) -> None:
        """Waits until that many events have come in."""
        while len(self.entered) < count:
            self._moved.clear()
            await self._moved.wait()


SHORT = timedelta(seconds=1.5)
# In place of the process for suspects: one that ends at once.
NO_SUSPECTS = ("true",)


def make_poller(
    worker: Worker,
    handler: Handler,
    *,
    metrics: Recorded | None = None,
    clock: Clock | None = None,
    listener: Listener | None = None,
    suspects: Sequence[str] | None = NO_SUSPECTS,
    duties: tuple[Callable[[], Awaitable[None]], ...] = (),
    boundary: Callable[[str], Awaitable[None]] | None = None,
    **fields: Any,
) -> Poller:
    numbers = {"concurrency": 4, "grace": timedelta(seconds=5)}
    return Poller(
        store=worker.store,
        handler=handler,
        settings=queue_settings(**numbers | fields),
        clock=clock or Clock(),
        metrics=metrics or Recorded(),
        listener=listener,
        suspects=suspects,
        duties=duties,
        boundary=boundary,
    )


@asynccontextmanager
async def running(poller: Poller) -> AsyncIterator[asyncio.Task[None]]:
    """The poller at work; it is stopped politely at the end, and whatever it died of comes out
    here.
    """
    task = asyncio.create_task(poller.run())
    try:
        yield task
    finally:
        poller.stop()
        async with asyncio.timeout(20):
            await task


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 10.0) -> None:
    """Waits for something that only the database can tell."""
    async with asyncio.timeout(within):
        while not await condition():
            await asyncio.sleep(0.01)
