"""Flights: what this poller works on, from claim to settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Literal

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.errors import LeaseLost
from c2s_enrich.queue.claim import Claim, ClaimKey, Ending, Handler, Journal, Lease
from c2s_enrich.queue.store import QueueStore
from c2s_enrich.queue.verdict import RetryPolicy, database_away, verdict
from c2s_enrich.telemetry.attempt import begin_attempt
from c2s_enrich.telemetry.lines import Level, get_logger

_log = get_logger("c2s_enrich.queue")

# Longest wait for what is given back at the end; without the database the leases end by themselves.
RELEASE_SECONDS = 5.0

Why = Literal["taken_away", "lease_over", "deadline", "leaving", "settling"]


class Flight:
    """One claim with its task, its lease, and why the task was ended before its time. `ending` is
    there once the attempt is over.
    """

    __slots__ = ("_begun", "_named", "claim", "ending", "journal", "lease", "task", "why")

    task: asyncio.Task[None]
    ending: Ending

    def __init__(self, claim: Claim, lease: Lease, journal: Journal) -> None:
        self.claim = claim
        self.lease = lease
        self.journal = journal
        self.why: Why | None = None
        self._begun = False
        self._named: dict[str, object] = {
            "event_id": claim.event_id,
            "lead_id": claim.lead_id,
            "attempt": claim.attempts,
        }

    def start(
        self, group: asyncio.TaskGroup, work: Callable[[Flight], Coroutine[Any, Any, None]]
    ) -> None:
        self.task = group.create_task(work(self))

    async def attempt(
        self, handler: Handler, policy: RetryPolicy, chance: Callable[[], float]
    ) -> Ending | None:
        """Runs the handler. None when there is nothing to settle: the event is someone else's."""
        error: BaseException
        try:
            self._begun = True
            if self.why is not None:
                raise asyncio.CancelledError
            begin_attempt(self.journal.record, self._named)
            await self.journal.at("claimed")
            return Ending.completed(await handler(self.claim, self.lease, self.journal))
        except asyncio.CancelledError:
            match self.why:
                case "taken_away":
                    return None
                case "leaving":
                    return Ending.released()
                case "lease_over":
                    error = LeaseLost("the lease ended before it could be extended")
                case "deadline":
                    error = TimeoutError("the attempt passed its deadline")
                case _ if self.task.cancelling():
                    raise  # the whole poller is being ended
                case _:
                    error = RuntimeError("the handler was cancelled from within")
        except Exception as raised:
            error = raised
        if is_transient(error):
            _log.warning("database_trouble", error=type(error).__name__)
            return database_away(self.claim, policy, chance())
        ending = verdict(error, self.claim, policy, chance())
        if ending.error_kind == "bug":
            _log.error("bug", exc_info=error)
        return ending

    def end(self, why: Why) -> None:
        """Ends the task, once, and never while its settlement is under way. A task that has not
        begun would never run and never settle: it ends itself at its first step.
        """
        if self.why is None:
            self.why = why
            if self._begun:
                self.task.cancel()

    def take_away(self) -> None:
        """The event belongs to someone else now."""
        self.lease.taken_away = True
        self.end("taken_away")

    def tell(self, transition: str) -> float:
        """The one line of this attempt in the log. Seconds since the event arrived."""
        elapsed = self.journal.elapsed
        since_received = self.claim.age.total_seconds() + elapsed
        facts = self._named | self.journal.told()
        facts["duration_s"] = round(elapsed, 3)
        facts["since_received_s"] = round(since_received, 3)
        if hasattr(self, "ending"):
            facts |= self.ending.told()
        level: Level = "warning" if transition in ("failed", "lease_lost") else "info"
        _log.tell(level, transition, facts, searched=False)
        return since_received


class Flights(dict[ClaimKey, Flight]):
    """All flights of a poller by their claims, and the two duties that keep their leases honest."""

    def __init__(self, store: QueueStore, clock: Clock, lease_seconds: float) -> None:
        super().__init__()
        self._store = store
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._landed = asyncio.Event()

    def land(self, flight: Flight) -> None:
        """This one is over."""
        del self[flight.claim.key]
        self._landed.set()

    async def finish(self, grace: float) -> None:
        """What is in flight may end within `grace` seconds; the rest is given back."""
        await self._all_landed_within(grace)
        self.end_all("leaving")
        await self._all_landed_within(RELEASE_SECONDS)
        for flight in self.values():
            flight.task.cancel()

    async def _all_landed_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self:
                    self._landed.clear()
                    await self._landed.wait()

    def end_all(self, why: Why) -> None:
        for flight in self.values():
            flight.end(why)

    async def keep_leases(self) -> None:
        """Extends every lease, in one statement, three times a lease; a claim that does not come
        back is cancelled.
        """
        every = self._lease_seconds / 3
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
            await self._clock.sleep(min(0.25, self._lease_seconds / 10))
            for flight in self.values():
                if flight.lease.seconds_left <= 0:
                    flight.end("deadline" if flight.lease.deadline_passed else "lease_over")
