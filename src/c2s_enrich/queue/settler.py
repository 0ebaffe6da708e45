"""Settles claims: what gathered while the previous statement ran goes together, and nothing ever waits for more to come."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.store import QueueStore, Settled, Settlement

_log = structlog.get_logger("c2s_enrich.queue")

# A statement of this many rows stays far under a millisecond per row and well within any statement's size.
_MOST_TOGETHER = 100


class Settler:
    """One loop (`run`) that settles for all tasks of a poller. A settlement is repeated until the database has answered it.

    Repeating is safe: the token was raised by the first one, so a second changes nothing and comes back as "lost".
    """

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[tuple[Settlement, asyncio.Future[Settled]]] = deque()
        self._arrived = asyncio.Event()

    async def settle(self, settlement: Settlement) -> Settled:
        """Returns "settled", or "lost" when someone else owns the event now."""
        answer: asyncio.Future[Settled] = asyncio.get_running_loop().create_future()
        self._waiting.append((settlement, answer))
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_TOGETHER))]
                await self._settle_batch(batch)

    async def _settle_batch(self, batch: list[tuple[Settlement, asyncio.Future[Settled]]]) -> None:
        try:
            answers = await self._store.settle([settlement for settlement, _ in batch])
        except Exception as error:
            if is_transient(error):
                # The database is away; the leases protect these events and nobody else can settle them. Wait and go on.
                _log.warning("settling_waits", events=len(batch), error=type(error).__name__)
                self._waiting.extendleft(reversed(batch))
                await self._clock.sleep(0.5)
            elif len(batch) > 1:
                # One of them is refused (a fact, say); alone it hurts nobody else.
                for item in batch:
                    await self._settle_batch([item])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        busy = []
        for item, answer in zip(batch, answers, strict=True):
            if answer == "busy":
                busy.append(item)
            elif not item[1].done():
                item[1].set_result(answer)
        if busy:
            self._waiting.extend(busy)
            await self._clock.sleep(0.02)
