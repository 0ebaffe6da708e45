"""All flights of a poller: keeps their leases honest, and settles them in the end."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.claim import ClaimKey, Journal
from c2s_enrich.queue.flight import Flight, Why, chance
from c2s_enrich.queue.store import QueueStore
from c2s_enrich.queue.verdict import verdict
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

_log = get_logger("c2s_enrich.queue")

# Longest wait for what is given back at the end; without the database the leases end by themselves.
RELEASE_SECONDS = 5.0
# A statement of this many rows stays far under a millisecond per row and well within any
# statement's size.
_MOST_TOGETHER = 100
# Between two tries to settle what an operator's long transaction has locked.
_BUSY_AT_MOST = 1.0


class Flights(dict[ClaimKey, Flight]):
    """The flights by their claims. A settlement is repeated until the database has answered it;
    then the flight leaves, is told, and `landed` is called.

    Repeating is safe: the token was raised by the first one, so a second changes nothing and is
    told how the first ended.
    """

    def __init__(
        self,
        store: QueueStore,
        clock: Clock,
        metrics: Metrics,
        settings: Settings,
        landed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._settings = settings
        self._landed = landed
        self._left = asyncio.Event()
        self._waiting: deque[Flight] = deque()
        self._arrived = asyncio.Event()

    async def keep_leases(self) -> None:
        """Extends every lease, in one statement, three times a lease; a claim that does not come
        back is cancelled.
        """
        every = self._settings.lease.total_seconds() / 3
        soon = min(1.0, every)
        wait = every
        while True:
            await self._clock.sleep(wait)
            wait = every
            flights = list(self.values())
            if not flights:
                continue
            asked_at = self._clock.boottime()
            try:
                ours = await self._store.extend_leases([flight.claim for flight in flights])
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("heartbeat_waits", error=type(error).__name__)
                wait = soon
                continue
            for flight in flights:
                match ours.get(flight.claim.key):
                    case True:
                        flight.lease.extend(asked_at)
                    case False:
                        wait = soon
                    case None:
                        flight.take_away()

    async def count_down(self) -> None:
        """Ends what has outlived its lease by our own clock: works without a database."""
        while True:
            await self._clock.sleep(min(0.25, self._settings.lease.total_seconds() / 10))
            for flight in self.values():
                if flight.lease.seconds_left <= 0:
                    flight.end("deadline" if flight.lease.deadline_passed else "lease_over")

    def end_all(self, why: Why) -> None:
        for flight in self.values():
            flight.end(why)

    async def finish(self, grace: float) -> None:
        """What is in flight may end within `grace` seconds; the rest is given back."""
        for seconds in (grace, RELEASE_SECONDS):
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while self:
                        self._left.clear()
                        await self._left.wait()
            self.end_all("leaving")
        for flight in self.values():
            flight.task.cancel()

    def settle(self, flight: Flight) -> None:
        """Takes over a flight whose `ending` is known."""
        self._waiting.append(flight)
        self._arrived.set()

    async def keep_settling(self) -> None:
        """What gathered meanwhile goes together; nothing waits for more to come. To be cancelled
        when nothing is in flight any more.
        """
        self._waiting.clear()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                count = min(len(self._waiting), _MOST_TOGETHER)
                await self._settle_batch([self._waiting.popleft() for _ in range(count)])

    async def _settle_batch(self, batch: list[Flight]) -> None:
        try:
            answers = await self._store.settle([(f.claim, f.ending, f.journal) for f in batch])
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
                # The others do not wait for it.
                asyncio.get_running_loop().call_later(flight.busy_wait, self.settle, flight)
                flight.busy_wait = min(flight.busy_wait * 2, _BUSY_AT_MOST)
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
        flight.ending = verdict(error, flight.claim, self._settings, chance())
        flight.journal = Journal(self._clock)
        self.settle(flight)

    def land(self, flights: Sequence[tuple[Flight, str]]) -> None:
        """These are over, each with the transition that it made or "lease_lost"."""
        ends: Counter[tuple[str, str | None]] = Counter()
        for flight, transition in flights:
            del self[flight.claim.key]
            since_received = flight.tell(transition)
            ends[transition, flight.ending.error_kind if transition == "failed" else None] += 1
            self._metrics.attempt(flight.journal.steps)
            if transition in ("completed", "failed"):
                self._metrics.ended(flight.ending.outcome, since_received)
        for (transition, kind), count in ends.items():
            self._metrics.event(transition, count, kind)
        self._left.set()
        self._landed()
