"""The poller: claims up to its free slots, runs each event as a task, settles it. Knows nothing
about leads.

`run` loops, `run_once` does one pass. The duties live side by side in one task group (one dies, all
die, and the process ends with an error for its supervisor to restart): claiming, settling,
heartbeat and countdown, the janitor, listening.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol

import structlog

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.errors import LeaseLost
from c2s_enrich.queue.claim import Claim, ClaimKey, Ending, Handler, Journal, Lease
from c2s_enrich.queue.settler import Settler
from c2s_enrich.queue.store import Lane, QueueStore, Settlement
from c2s_enrich.queue.verdict import RetryPolicy, database_away, verdict
from c2s_enrich.queue.watchdog import Watchdog
from c2s_enrich.telemetry.attempt import recorded_by

_log = structlog.get_logger("c2s_enrich.queue")

# Idle polling: quick at first (a NOTIFY may have been lost just now), then calmer up to IDLE_POLL.
_FIRST_IDLE = 0.25
# Rows that were reset or committed late lie behind the claim's mark; they are found this often.
_SWEEP_SECONDS = 1.0
# Events that are claimed this late are a backlog; then every fourth claim serves what arrived last.
_OLD_BACKLOG = timedelta(seconds=30)
# Between two suspects the others have at least this long, and as long as the suspect took.
_TURN_SECONDS = 2.0
# Longest wait for what is given back at the end; without the database the leases end by themselves.
_RELEASE_SECONDS = 5.0

Why = Literal["taken_away", "lease_over", "deadline", "leaving", "settling"]


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

    @property
    def wedged_after(self) -> timedelta:
        """How long the claim loop may not come round: longer than any wait that it takes on
        purpose.
        """
        return max(
            timedelta(seconds=60),
            self.lease * 3,
            self.idle_poll * 3,
            self.grace + timedelta(seconds=30),
        )


class _Flight:
    """One claim that is being worked on: its task, and why the task was ended before its time."""

    def __init__(
        self, claim: Claim, lease: Lease, journal: Journal, *, alone: bool, began_at: float
    ) -> None:
        self.claim = claim
        self.lease = lease
        self.journal = journal
        self.alone = alone
        self.began_at = began_at
        self.why: Why | None = None
        self._task: asyncio.Task[None] | None = None
        self._begun = False

    @property
    def task(self) -> asyncio.Task[None]:
        assert self._task is not None, "set by start, before anybody can see the flight"  # noqa: S101
        return self._task

    def start(
        self, group: asyncio.TaskGroup, work: Callable[[_Flight], Coroutine[Any, Any, None]]
    ) -> None:
        self._task = group.create_task(work(self), name=f"event-{self.claim.event_id}")

    def begin(self) -> None:
        """First step of the task. A task that is cancelled before it would never run and never
        settle, so `end` leaves it alone.
        """
        self._begun = True
        if self.why is not None:
            raise asyncio.CancelledError

    def end(self, why: Why) -> None:
        """Ends the task, once, and never while its settlement is under way."""
        if self.why is None:
            self.why = why
            if self._begun:
                self.task.cancel()


@dataclass
class Poller:
    """One poller process's work. `boundary` is called at every named point of an event's life (see
    `Journal`).
    """

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
    in_flight: dict[ClaimKey, _Flight] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settler = Settler(self.store, self.clock)
        self.watchdog = Watchdog(self.config.wedged_after.total_seconds())
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._at_once = False
        self._idle = _FIRST_IDLE
        self._turn = 0
        self._swept_at = self._suspects_from = self.clock.boottime()
        self._backlog_age = timedelta()
        self._suspect_due = False
        self._conflicts_told = 0

    def wake(self) -> None:
        """Something may be due: look now."""
        self._idle = _FIRST_IDLE
        self._wake.set()

    def stop(self) -> None:
        """First call: claim no more and finish within the grace time. Second call: give everything
        back at once.
        """
        if self._stopping.is_set():
            self._at_once = True
            self._end_all("leaving")
        self._stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Works until `stop`. Returns when everything in flight is settled or given back."""
        with self.watchdog.watching():
            async with self.store.steady(), asyncio.TaskGroup() as group:
                duties = self._start_duties(group)
                duties += [
                    group.create_task(self._janitor()),
                    group.create_task(self._housekeeping()),
                ]
                if self.listen is not None:
                    duties.append(
                        group.create_task(
                            _forever(self.listen(self.wake, self.metrics.listener_reconnected))
                        )
                    )
                await self._claim_until_stopped(group)
                await self._finish()
                await _end(duties)
            with suppress(Exception):
                async with asyncio.timeout(_RELEASE_SECONDS):
                    await self.store.leave()

    async def drain(self) -> None:
        """Works until nothing is due and nothing is in flight, then returns. For one-off runs and
        tests.
        """
        async with self.store.steady(), asyncio.TaskGroup() as group:
            duties = self._start_duties(group)
            while True:
                self._wake.clear()
                self._suspect_due = not self.in_flight
                if await self.run_once(group):
                    continue
                if not self.in_flight:
                    break
                await self._wait(1.0)
            await _end(duties)

    async def run_once(self, group: asyncio.TaskGroup) -> int:
        """One pass: claims up to the free slots and starts a task for each event. Returns how many
        it claimed.
        """
        if not self._may_claim():
            return 0
        if self._suspects_turn() and (claimed := await self._claim_alone(group)):
            return claimed
        claimed = await self._claim_due(group)
        if not claimed and not self.in_flight and self._suspect_due:
            claimed = await self._claim_alone(group)
        return claimed

    def _start_duties(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        return [
            group.create_task(duty())
            for duty in (self._settler.run, self._heartbeat, self._countdown)
        ]

    def _may_claim(self) -> bool:
        """Not beside a suspect, not beyond the slots, and not while those in flight make room for a
        suspect.
        """
        alone = any(flight.alone for flight in self.in_flight.values())
        return (
            not alone
            and len(self.in_flight) < self.config.concurrency
            and not (self.in_flight and self._suspects_turn())
        )

    def _suspects_turn(self) -> bool:
        """Whether suspects come before others now. They run with nothing beside them, so that they
        take nobody along.
        """
        over = self.clock.boottime() - self._suspects_from
        if not self._suspect_due or over < 0:
            return False
        if self.in_flight and over > self.config.lease.total_seconds():
            # What is in flight does not end (it hangs, or waits for an upstream): the others go on
            # beside it for as long.
            self._suspects_from = self.clock.boottime() + self.config.lease.total_seconds()
            return False
        return True

    async def _claim_alone(self, group: asyncio.TaskGroup) -> int:
        claims = await self._claim(group, 1, "suspect")
        self._suspect_due = bool(claims)
        return len(claims)

    async def _claim_due(self, group: asyncio.TaskGroup) -> int:
        """What is due, fresh events first at every fourth claim of an old backlog: a lead that
        arrives now shall not wait for hours.
        """
        free = self.config.concurrency - len(self.in_flight)
        now = self.clock.boottime()
        if now - self._swept_at >= _SWEEP_SECONDS:
            self.store.sweep()
            self._swept_at = now
        self._turn += 1
        if (
            self._backlog_age > _OLD_BACKLOG
            and self._turn % 4 == 0
            and (fresh := await self._claim(group, free, "freshest"))
        ):
            return len(fresh)
        claims = await self._claim(group, free, "oldest")
        if not claims and not self.store.swept:
            self.store.sweep()
            claims = await self._claim(group, free, "oldest")
        self._backlog_age = claims[0].claimed_at - claims[0].available_at if claims else timedelta()
        return len(claims)

    async def _claim(self, group: asyncio.TaskGroup, slots: int, lane: Lane) -> list[Claim]:
        asked_at = self.clock.boottime()
        claims = await self.store.claim(slots, lane)
        for claim in claims:
            self._start(group, claim, asked_at, alone=lane == "suspect")
        if claims:
            self.metrics.event("claimed", len(claims))
        if self.store.conflicts > self._conflicts_told:
            self.metrics.claim_conflicts(self.store.conflicts - self._conflicts_told)
            self._conflicts_told = self.store.conflicts
        return claims

    def _start(
        self, group: asyncio.TaskGroup, claim: Claim, asked_at: float, *, alone: bool
    ) -> None:
        for flight in self.in_flight.values():
            if flight.claim.event_id == claim.event_id:
                # A person has reset it, and it has come back to us before the heartbeat could tell.
                self._take_away(flight)
        lease = Lease(self.clock, asked_at, self.config.lease, self.config.deadline)
        flight = _Flight(
            claim, lease, Journal(self.clock, self.boundary), alone=alone, began_at=asked_at
        )
        self.in_flight[claim.key] = flight
        flight.start(group, self._work)

    async def _work(self, flight: _Flight) -> None:
        """One event from claim to settlement. Raises nothing: whatever happens to one event is that
        event's ending.
        """
        try:
            ending = await self._attempt(flight)
            if ending is not None:
                await self._settle(flight, ending)
        except Exception:
            # Even the report of a bug was refused. The lease ends by itself.
            _log.exception("bug", event_id=str(flight.claim.event_id))
        finally:
            del self.in_flight[flight.claim.key]
            if flight.alone:
                now = self.clock.boottime()
                self._suspects_from = now + max(_TURN_SECONDS, now - flight.began_at)
            self._wake.set()

    async def _attempt(self, flight: _Flight) -> Ending | None:
        """None when there is nothing to settle: the event belongs to someone else."""
        error: BaseException
        try:
            flight.begin()
            await flight.journal.at("claimed")
            with recorded_by(flight.journal.record):
                done = await self.handler(flight.claim, flight.lease, flight.journal)
            return Ending.completed(done)
        except asyncio.CancelledError:
            match flight.why:
                case "taken_away":
                    self._tell_lost(flight)
                    return None
                case "leaving":
                    return Ending.released()
                case "lease_over":
                    error = LeaseLost("the lease ended before it could be extended")
                case "deadline":
                    error = TimeoutError("the attempt passed its deadline")
                case _ if flight.task.cancelling():
                    raise  # the whole poller is being ended
                case _:
                    error = RuntimeError("the handler was cancelled from within")
        except Exception as raised:
            error = raised
        if is_transient(error):
            _log.warning(
                "database_trouble", event_id=str(flight.claim.event_id), error=type(error).__name__
            )
            return database_away(flight.claim, self.policy, self.chance())
        ending = verdict(error, flight.claim, self.policy, self.chance())
        if ending.error_kind == "bug":
            _log.error("bug", event_id=str(flight.claim.event_id), exc_info=error)
        return ending

    async def _settle(self, flight: _Flight, ending: Ending) -> None:
        flight.why = flight.why or "settling"
        await flight.journal.at("settle")
        try:
            answer = await self._settler.settle(Settlement(flight.claim, ending, flight.journal))
        except Exception as error:
            # The database refuses what the handler returned (an outcome, a fact, a note): then this
            # is how the attempt ends.
            _log.exception("bug", event_id=str(flight.claim.event_id))
            ending = verdict(error, flight.claim, self.policy, self.chance())
            answer = await self._settler.settle(
                Settlement(flight.claim, ending, Journal(self.clock))
            )
        await flight.journal.at("settled")
        if answer == "settled":
            self._tell(flight, ending)
        else:
            self._tell_lost(flight)

    def _tell(self, flight: _Flight, ending: Ending) -> None:
        # Given back because we leave: for whoever counts, that is postponed like any other.
        transition = "postponed" if ending.result == "released" else ending.result
        self.metrics.event(transition)
        _log.info(
            transition,
            event_id=str(flight.claim.event_id),
            lead=flight.claim.lead_id,
            attempt=flight.claim.attempts,
            outcome=ending.outcome,
            error_kind=ending.error_kind,
            error=ending.error_message,
            steps=flight.journal.steps,
        )

    def _tell_lost(self, flight: _Flight) -> None:
        self.metrics.event("lease_lost")
        _log.warning(
            "lease_lost",
            event_id=str(flight.claim.event_id),
            lead=flight.claim.lead_id,
            attempt=flight.claim.attempts,
        )

    def _take_away(self, flight: _Flight) -> None:
        flight.lease.taken_away = True
        flight.end("taken_away")

    def _end_all(self, why: Why) -> None:
        for flight in self.in_flight.values():
            flight.end(why)

    async def _claim_until_stopped(self, group: asyncio.TaskGroup) -> None:
        while not self._stopping.is_set():
            self.watchdog.alive()
            self._wake.clear()
            try:
                if await self.run_once(group):
                    self._idle = _FIRST_IDLE
                    continue
                wait = await self._next_look()
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("claim_waits", error=type(error).__name__)
                wait = 1.0
            await self._wait(wait)

    async def _next_look(self) -> float:
        """Seconds until the next look. Full: until a slot is free. Idle: growing steps, never past
        the next due time.
        """
        if not self._may_claim():
            return _SWEEP_SECONDS
        outlook = await self.store.outlook()
        self._suspect_due = outlook.suspect_due
        wait = self._idle * (0.8 + 0.4 * self.chance())
        self._idle = min(self._idle * 2, self.config.idle_poll.total_seconds())
        return wait if outlook.next_due is None else min(wait, outlook.next_due)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _heartbeat(self) -> None:
        """Extends every lease in flight, in one statement, three times a lease; a claim that does
        not come back is cancelled.
        """
        every = self.config.lease.total_seconds() / 3
        soon = min(1.0, every)
        wait = every
        while True:
            await self.clock.sleep(wait)
            wait = every
            flights = list(self.in_flight.values())
            if not flights:
                continue
            asked_at = self.clock.boottime()
            try:
                ours = await self.store.extend_leases([flight.claim for flight in flights])
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
                        self._take_away(flight)

    async def _countdown(self) -> None:
        """Ends what has outlived its lease by our own clock: needs no database, so it works when
        there is none.
        """
        while True:
            await self.clock.sleep(min(0.25, self.config.lease.total_seconds() / 10))
            for flight in self.in_flight.values():
                if flight.lease.seconds_left <= 0:
                    flight.end("deadline" if flight.lease.deadline_passed else "lease_over")

    async def _janitor(self) -> None:
        """Gives back what dead workers held, looks for suspects, and says that we live."""
        while True:
            try:
                holding = [flight.claim for flight in self.in_flight.values()]
                reclaimed, failed = await self.store.reclaim_expired(holding)
                if reclaimed:
                    self.metrics.event("reclaimed", reclaimed)
                    self.metrics.event("failed", failed)
                    _log.warning("reclaimed", events=reclaimed, failed=failed)
                    self.wake()
                self._suspect_due = self._suspect_due or (await self.store.outlook()).suspect_due
                await self.store.beat(len(self.in_flight), self.config.concurrency)
            except Exception as error:
                if not is_transient(error):
                    raise
                _log.warning("janitor_waits", error=type(error).__name__)
            await self._pause_of_the_janitor()

    async def _housekeeping(self) -> None:
        """The further duties, such as removing what is old. Apart from the janitor: they may take
        long, and may fail.
        """
        while True:
            for duty in self.duties:
                try:
                    await duty()
                except Exception:
                    _log.exception("housekeeping_failed")
            await self._pause_of_the_janitor()

    async def _pause_of_the_janitor(self) -> None:
        await self.clock.sleep(
            min(self.config.lease.total_seconds() / 3, 10.0) * (0.8 + 0.4 * self.chance())
        )

    async def _finish(self) -> None:
        """After `stop`: what is in flight may end within the grace time, the rest is given back
        with its attempt.
        """
        tasks = {flight.task for flight in self.in_flight.values()}
        if not tasks:
            return
        # A claim that was under way during the second call may have brought new events: there is no
        # grace time for those.
        _, late = await asyncio.wait(
            tasks, timeout=0 if self._at_once else self.config.grace.total_seconds()
        )
        if not late:
            return
        self._end_all("leaving")
        _, stuck = await asyncio.wait(late, timeout=_RELEASE_SECONDS)
        for task in stuck:
            task.cancel()


async def _end(duties: list[asyncio.Task[None]]) -> None:
    """Cancels until it takes: `wait_for` of Python 3.11, with which the pool waits, loses a
    cancellation that meets its answer.
    """
    left = set(duties)
    while left:
        for duty in left:
            duty.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)


async def _forever(duty: Awaitable[None]) -> None:
    await duty
