"""Settles flights: what gathered meanwhile goes together; nothing waits for more to come."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.claim import Ending, Journal
from c2s_enrich.queue.flight import Flight, Flights
from c2s_enrich.queue.store import QueueStore
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger("c2s_enrich.queue")

# A statement of this many rows stays far under a millisecond per row and well within any
# statement's size.
_MOST_TOGETHER = 100
# Somebody else has the row locked: mostly another statement of milliseconds, sometimes an
# operator's long transaction.
_BUSY_AT_FIRST, _BUSY_AT_MOST = 0.02, 1.0


class SettleMetrics(Protocol):
    """What settling counts."""

    def event(self, transition: str, count: int = 1, error_kind: str | None = None) -> None: ...
    def attempt(self, steps: Iterable[Mapping[str, object]]) -> None: ...
    def ended(self, outcome: str | None, seconds: float) -> None: ...


class Settler:
    """One loop (`run`) that settles for a poller. A settlement is repeated until the database has
    answered it; then the flight leaves `flights`, is told, and `landed` is called.

    Repeating is safe: the token was raised by the first one, so a second changes nothing and is
    told how the first ended.
    """

    def __init__(
        self,
        store: QueueStore,
        flights: Flights,
        clock: Clock,
        metrics: SettleMetrics,
        refused: Callable[[Flight, Exception], Ending],
        landed: Callable[[], None],
    ) -> None:
        self._store = store
        self._flights = flights
        self._clock = clock
        self._metrics = metrics
        self._refused = refused
        self._landed = landed
        self._waiting: deque[Flight] = deque()
        self._busy_waits: dict[Flight, float] = {}
        self._arrived = asyncio.Event()

    def settle(self, flight: Flight) -> None:
        """Takes over a flight whose `ending` is known."""
        self._waiting.append(flight)
        self._arrived.set()

    def land(self, flights: Sequence[tuple[Flight, str]]) -> None:
        """These are over, each with the transition that it made or "lease_lost"."""
        ends: Counter[tuple[str, str | None]] = Counter()
        for flight, transition in flights:
            self._flights.land(flight)
            self._busy_waits.pop(flight, None)
            since_received = flight.tell(transition)
            ends[transition, flight.ending.error_kind if transition == "failed" else None] += 1
            self._metrics.attempt(flight.journal.steps)
            if transition in ("completed", "failed"):
                self._metrics.ended(flight.ending.outcome, since_received)
        for (transition, kind), count in ends.items():
            self._metrics.event(transition, count, kind)
        self._landed()

    async def run(self) -> None:
        """Settles for ever; to be cancelled when nothing is in flight any more."""
        self._waiting.clear()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                count = min(len(self._waiting), _MOST_TOGETHER)
                await self._settle_batch([self._waiting.popleft() for _ in range(count)])

    async def _settle_batch(self, batch: list[Flight]) -> None:
        try:
            answers = await self._store.settle(batch)
        except Exception as error:
            if is_transient(error):
                # The database is away; the leases protect these events and nobody else can settle
                # them. Wait and go on.
                _log.warning("settling_waits", events=len(batch), error=type(error).__name__)
                self._waiting.extendleft(reversed(batch))
                await self._clock.sleep(0.5)
            elif len(batch) > 1:
                # One of them is refused (a fact, say); alone it hurts nobody else.
                for flight in batch:
                    await self._settle_batch([flight])
            else:
                self._settle_refusal(batch[0], error)
            return
        over = []
        for flight, answer in zip(batch, answers, strict=True):
            if answer == "busy":
                self._come_back_later(flight)
                continue
            await flight.journal.at("settled")
            over.append((flight, "lease_lost" if answer == "lost" else flight.ending.transition))
        # Called when the next statement is on its way: Postgres works meanwhile.
        asyncio.get_running_loop().call_soon(self.land, over)

    def _settle_refusal(self, flight: Flight, error: Exception) -> None:
        # The database refuses what the handler returned (an outcome, a fact): that is how the
        # attempt ends. Refused once more, it is left to its lease.
        _log.error("bug", event_id=str(flight.claim.event_id), exc_info=error)
        if flight.ending.error_kind == "bug":
            self.land([(flight, "lease_lost")])
            return
        flight.ending = self._refused(flight, error)
        flight.journal = Journal(self._clock)
        self.settle(flight)

    def _come_back_later(self, flight: Flight) -> None:
        # The others do not wait for it.
        wait = self._busy_waits.get(flight, _BUSY_AT_FIRST)
        self._busy_waits[flight] = min(wait * 2, _BUSY_AT_MOST)
        asyncio.get_running_loop().call_later(wait, self.settle, flight)
