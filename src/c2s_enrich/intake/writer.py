"""The coalescing writer: whatever arrived while the last statement ran goes into the next one, with
one COMMIT for all of it.

It adds no wait of its own: an idle lane writes at once what is handed in. It answers only after
COMMIT, and it never holds more than a bounded weight. Each statement of `sql/queries/intake.sql`
has its one caller here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
import structlog
from msgspec import Struct
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from c2s_enrich.database import Pool, is_transient, statements
from c2s_enrich.errors import NotStored
from c2s_enrich.intake.fast.arrays import (
    jsonb_array,
    take_arrays,
    text_array,
    timestamptz_array,
    uuid_array,
)
from c2s_enrich.intake.fast.time_limit import TimeLimit
from c2s_enrich.intake.payload import Delivery, Event, Reason, sentence
from c2s_enrich.settings import Settings

Verdict = Literal["stored", "duplicate", "same_key_other_body", "not_storable"]
Connection = AsyncConnection[tuple[Any, ...]]

# One statement's share. More rows make no faster rows, and a statement must stay far below the
# store timeout.
_BATCH_ROWS = 500
_BATCH_WEIGHT = 4 * 1024 * 1024
# All that may wait or be on its way, in bytes. Above it a delivery is refused at once rather than
# late.
_QUEUE_WEIGHT = 64 * 1024 * 1024
# What an event weighs beside its payload: the objects around it.
_OVERHEAD = 1024
# Pauses between tries while the database is away. Short: the deliveries wait meanwhile, and a
# fail-over takes about a second.
_NAPS = (0.05, 0.1, 0.2, 0.4, 0.8)

_log = structlog.get_logger(__name__)


class Problem(Struct, frozen=True):
    """Why one event of a delivery is not stored as such. `index` is None where the whole body is
    meant.
    """

    index: int | None
    reason: Reason


class Receipt(Struct, frozen=True):
    """What became of one delivery, all of it committed. received = processed + duplicates +
    rejected.

    An event whose key was there with another body counts as a duplicate, and is among the problems
    as well.
    """

    received: int
    processed: int
    duplicates: int
    rejected: int
    problems: tuple[Problem, ...] = ()


_ONE_STORED = Receipt(received=1, processed=1, duplicates=0, rejected=0)


class Writer:
    """Takes deliveries from many requests at once. An async context manager: leaving it writes what
    was accepted, then stops.
    """

    def __init__(self, pool: Pool, settings: Settings, *, lanes: int = 2) -> None:
        """`lanes` are connections that write side by side, so that one can gather while the other
        waits for its COMMIT.
        """
        self._queue: deque[_Job] = deque()
        self._weight = 0
        self._timeout = settings.store_timeout.total_seconds()
        self._limit = TimeLimit(self._timeout)
        self._closing = False
        self._idle: deque[asyncio.Future[None]] = deque()
        self._lanes = [_Lane(self, pool, settings) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writer:
        self._tasks = [asyncio.create_task(lane.run(), name="intake lane") for lane in self._lanes]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        while self._idle:
            self._wake_one()
        await asyncio.wait(self._tasks, timeout=self._timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def store(self, delivery: Delivery, origin: Mapping[str, str]) -> Receipt:
        """Returns after COMMIT. Raises NotStored when there is no room or no answer from the
        database in time.

        After NotStored the delivery may still have been committed; sent again it is a duplicate.
        `origin` is what a later replay needs beside the bytes; it is kept with rejected deliveries
        and must hold nothing secret.
        """
        if self._weight > _QUEUE_WEIGHT or self._closing:
            raise NotStored("too much is waiting to be stored")
        job = _Job(delivery, origin, asyncio.get_running_loop().create_future())
        self._weight += job.weight
        self._queue.append(job)
        if self._idle:
            self._wake_one()
        try:
            with self._limit():
                await job.committed
        except TimeoutError:
            raise NotStored("the database did not answer in time") from None
        finally:
            self._weight -= job.weight
        return job.receipt()

    async def next_batch(self) -> list[_Job]:
        """What waits, up to a statement's share; an empty list when the writer closes. Deliveries
        that were given up are dropped.
        """
        batch: list[_Job] = []
        while not batch:
            rows = weight = 0
            while self._queue and rows < _BATCH_ROWS and weight < _BATCH_WEIGHT:
                job = self._queue.popleft()
                if not job.committed.done():
                    batch.append(job)
                    rows += job.delivery.received
                    weight += job.weight
            if batch or self._closing:
                break
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle
        return batch

    def _wake_one(self) -> None:
        idle = self._idle.popleft()
        if not idle.done():
            idle.set_result(None)


class _Row:
    """One event on its way. Its id is chosen here, once: that is how a repeated INSERT recognises
    its own earlier success.
    """

    __slots__ = ("event", "row_id", "verdict")

    def __init__(self, event: Event, row_id: UUID) -> None:
        self.event = event
        self.row_id = row_id
        self.verdict: Verdict | None = None


class _Job:
    """One delivery on its way."""

    __slots__ = ("committed", "delivery", "origin", "reject_ids", "rows", "weight")

    def __init__(
        self, delivery: Delivery, origin: Mapping[str, str], committed: asyncio.Future[None]
    ) -> None:
        self.delivery = delivery
        self.origin = origin
        self.committed = committed
        ids = _new_ids(delivery.received)
        self.rows = [
            _Row(event, row_id) for event, row_id in zip(delivery.events, ids, strict=False)
        ]
        self.reject_ids = ids[len(self.rows) :]
        self.weight = (
            sum(len(event.payload) for event in delivery.events)
            + sum(len(rejection.raw) for rejection in delivery.rejections)
            + _OVERHEAD * delivery.received
        )

    def rejects(self) -> Iterable[_Reject]:
        """What is to be kept in rejected_deliveries."""
        for rejection, row_id in zip(self.delivery.rejections, self.reject_ids, strict=True):
            yield _Reject(
                row_id,
                rejection.raw,
                rejection.reason,
                rejection.index,
                rejection.lead_id,
                self.origin,
            )
        for row in self.rows:
            if row.verdict in ("same_key_other_body", "not_storable"):
                yield _Reject(
                    row.row_id,
                    row.event.payload,
                    row.verdict,
                    row.event.index,
                    row.event.lead_id,
                    self.origin,
                )

    def receipt(self) -> Receipt:
        if (
            len(self.rows) == 1
            and self.rows[0].verdict == "stored"
            and not self.delivery.rejections
        ):
            # Nearly every delivery.
            return _ONE_STORED
        counts = Counter(row.verdict for row in self.rows)
        problems = [
            Problem(rejection.index, rejection.reason) for rejection in self.delivery.rejections
        ]
        problems += [
            Problem(row.event.index, row.verdict)
            for row in self.rows
            if row.verdict in ("same_key_other_body", "not_storable")
        ]
        return Receipt(
            received=self.delivery.received,
            processed=counts["stored"],
            duplicates=counts["duplicate"] + counts["same_key_other_body"],
            rejected=len(self.delivery.rejections) + counts["not_storable"],
            problems=tuple(sorted(problems, key=lambda problem: problem.index or 0)),
        )


class _Reject(Struct, frozen=True):
    """A row of rejected_deliveries."""

    row_id: UUID
    raw: bytes
    reason: Reason
    index: int | None
    lead_id: str | None
    origin: Mapping[str, str]

    @property
    def detail(self) -> str:
        return sentence(self.reason, self.index)


class _Lane:
    """One connection and the loop that writes through it."""

    def __init__(self, writer: Writer, pool: Pool, settings: Settings) -> None:
        self._writer = writer
        self._pool = pool
        self._timeout = settings.store_timeout.total_seconds()
        self._max_attempts = settings.max_attempts
        self._sql = statements("intake")
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Until the writer closes and nothing waits any more."""
        try:
            while batch := await self._writer.next_batch():
                await self._write_until_committed(batch)
        finally:
            await self._give_back_connection()

    async def _write_until_committed(self, batch: list[_Job]) -> None:
        """Tries again while anybody still waits: after a lost connection nobody knows whether
        COMMIT happened, the ids will tell.
        """
        tries = 0
        while batch := [job for job in batch if not job.committed.done()]:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._write(await self._connected(), batch)
            except Exception as error:
                # Whatever it is, the other lanes and the next batch go on; the text stays out of
                # the log, it may quote a payload.
                _log.warning(
                    "store_failed",
                    error=type(error).__name__,
                    sqlstate=getattr(error, "sqlstate", None),
                    deliveries=len(batch),
                )
                await self._give_back_connection(broken=True)
                if not (is_transient(error) or isinstance(error, TimeoutError)):
                    _settle(batch, "the database refused the statement")
                    return
                await asyncio.sleep(_NAPS[min(tries, len(_NAPS) - 1)])
                tries += 1
            else:
                _settle(batch)

    async def _write(self, connection: Connection, batch: list[_Job]) -> None:
        rows = [row for job in batch for row in job.rows if row.verdict is None]
        rows.sort(key=lambda row: (row.event.lead_id, row.event.updated_at))
        await self._insert(connection, rows)
        rejects = [reject for job in batch for reject in job.rejects()]
        if rejects:
            await self._keep(connection, rejects)

    async def _insert(self, connection: Connection, rows: list[_Row]) -> None:
        """Gives every row its verdict. JSON that the database refuses is cornered by halving, so
        that it fails alone.
        """
        while rows:
            try:
                await self._insert_new(connection, rows)
            except psycopg.Error as error:
                if not _is_about_a_value(error):
                    raise
                if len(rows) == 1:
                    rows[0].verdict = "not_storable"
                    return
                middle = len(rows) // 2
                await self._insert(connection, rows[:middle])
                await self._insert(connection, rows[middle:])
                return
            rows = [row for row in rows if row.verdict is None]
            if rows:
                await self._compare(connection, rows)
                # No verdict even now: the row in the way was deleted in between. Once more, then.
                rows = [row for row in rows if row.verdict is None]

    async def _insert_new(self, connection: Connection, rows: Sequence[_Row]) -> None:
        cursor = await connection.execute(
            self._sql["insert_events"],
            {
                **_keys_and_payloads(rows),
                "hook_actions": text_array(row.event.hook_action for row in rows),
                "max_attempts": self._max_attempts,
            },
            binary=True,
        )
        if cursor.rowcount == len(rows):
            for row in rows:
                row.verdict = "stored"
            return
        inserted = {row_id for (row_id,) in await cursor.fetchall()}
        for row in rows:
            if row.row_id in inserted:
                row.verdict = "stored"

    async def _compare(self, connection: Connection, rows: Sequence[_Row]) -> None:
        cursor = await connection.execute(
            self._sql["compare_with_stored"], _keys_and_payloads(rows)
        )
        verdicts: dict[UUID, Verdict] = dict(await cursor.fetchall())
        for row in rows:
            row.verdict = verdicts.get(row.row_id)

    async def _keep(self, connection: Connection, rejects: Sequence[_Reject]) -> None:
        await connection.execute(
            self._sql["keep_rejected"],
            {
                "ids": [reject.row_id for reject in rejects],
                "raws": [reject.raw for reject in rejects],
                "reasons": [reject.reason for reject in rejects],
                "details": [reject.detail for reject in rejects],
                "lead_ids": [reject.lead_id for reject in rejects],
                "headers": [Jsonb(reject.origin, msgspec.json.encode) for reject in rejects],
            },
        )

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await self._pool.getconn(self._timeout)
            take_arrays(self._connection)
        return self._connection

    async def _give_back_connection(self, *, broken: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if broken:
                await connection.close()
            await self._pool.putconn(connection)


def _keys_and_payloads(rows: Sequence[_Row]) -> dict[str, Any]:
    return {
        "ids": uuid_array(row.row_id for row in rows),
        "lead_ids": text_array(row.event.lead_id for row in rows),
        "updated_ats": timestamptz_array(row.event.updated_at for row in rows),
        "payloads": jsonb_array(row.event.payload for row in rows),
    }


def _settle(batch: Iterable[_Job], problem: str | None = None) -> None:
    for job in batch:
        if job.committed.done():
            continue
        if problem is None:
            job.committed.set_result(None)
        else:
            job.committed.set_exception(NotStored(problem))


def _is_about_a_value(error: psycopg.Error) -> bool:
    """Data exceptions (22), broken constraints (23) and exceeded limits (54), and what psycopg
    itself cannot put into a parameter.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in ("22", "23", "54")


def _new_ids(count: int) -> list[UUID]:
    """UUIDs of version 7: they grow with time, so that the primary key's index is written at its
    end and the claim keeps arrival order.

    The wall clock in them is for that alone; no code reads a time out of an id.
    """
    milliseconds = time.time_ns() // 1_000_000 << 80
    noise = os.urandom(10 * count)
    return [
        UUID(int=milliseconds | int.from_bytes(noise[i : i + 10], "big") & _NOISE | _VERSION_7)
        for i in range(0, 10 * count, 10)
    ]


# 12 and 62 of the last 80 bits are noise; the others say "version 7" and "variant of RFC 9562".
_NOISE = 0x0FFF << 64 | (1 << 62) - 1
_VERSION_7 = 0x7 << 76 | 0b10 << 62
