"""The coalescing writer: whatever arrived while the last statement ran goes into the next one, with
one COMMIT for all of it. It answers only after COMMIT, adds no wait and holds a bounded weight.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from uuid import UUID

import psycopg
from msgspec import Raw, Struct

from c2s_enrich.database import Pool, Statements, is_transient
from c2s_enrich.errors import NotStored
from c2s_enrich.intake import store
from c2s_enrich.intake.payload import ParsedDelivery, Reason, Rejection
from c2s_enrich.intake.store import EventRow, Reject
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# One statement's share, far below the store timeout: more rows make no faster rows.
_BATCH_ROWS = 500
_BATCH_WEIGHT = 4 * 1024 * 1024
# All that may wait or be on its way. Above it a delivery is refused rather than late.
_QUEUE_WEIGHT = 64 * 1024 * 1024
# What an event weighs besides its payload: the objects around it.
_OVERHEAD = 1024
# Between tries while the database is away: deliveries wait; a fail-over takes a second.
_NAPS = (0.05, 0.1, 0.2, 0.4, 0.8)
# 12 and 62 of the last 80 bits of an id are noise; the others say "version 7" and "variant of RFC
# 9562".
_NOISE = 0x0FFF << 64 | (1 << 62) - 1
_VERSION_7 = 0x7 << 76 | 0b10 << 62

_log = get_logger(__name__)


class EventProblem(Struct, frozen=True):
    """Why an event is not stored as such. `index` is None where the whole body is meant."""

    index: int | None
    reason: Reason


class DeliveryReceipt(Struct, frozen=True):
    """What became of one delivery, all of it committed: received = processed + duplicates +
    rejected. An event whose key holds too many other bodies is a duplicate and a problem.
    """

    received: int
    processed: int
    duplicates: int
    rejected: int
    problems: tuple[EventProblem, ...] = ()


class Job:
    """One delivery on its way. `committed` ends when all of it is in the database, or cannot be."""

    def __init__(self, delivery: ParsedDelivery, origin: dict[str, str]) -> None:
        self.delivery = delivery
        self.committed = asyncio.get_running_loop().create_future()
        # What to tell where it is not committed in time.
        self.trouble = "the database did not answer in time"
        self._origin = origin
        ids = iter(_new_ids(delivery.received))
        request_id = origin.get("request_id", "")
        self.rows = [
            EventRow(
                next(ids),
                event.lead_id,
                event.updated_at,
                event.hook_action,
                Raw(event.payload),
                request_id,
                delivered_at=event.updated_at,
                index=event.index,
            )
            for event in delivery.events
        ]
        self._reject_ids = list(ids)
        self.weight = (
            sum(len(event.payload) for event in delivery.events)
            + sum(len(rejection.raw) for rejection in delivery.rejections)
            + _OVERHEAD * delivery.received
        )

    def rejects(self) -> Iterator[Reject]:
        """What is to be kept in rejected_deliveries. Every row has its verdict."""
        for row_id, rejection in zip(self._reject_ids, self.delivery.rejections, strict=True):
            yield row_id, rejection, self._origin
        for row in self.rows:
            if row.verdict in ("same_key_other_body", "not_storable"):
                rejection = Rejection(row.index, row.verdict, bytes(row.payload), row.lead_id)
                yield row.id, rejection, self._origin

    def receipt(self) -> DeliveryReceipt:
        """The counts. Every row has its verdict."""
        counts = Counter(row.verdict for row in self.rows)
        problems = [EventProblem(each.index, each.reason) for _, each, _ in self.rejects()]
        return DeliveryReceipt(
            received=self.delivery.received,
            processed=counts["stored"],
            duplicates=counts["duplicate"] + counts["same_key_other_body"],
            rejected=len(self.delivery.rejections) + counts["not_storable"],
            problems=tuple(sorted(problems, key=lambda problem: problem.index or 0)),
        )


def _new_ids(count: int) -> list[UUID]:
    """UUIDs of version 7: the index grows at its end, and the claim keeps arrival order."""
    milliseconds = time.time_ns() // 1_000_000 << 80
    noise = os.urandom(10 * count)
    return [
        UUID(int=milliseconds | int.from_bytes(noise[i : i + 10], "big") & _NOISE | _VERSION_7)
        for i in range(0, 10 * count, 10)
    ]


class Writer:
    """Takes deliveries from many requests at once. Leaving it writes what was accepted."""

    def __init__(self, pool: Pool, settings: Settings, *, lanes: int = 2) -> None:
        # One lane gathers while another waits for its COMMIT; /readyz needs a connection, too.
        self._lanes = max(1, min(lanes, settings.database_pool_size - 1))
        self._sql = Statements(pool, "intake")
        # None stands behind the last delivery, for ever.
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue()
        self._weight = 0
        self._timeout = settings.store_timeout.total_seconds()
        self._closing = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Writer:
        self._tasks = [
            asyncio.create_task(self._write_batches(), name="intake lane")
            for _ in range(self._lanes)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._queue.put_nowait(None)
        await asyncio.wait(self._tasks, timeout=self._timeout)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def store(self, delivery: ParsedDelivery, origin: dict[str, str]) -> DeliveryReceipt:
        """Returns after COMMIT. Raises NotStored when there is no room or no answer in time; the
        delivery may still have been committed then, and sent again it is a duplicate. `origin` is
        what a later replay needs besides the bytes; it must hold nothing secret.
        """
        if self._weight > _QUEUE_WEIGHT or self._closing:
            raise NotStored("too much is waiting to be stored")
        job = Job(delivery, origin)
        self._weight += job.weight
        self._queue.put_nowait(job)
        try:
            async with asyncio.timeout(self._timeout):
                await job.committed
        except TimeoutError:
            raise NotStored(job.trouble) from None
        finally:
            self._weight -= job.weight
        return job.receipt()

    async def _write_batches(self) -> None:
        """One lane: until the writer closes and nothing waits any more."""
        while batch := await self._next_batch():
            await self._write_until_committed(batch)

    async def _next_batch(self) -> list[Job]:
        """What waits and is not given up, up to one statement's share; empty at the end."""
        batch: list[Job] = []
        rows = weight = 0
        while not batch or not self._queue.empty():
            if rows >= _BATCH_ROWS or weight >= _BATCH_WEIGHT:
                break
            job = await self._queue.get()
            if job is None:
                self._queue.put_nowait(None)
                break
            if not job.committed.done():
                batch.append(job)
                rows += job.delivery.received
                weight += job.weight
        return batch

    async def _write_until_committed(self, batch: list[Job]) -> None:
        """Tries again while anybody waits. After a lost connection the ids tell what committed."""
        tries = 0
        while batch := [job for job in batch if not job.committed.done()]:
            try:
                async with asyncio.timeout(self._timeout):
                    await self._write(batch)
            except Exception as error:
                # Whatever it is, the other lanes go on. Its text may quote a payload: not logged.
                kind, sqlstate = type(error).__name__, getattr(error, "sqlstate", None)
                _log.warning("store_failed", error=kind, sqlstate=sqlstate, deliveries=len(batch))
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

    async def _write(self, batch: list[Job]) -> None:
        rows = [row for job in batch for row in job.rows if row.verdict is None]
        # Two batches that share keys then wait for each other instead of deadlocking.
        rows.sort(key=lambda row: (row.lead_id, row.updated_at))
        await self._insert(rows)
        rejects = [reject for job in batch for reject in job.rejects()]
        if rejects and not await store.keep_rejected(self._sql, rejects):
            # Their events are stored; what cannot be kept must not be answered as if it were.
            odd = [job for job in batch if any(job.rejects())]
            _settle(odd, "rejected deliveries fill their room: replay or dismiss them")

    async def _insert(self, rows: list[EventRow]) -> None:
        """Gives every row its verdict. A value that the database refuses is the sender's fault; it
        is cornered by halving.
        """
        while rows:
            try:
                await store.insert_events(self._sql, rows)
            except psycopg.Error as error:
                if not store.may_be_about_a_value(error):
                    raise
                if len(rows) > 1:
                    await self._insert(rows[: len(rows) // 2])
                    await self._insert(rows[len(rows) // 2 :])
                elif await store.takes_values(self._sql, rows[0]):
                    raise
                else:
                    rows[0].verdict = "not_storable"
            rows = [row for row in rows if row.verdict is None]
            if rows:
                await store.compare_with_stored(self._sql, rows)
                rows = [row for row in rows if row.verdict is None]


def _settle(batch: Iterable[Job], problem: str | None = None) -> None:
    for job in batch:
        if job.committed.done():
            continue
        if problem is None:
            job.committed.set_result(None)
        else:
            job.committed.set_exception(NotStored(problem))
