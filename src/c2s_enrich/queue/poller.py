"""The poller: claims up to its free slots, runs each event as a task, settles it. Knows nothing about leads.

`run` loops, `run_once` does one pass. Five duties live side by side in one task group (one dies, all die, and the process
ends with an error for its supervisor to restart): claiming, settling, the heartbeat with its countdown, the janitor, listening.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol
from uuid import UUID

import structlog

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.errors import LeaseLost
from c2s_enrich.queue.claim import Claim, Ending, Handler, Journal, Lease
from c2s_enrich.queue.settler import Settler
from c2s_enrich.queue.store import Lane, QueueStore, Settlement
from c2s_enrich.queue.verdict import RetryPolicy, verdict

_log = structlog.get_logger("c2s_enrich.queue")

# Idle polling: quick at first (a NOTIFY may have been lost just now), then calmer up to IDLE_POLL.
_FIRST_IDLE = 0.25
# Rows that were reset or committed late lie behind the claim's mark; they are found this often.
_SWEEP_SECONDS = 1.0
# A backlog older than this is a backlog; then every fourth claim serves what arrived last.
_OLD_BACKLOG_SECONDS = 30.0
# Suspects run alone for this long at most before the others have their turn, and the others for as long.
_TURN_SECONDS = 2.0
# Exit status of a process that the watchdog ended (EX_SOFTWARE).
_WEDGED = 70

Why = Literal["lost", "lease_over", "leaving", "settling"]


class QueueMetrics(Protocol):
    """What the queue counts; `telemetry.Metrics` has it."""

    def event(self, transition: str, count: int = 1) -> None: ...
    def listener_reconnected(self) -> None: ...
    def claim_conflicts(self, count: int) -> None: ...


@dataclass(frozen=True)
class PollerConfig:
    """The numbers of one poller; see the settings of the same names."""

    concurrency: int
    lease: timedelta
    deadline: timedelta
    grace: timedelta
    idle_poll: timedelta


@dataclass
class _InFlight:
    claim: Claim
    lease: Lease
    journal: Journal
    task: asyncio.Task[None] | None = None
    why: Why | None = None

    def cancel(self, why: Why) -> None:
        """Ends the task, once, and never while its settlement is under way."""
        if self.why is None and self.task is not None and not self.task.done():
            self.why = why
            self.task.cancel()


@dataclass
class Poller:
    """One poller process's work. `boundary` is called at every named point of an event's life (see `Journal`)."""

    store: QueueStore
    handler: Handler
    config: PollerConfig
    policy: RetryPolicy
    clock: Clock
    metrics: QueueMetrics
    listen: Callable[[Callable[[], None], Callable[[], None]], Awaitable[None]] | None = None
    duties: tuple[Callable[[], Awaitable[None]], ...] = ()
    boundary: Callable[[str], Awaitable[None]] | None = None
    chance: Callable[[], float] = random.random
    in_flight: dict[UUID, _InFlight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settler = Settler(self.store, self.clock)
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._idle = _FIRST_IDLE
        self._turn = 0
        self._swept_at = self._solo_ended_at = self._alive_at = self.clock.boottime()
        self._backlog_age = 0.0
        self._suspect_due = False
        self._conflicts_told = 0

    def wake(self) -> None:
        """Something may be due: look now."""
        self._idle = _FIRST_IDLE
        self._wake.set()

    def stop(self) -> None:
        """First call: claim no more and finish within the grace time. Second call: give everything back at once."""
        if self._stopping.is_set():
            for flight in self.in_flight.values():
                flight.cancel("leaving")
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Works until `stop`. Returns when everything in flight is settled or given back."""
        watchdog = self._start_watchdog()
        duties: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                duties += [
                    group.create_task(self._settler.run()),
                    group.create_task(self._heartbeat()),
                    group.create_task(self._countdown()),
                    group.create_task(self._janitor()),
                ]
                if self.listen is not None:
                    duties.append(group.create_task(_forever(self.listen(self.wake, self.metrics.listener_reconnected))))
                await self._claim_until_stopped(group)
                await self._finish()
                for duty in duties:
                    duty.cancel()
        finally:
            watchdog.set()
        with suppress(Exception):
            await self.store.leave()

    async def drain(self) -> None:
        """Works until nothing is due and nothing is in flight, then returns. For one-off runs and tests."""
        async with asyncio.TaskGroup() as group:
            duties = [group.create_task(self._settler.run()), group.create_task(self._heartbeat()), group.create_task(self._countdown())]
            while True:
                self._wake.clear()
                if await self.run_once(group):
                    continue
                if self.in_flight:
                    await self._wait(1.0)
                    continue
                self._suspect_due = (await self.store.outlook()).suspect_due
                if not self._suspect_due:
                    break
            for duty in duties:
                duty.cancel()

    async def run_once(self, group: asyncio.TaskGroup) -> int:
        """One pass: claims up to the free slots and starts a task for each event. Returns how many it claimed."""
        now = self.clock.boottime()
        free = self.config.concurrency - len(self.in_flight)
        if self._suspect_due and now - self._solo_ended_at >= _TURN_SECONDS:
            if not self.in_flight:
                return await self._claim_alone(group)
            if now - self._solo_ended_at < _TURN_SECONDS + self.config.lease.total_seconds():
                return 0
            # Something in flight hangs; the suspects' turn is over and the others go on beside it.
            self._solo_ended_at = now
        if free <= 0:
            return 0
        if now - self._swept_at >= _SWEEP_SECONDS:
            self.store.sweep()
            self._swept_at = now
        claims = await self._claim(group, free, self._lane())
        if not claims and not self.store.swept:
            self.store.sweep()
            claims = await self._claim(group, free, "oldest")
        return len(claims)

    def _lane(self) -> Lane:
        self._turn += 1
        return "freshest" if self._backlog_age > _OLD_BACKLOG_SECONDS and self._turn % 4 == 0 else "oldest"

    async def _claim(self, group: asyncio.TaskGroup, slots: int, lane: Lane) -> list[Claim]:
        asked_at = self.clock.boottime()
        claims = await self.store.claim(slots, lane)
        for claim in claims:
            self._start(group, claim, asked_at)
        if claims:
            self.metrics.event("claimed", len(claims))
        if self.store.conflicts > self._conflicts_told:
            self.metrics.claim_conflicts(self.store.conflicts - self._conflicts_told)
            self._conflicts_told = self.store.conflicts
        return claims

    async def _claim_alone(self, group: asyncio.TaskGroup) -> int:
        """Suspects, one after the other with nothing beside them: if one ends the process, it takes no other event along."""
        claimed, until = 0, self.clock.boottime() + _TURN_SECONDS
        while not self._stopping.is_set() and self.clock.boottime() < until:
            claims = await self._claim(group, 1, "suspect")
            if not claims:
                self._suspect_due = False
                break
            claimed += 1
            tasks = [flight.task for flight in self.in_flight.values() if flight.task is not None]
            # A suspect that lives for a whole lease is slow rather than deadly: the others need not wait for it any longer.
            if (await asyncio.wait(tasks, timeout=self.config.lease.total_seconds()))[1]:
                break
        self._solo_ended_at = self.clock.boottime()
        return claimed

    def _start(self, group: asyncio.TaskGroup, claim: Claim, asked_at: float) -> None:
        flight = _InFlight(claim, Lease(self.clock, asked_at, self.config.lease), Journal(self.clock, self.boundary))
        self.in_flight[claim.event_id] = flight
        flight.task = group.create_task(self._work(flight), name=f"event-{claim.event_id}")

    async def _work(self, flight: _InFlight) -> None:
        """One event from claim to settlement. Never raises: whatever happens to one event is that event's ending."""
        try:
            ending = await self._attempt(flight)
            if ending is not None:
                await self._settle(flight, ending)
        finally:
            self.in_flight.pop(flight.claim.event_id, None)
            self._wake.set()

    async def _attempt(self, flight: _InFlight) -> Ending | None:
        """None when there is nothing to settle: the event belongs to someone else."""
        claim = flight.claim
        log = _log.bind(event=str(claim.event_id), lead=claim.lead_id, attempt=claim.attempts)
        try:
            await flight.journal.at("claimed")
            async with asyncio.timeout(self.config.deadline.total_seconds()):
                done = await self.handler(claim, flight.lease, flight.journal)
            return Ending.completed(done)
        except LeaseLost:
            # The countdown may have stopped us while the row is still ours; then it goes back at once instead of at expiry.
            self.metrics.event("lease_lost")
            log.warning("lease_lost", local=True)
            return Ending.released()
        except TimeoutError:
            return verdict(RuntimeError("the attempt passed its deadline"), claim, self.policy, self.chance())
        except asyncio.CancelledError:
            if flight.why is None:
                raise
            if flight.task is not None:
                flight.task.uncancel()
            if flight.why == "lost":
                self.metrics.event("lease_lost")
                log.warning("lease_lost", local=False)
                return None
            return Ending.released()
        except Exception as error:
            if is_transient(error):
                log.warning("database_trouble", error=type(error).__name__)
                return Ending.postponed(timedelta(seconds=1 + 2 * self.chance()), None, "the database could not be reached")
            ending = verdict(error, claim, self.policy, self.chance())
            if ending.error_kind == "bug":
                log.exception("bug")
            return ending

    async def _settle(self, flight: _InFlight, ending: Ending) -> None:
        flight.why = flight.why or "settling"
        try:
            answer = await self._settler.settle(Settlement(flight.claim, ending, flight.journal))
        except Exception as error:
            _log.exception("bug", event=str(flight.claim.event_id))
            ending = verdict(error, flight.claim, self.policy, self.chance())
            answer = await self._settler.settle(Settlement(flight.claim, ending, flight.journal))
        transition = ending.result if answer == "settled" else "lease_lost"
        self.metrics.event(transition)
        _log.info(
            transition,
            event=str(flight.claim.event_id),
            lead=flight.claim.lead_id,
            attempt=flight.claim.attempts,
            outcome=ending.outcome,
            error_kind=ending.error_kind,
            error=ending.error_message,
            steps=flight.journal.steps,
        )

    async def _claim_until_stopped(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                claimed = await self.run_once(group)
                wait = 0.0 if claimed else await self._next_look()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("claim_waits", error=type(error).__name__)
                wait = 1.0
            self._alive()
            if wait > 0:
                await self._wait(wait)

    async def _next_look(self) -> float:
        """Seconds until the next look. Full: until a slot is free. Idle: growing steps, never past the next due time."""
        if len(self.in_flight) >= self.config.concurrency:
            return _SWEEP_SECONDS
        outlook = await self.store.outlook()
        self._suspect_due = outlook.suspect_due
        self._backlog_age = outlook.backlog_age or 0.0
        wait, self._idle = self._idle, min(self._idle * 2, self.config.idle_poll.total_seconds())
        wait *= 0.8 + 0.4 * self.chance()
        if outlook.next_due is not None:
            # Never zero: what is due and yet was not claimed belongs to a lead in flight, or to another poller's transaction.
            wait = min(wait, max(outlook.next_due, 0.05))
        return wait

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _heartbeat(self) -> None:
        """Extends every lease in flight, in one statement, three times a lease; a claim that does not come back is cancelled."""
        every = self.config.lease.total_seconds() / 3
        wait = every
        while True:
            await self.clock.sleep(wait)
            flights = list(self.in_flight.values())
            if not flights:
                wait = every
                continue
            asked_at = self.clock.boottime()
            try:
                found = await self.store.extend_leases([flight.claim for flight in flights])
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("heartbeat_waits", error=type(error).__name__)
                wait = min(1.0, every)
                continue
            wait = every
            for flight in flights:
                extended = found.get(flight.claim.event_id)
                if extended is None:
                    flight.lease.taken_away = True
                    flight.cancel("lost")
                elif extended:
                    flight.lease.extend(asked_at)
                else:
                    wait = min(1.0, every)

    async def _countdown(self) -> None:
        """Ends what has outlived its lease by our own clock: needs no database, so it works when there is none."""
        while True:
            await self.clock.sleep(min(0.25, self.config.lease.total_seconds() / 10))
            for flight in list(self.in_flight.values()):
                if flight.lease.seconds_left <= 0:
                    flight.cancel("lease_over")

    async def _janitor(self) -> None:
        """Gives back what dead workers held, says that we live, looks for suspects, and runs the further duties."""
        every = min(self.config.lease.total_seconds() / 3, 10.0)
        while True:
            try:
                reclaimed, failed = await self.store.reclaim_expired()
                if reclaimed:
                    self.metrics.event("reclaimed", reclaimed)
                    self.metrics.event("failed", failed)
                    _log.warning("reclaimed", events=reclaimed, failed=failed)
                    self.wake()
                outlook = await self.store.outlook()
                self._suspect_due = self._suspect_due or outlook.suspect_due
                self._backlog_age = outlook.backlog_age or 0.0
                await self.store.beat(len(self.in_flight), self.config.concurrency)
                for duty in self.duties:
                    await duty()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("janitor_waits", error=type(error).__name__)
            await self.clock.sleep(every * (0.8 + 0.4 * self.chance()))

    async def _finish(self) -> None:
        """After `stop`: what is in flight may end within the grace time, the rest is given back with its attempt."""
        tasks = [flight.task for flight in self.in_flight.values() if flight.task is not None]
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self.config.grace.total_seconds())
        if late:
            for flight in list(self.in_flight.values()):
                flight.cancel("leaving")
            # The release itself needs the database; without it the leases end by themselves.
            await asyncio.wait(late, timeout=5.0)
            for task in late:
                task.cancel()

    def _alive(self) -> None:
        self._alive_at = self.clock.boottime()

    def _start_watchdog(self) -> threading.Event:
        """A thread that ends a wedged process: one whose event loop no longer passes through the claim loop."""
        limit = max(60.0, 3 * self.config.lease.total_seconds(), self.config.idle_poll.total_seconds() * 3)
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(1.0):
                if not self._stopping.is_set() and self.clock.boottime() - self._alive_at > limit:
                    _log.critical("wedged", seconds=round(limit))
                    os._exit(_WEDGED)

        threading.Thread(target=watch, name="watchdog", daemon=True).start()
        return ended


async def _forever(duty: Awaitable[None]) -> None:
    await duty
