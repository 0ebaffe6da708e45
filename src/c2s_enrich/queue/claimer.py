"""Which events this poller takes next, and when it is worth asking again."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from psycopg import errors as pg

from c2s_enrich.clock import Clock
from c2s_enrich.queue.claim import Claim
from c2s_enrich.queue.store import Look, Outlook, Place, QueueStore
from c2s_enrich.telemetry.metrics import Metrics

# The place before every event.
START = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))
# Rows that were reset, committed late or looked at in vain lie behind the mark; they are found this
# often. A sweep that takes long (many dead entries, a lead with thousands of events) is rarer, so
# that sweeps never take more than a tenth of the time.
_SWEEP_SECONDS, _SWEEP_SHARE = 1.0, 10
# Events that are claimed this late are a backlog; then every fourth claim serves what arrived last.
_OLD_BACKLOG = timedelta(seconds=30)
# Idle polling: quick at first (a NOTIFY may have been lost just now), then calmer up to IDLE_POLL.
_FIRST_IDLE = 0.25
# Another poller can take a lead between our look and our update; each repeat sees its row and looks
# elsewhere.
_TRIES = 5
_TAKEN_MEANWHILE = (pg.UniqueViolation, pg.LockNotAvailable, pg.DeadlockDetected)


@dataclass
class Claimer:
    """Claims for one poller. The mark is the place up to which the ordinary lane was looked
    through: without it each claim would walk over everything that was finished before.
    """

    store: QueueStore
    clock: Clock
    metrics: Metrics
    idle_poll: timedelta
    suspects_only: bool = False
    _sweep_at: float = float("-inf")
    _next_due: float | None = None
    _mark = START
    _backlog_age = timedelta()
    _turn = 0
    _at_rest = False
    _idle = _FIRST_IDLE

    async def claim(self, slots: int) -> list[Claim]:
        """Up to `slots` due events. Empty only after a look at everything that is due."""
        while True:
            look = self._next_look()
            claims = await self.take(look, slots)
            if claims or look.after == START:
                self._at_rest = not claims
                return claims
            if look.lane == "oldest":
                self.sweep()

    def _next_look(self) -> Look:
        """Where the next claim looks. There are four cases:

        1. This process is there for suspects: the oldest due suspect.
        2. Nothing was due, and what is now may lie anywhere, or the last sweep is long enough ago:
           the oldest due events, from the very first one.
        3. The backlog is old and this is a fourth claim: what became due last, so that a lead that
           arrives now does not wait behind an hour of outage.
        4. Otherwise: the oldest due events beyond the mark.
        """
        if self.suspects_only:
            return Look("suspect", START)
        if self._at_rest or self.clock.boottime() >= self._sweep_at:
            return Look("oldest", START)
        if self._backlog_age > _OLD_BACKLOG and self._turn % 4 == 3:
            return Look("freshest", self._mark)
        return Look("oldest", self._mark)

    async def take(self, look: Look, slots: int) -> list[Claim]:
        """Claims there, and again where another poller was faster."""
        began = self.clock.boottime()
        self._turn += 1
        for attempt in range(_TRIES):
            try:
                last = attempt == _TRIES - 1
                claims, looked_to = await self.store.claim(look, 1 if last else slots)
            except _TAKEN_MEANWHILE:
                self.metrics.conflicts.inc()
                await asyncio.sleep(0.002 * attempt)
                continue
            if look.lane == "oldest":
                self._looked(look, claims, looked_to, self.clock.boottime() - began)
            if claims:
                self._idle = _FIRST_IDLE
            return claims
        return []

    def _looked(self, look: Look, claims: list[Claim], looked_to: Place, took: float) -> None:
        if look.after == START:
            self._sweep_at = self.clock.boottime() + max(_SWEEP_SECONDS, _SWEEP_SHARE * took)
        if claims:
            self._mark = looked_to
            self._backlog_age = claims[0].claimed_at - claims[0].available_at

    def sweep(self) -> None:
        """The next claim of the ordinary lane begins with the very first due event."""
        self._sweep_at = self.clock.boottime()

    def hurry(self) -> None:
        """Something new may be due, beyond the mark; the next idle pauses are short again."""
        self._idle = _FIRST_IDLE
        self._at_rest = False

    def next_delay(self) -> float:
        """Seconds until it is worth looking again: growing steps, never past the next due time."""
        return self._idle if self._next_due is None else min(self._idle, self._next_due)

    def learn(self, outlook: Outlook) -> None:
        """What an idle look has told decides how long the next pause is."""
        self._next_due = outlook.next_due
        self._idle = min(self._idle * 2, self.idle_poll.total_seconds())
