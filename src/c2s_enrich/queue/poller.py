"""The poller: claims up to its free slots, runs each event as a task, settles it. Knows nothing
about leads.

`run` loops, `run_once` does one pass. The duties live side by side in one task group: one dies, all
die, and the process ends with an error for its supervisor to restart.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.claim import Claim, Handler, Journal, Lease
from c2s_enrich.queue.claimer import Claimer
from c2s_enrich.queue.flight import Flight
from c2s_enrich.queue.flights import RELEASE_SECONDS, Flights
from c2s_enrich.queue.janitor import Janitor
from c2s_enrich.queue.store import QueueStore
from c2s_enrich.queue.suspects import SuspectProcess
from c2s_enrich.queue.wakeup import Listener
from c2s_enrich.queue.watchdog import Watchdog
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

_log = get_logger("c2s_enrich.queue")

# Without a free slot the loop still comes round this often, so that the watchdog sees it.
_FULL_SECONDS = 1.0


@dataclass(eq=False)
class Poller:
    """One poller process's work. `boundary` is called at every named point of an event's life (see
    `Journal`). With `suspects` None this is the process for suspects, and works on nothing else.
    """

    store: QueueStore
    handler: Handler
    settings: Settings
    clock: Clock
    metrics: Metrics
    suspects: Sequence[str] | None = None
    listener: Listener | None = None
    duties: tuple[Callable[[], Awaitable[None]], ...] = ()
    boundary: Callable[[str], Awaitable[None]] | None = None
    _running = 0
    _at_once = False

    def __post_init__(self) -> None:
        s, alone = self.settings, self.suspects is None
        self._concurrency = 1 if alone else s.concurrency
        self._grace = s.grace.total_seconds()
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self.in_flight = Flights(self.store, self.clock, self.metrics, s, self._wake.set)
        self._claimer = Claimer(self.store, self.clock, self.metrics, s.idle_poll, alone)
        self._suspects = SuspectProcess(self.store.worker, self.suspects)
        self._janitor = Janitor(
            self.store, self.in_flight, self._suspects, self.clock, self.metrics,
            self._concurrency, s.lease, self._look_again, self.listener,
        )  # fmt: skip
        # The claim loop may stay away for longer than any wait on purpose.
        lease, idle = s.lease.total_seconds(), s.idle_poll.total_seconds()
        self.watchdog = Watchdog(max(60.0, lease * 3, idle * 3, self._grace + 30))

    def wake(self) -> None:
        """Something may be due: look now."""
        self._claimer.hurry()
        self._wake.set()

    def stop(self) -> None:
        """First call: finish within the grace time. Second call: give everything back at once."""
        if self._stopping.is_set():
            self._at_once = True
            self.in_flight.end_all("leaving")
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Works until `stop`. Returns when everything in flight is settled or given back."""
        duties = [self._janitor.run(), self._janitor.housekeeping(self.duties)]
        if self.listener is not None:
            duties.append(self.listener.run(self.wake, self.metrics.reconnects.inc))
        async with self._at_work(duties) as group:
            await self._claim_until_stopped(group)
        with suppress(Exception):
            async with asyncio.timeout(RELEASE_SECONDS):
                await self.store.leave([self.store.worker])

    async def drain(self) -> None:
        """Works until nothing is due and nothing is in flight, or `stop`."""
        async with self._at_work([]) as group:
            while not self._stopping.is_set():
                self.watchdog.alive()
                self._wake.clear()
                if await self.run_once(group):
                    continue
                if not self.in_flight:
                    break
                await self._wait(_FULL_SECONDS)

    @asynccontextmanager
    async def _at_work(
        self, duties: list[Coroutine[Any, Any, None]]
    ) -> AsyncIterator[asyncio.TaskGroup]:
        """The duties go on while inside; then what is in flight ends. An error ends all at once,
        and the leases of what was in flight end by themselves.
        """
        flights = self.in_flight
        duties += [flights.keep_settling(), flights.keep_leases(), flights.count_down()]
        try:
            with self.watchdog.watching():
                async with self.store.steady(), asyncio.TaskGroup() as group:
                    tasks = [group.create_task(duty) for duty in duties]
                    yield group
                    # A claim that was under way during a second `stop` may have brought new events:
                    # there is no grace time for those.
                    await flights.finish(0 if self._at_once else self._grace)
                    await self._suspects.stop(self._grace + RELEASE_SECONDS)
                    await _end(tasks)
        finally:
            flights.clear()

    async def run_once(self, group: asyncio.TaskGroup) -> int:
        """One pass: claims up to the free slots and starts their tasks. How many it claimed."""
        asked_at = self.clock.boottime()
        slots = self._free_slots()
        claims = await self._claimer.claim(slots) if slots > 0 else []
        for claim in claims:
            self._start(group, claim, asked_at)
            waited = (claim.claimed_at - claim.available_at).total_seconds()
            self.metrics.wait_seconds.observe(waited)
        if claims:
            self.metrics.event("claimed", len(claims))
        return len(claims)

    def _free_slots(self) -> int:
        """What only waits for its settlement takes no slot, up to as many as there are slots."""
        most = self._concurrency
        return min(most - self._running, 2 * most - len(self.in_flight))

    def _start(self, group: asyncio.TaskGroup, claim: Claim, asked_at: float) -> None:
        if claim.lease_token > 1:
            for flight in self.in_flight.values():
                if flight.claim.event_id == claim.event_id:
                    # A person has reset it, and it came back before the heartbeat could tell.
                    flight.take_away()
        s = self.settings
        lease = Lease(self.clock, asked_at, s.lease, s.attempt_deadline)
        flight = Flight(claim, lease, Journal(self.clock, self.boundary))
        self.in_flight[claim.key] = flight
        self._running += 1
        flight.task = group.create_task(self._work(flight))

    async def _work(self, flight: Flight) -> None:
        """One event until its settlement is under way. Whatever happens to it is its own ending."""
        try:
            ending = await flight.attempt(self.handler, self.settings)
            flight.why = flight.why or "settling"
            if ending is None:
                self.in_flight.land([(flight, "lease_lost")])
            else:
                await flight.journal.at("settle")
                flight.ending = ending
                self.in_flight.settle(flight)
        finally:
            was_full = self._free_slots() <= 0
            self._running -= 1
            if was_full:
                self._wake.set()

    def _look_again(self) -> None:
        self._claimer.sweep()
        self.wake()

    async def _claim_until_stopped(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self.watchdog.alive()
            self._wake.clear()
            try:
                if not await self.run_once(group):
                    await self._rest()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("claim_waits", error=type(error).__name__)
                await self._wait(1.0)

    async def _rest(self) -> None:
        """Until a slot is free, something is due, or somebody wakes us."""
        due = self._free_slots() <= 0
        if due:
            await self._wait(_FULL_SECONDS)
        while not (due or self._wake.is_set()):
            await self._wait(self._claimer.next_delay())
            self.watchdog.alive()
            if not self._wake.is_set():
                outlook = await self._janitor.look()
                self._claimer.learn(outlook)
                due = outlook.due

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()


async def _end(duties: list[asyncio.Task[None]]) -> None:
    """Cancels until it takes: `wait_for` of Python 3.11, with which the pool waits, loses a
    cancellation that meets its answer.
    """
    left = set(duties)
    while left:
        for duty in left:
            duty.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)
