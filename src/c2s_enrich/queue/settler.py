"""Settles claims: what gathered while the previous statement ran goes together, and nothing ever
waits for more to come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.store import QueueStore, Settled, Settlement

_log = structlog.get_logger("c2s_enrich.queue")

# A statement of this many rows stays far under a millisecond per row and well within any
# statement's size.
_MOST_TOGETHER = 100
# Somebody else has the row locked: mostly another statement of milliseconds, sometimes an
# operator's long transaction.
_BUSY_AT_FIRST, _BUSY_AT_MOST = 0.02, 1.0


@dataclass
class _Pending:
    settlement: Settlement
    answer: asyncio.Future[Settled]
    busy_wait: float = _BUSY_AT_FIRST


class Settler:
    """One loop (`run`) that settles for all tasks of a poller. A settlement is repeated until the
    database has answered it.

    Repeating is safe: the token was raised by the first one, so a second changes nothing and is
    told how the first ended.
    """

    def __init__(self, store: QueueStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[_Pending] = deque()
        self._arrived = asyncio.Event()

    async def settle(self, settlement: Settlement) -> Settled:
        """Returns "settled", or "lost" when someone else owns the event now. Raises what the
        database refuses for good.
        """
        pending = _Pending(settlement, asyncio.get_running_loop().create_future())
        self._enqueue(pending)
        return await pending.answer

    async def run(self) -> None:
        """Settles for ever; to be cancelled when nothing waits any more."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                await self._settle_batch(
                    [
                        self._waiting.popleft()
                        for _ in range(min(len(self._waiting), _MOST_TOGETHER))
                    ]
                )

    def _enqueue(self, pending: _Pending) -> None:
        self._waiting.append(pending)
        self._arrived.set()

    async def _settle_batch(self, batch: list[_Pending]) -> None:
        try:
            answers = await self._store.settle([pending.settlement for pending in batch])
        except Exception as error:
            if is_transient(error):
                # The database is away; the leases protect these events and nobody else can settle
                # them. Wait and go on.
                _log.warning("settling_waits", events=len(batch), error=type(error).__name__)
                self._waiting.extendleft(reversed(batch))
                await self._clock.sleep(0.5)
            elif len(batch) > 1:
                # One of them is refused (a fact, say); alone it hurts nobody else.
                for pending in batch:
                    await self._settle_batch([pending])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for pending, answer in zip(batch, answers, strict=True):
            if answer == "busy":
                # Comes back by itself a little later; the others do not wait for it.
                asyncio.get_running_loop().call_later(pending.busy_wait, self._enqueue, pending)
                pending.busy_wait = min(pending.busy_wait * 2, _BUSY_AT_MOST)
            elif not pending.answer.done():
                pending.answer.set_result(answer)
