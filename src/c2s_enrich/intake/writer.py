"""The coalescing writer: whatever arrived while the last statement ran goes into the next one, with
one COMMIT for all of it. It answers only after COMMIT, adds no wait and holds a bounded weight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, is_transient
from c2s_enrich.errors import NotStored
from c2s_enrich.intake import store
from c2s_enrich.intake.fast.arrays import take_arrays
from c2s_enrich.intake.job import DeliveryReceipt, EventRow, Job
from c2s_enrich.intake.payload import ParsedDelivery
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# One statement's share, far below the store timeout: more rows make no faster rows.
_BATCH_ROWS = 500
_BATCH_WEIGHT = 4 * 1024 * 1024
# All that may wait or be on its way. Above it a delivery is refused rather than late.
_QUEUE_WEIGHT = 64 * 1024 * 1024
# Between tries while the database is away: deliveries wait; a fail-over takes a second.
_NAPS = (0.05, 0.1, 0.2, 0.4, 0.8)

_log = get_logger(__name__)


class Writer:
    """Takes deliveries from many requests at once. Leaving it writes what was accepted."""

    def __init__(self, pool: Pool, settings: Settings, *, lanes: int = 2) -> None:
        # One lane gathers while another waits for its COMMIT; /readyz needs a connection, too.
        lanes = max(1, min(lanes, settings.database_pool_size - 1))
        self._queue: deque[Job] = deque()
        self._weight = 0
        self._timeout = settings.store_timeout.total_seconds()
        self._closing = False
        self._idle: deque[asyncio.Future[None]] = deque()
        self._lanes = [_WriteLane(self, pool, self._timeout) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writer:
        self._tasks = [asyncio.create_task(lane.run(), name="intake lane") for lane in self._lanes]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        while self._idle:
            self._wake_one()
        await asyncio.wait(self._tasks, timeout=self._timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def store(self, delivery: ParsedDelivery, origin: Mapping[str, str]) -> DeliveryReceipt:
        """Returns after COMMIT. Raises NotStored when there is no room or no answer in time; the
        delivery may still have been committed then, and sent again it is a duplicate. `origin` is
        what a later replay needs besides the bytes; it must hold nothing secret.
        """
        if self._weight > _QUEUE_WEIGHT or self._closing:
            raise NotStored("too much is waiting to be stored")
        job = Job(delivery, origin, asyncio.get_running_loop().create_future())
        self._weight += job.weight
        self._queue.append(job)
        if self._idle:
            self._wake_one()
        try:
            async with asyncio.timeout(self._timeout):
                await job.committed
        except TimeoutError:
            raise NotStored(job.trouble) from None
        finally:
            self._weight -= job.weight
        return job.receipt()

    async def next_batch(self) -> list[Job]:
        """What waits and is not given up, up to one statement's share; empty at the end."""
        batch: list[Job] = []
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


@dataclass
class _WriteLane:
    _writer: Writer
    _pool: Pool
    _timeout: float
    _connection: Connection | None = None

    async def run(self) -> None:
        """Until the writer closes and nothing waits any more."""
        try:
            while batch := await self._writer.next_batch():
                await self._write_until_committed(batch)
        finally:
            await self._give_back_connection()

    async def _write_until_committed(self, batch: list[Job]) -> None:
        """Tries again while anybody waits. After a lost connection the ids tell what committed."""
        tries = 0
        while batch := [job for job in batch if not job.committed.done()]:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._write(await self._connected(), batch)
            except Exception as error:
                # Whatever it is, the other lanes go on. Its text may quote a payload: not logged.
                kind, sqlstate = type(error).__name__, getattr(error, "sqlstate", None)
                _log.warning("store_failed", error=kind, sqlstate=sqlstate, deliveries=len(batch))
                await self._give_back_connection(broken=True)
                name = f"{kind} {sqlstate}" if sqlstate else kind
                if not (is_transient(error) or isinstance(error, TimeoutError)):
                    _settle(batch, f"the database refused the statement ({name})")
                    return
                for job in batch:
                    job.trouble = f"the database did not answer in time ({name})"
                await asyncio.sleep(_NAPS[min(tries, len(_NAPS) - 1)])
                tries += 1
            else:
                _settle(batch)

    async def _write(self, connection: Connection, batch: list[Job]) -> None:
        rows = [row for job in batch for row in job.rows if row.verdict is None]
        rows.sort(key=lambda row: (row.event.lead_id, row.event.updated_at))
        await self._insert(connection, rows)
        rejects = [(job, *reject) for job in batch for reject in job.rejects()]
        if rejects and not await store.keep_rejected(connection, rejects):
            # Their events are stored; what cannot be kept must not be answered as if it were.
            odd = [job for job, *_ in rejects]
            _settle(odd, "rejected deliveries fill their room: replay or dismiss them")

    async def _insert(self, connection: Connection, rows: list[EventRow]) -> None:
        """Gives every row its verdict. A value that the database refuses is the sender's fault."""
        while rows:
            try:
                await store.insert_events(connection, rows)
            except psycopg.Error as error:
                refused: list[EventRow] = []
                if _may_be_about_a_value(error):
                    refused = await self._refused(connection, rows)
                if not refused:
                    raise
                for row in refused:
                    row.verdict = "not_storable"
            else:
                rows = [row for row in rows if row.verdict is None]
                if rows:
                    await store.compare_with_stored(connection, rows)
            rows = [row for row in rows if row.verdict is None]

    async def _refused(self, connection: Connection, rows: Sequence[EventRow]) -> list[EventRow]:
        """The rows whose values the database does not take, cornered by halving."""
        if await store.takes_values(connection, rows):
            return []
        if len(rows) == 1:
            return list(rows)
        first, second = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return await self._refused(connection, first) + await self._refused(connection, second)

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


def _settle(batch: Iterable[Job], problem: str | None = None) -> None:
    for job in batch:
        if job.committed.done():
            continue
        if problem is None:
            job.committed.set_result(None)
        else:
            job.committed.set_exception(NotStored(problem))


def _may_be_about_a_value(error: psycopg.Error) -> bool:
    """Data (22), limits (54: also a full NOTIFY queue), and what psycopg itself cannot send."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in ("22", "54")
