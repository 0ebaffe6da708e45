"""What all pollers share about an upstream, one row each: pause, rate limit, the day's paid calls.

`admit` before each request, `succeeded` or `failed` after it. Nothing is decided from this
process's memory or clock: a second poller on another machine sees the same pause at once. An
upstream without limits and without trouble costs one SELECT a call and no write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, is_transient, statements
from c2s_enrich.errors import (
    BudgetSpent,
    NoSlot,
    Paused,
    Refused,
    Throttled,
    Unauthorised,
    UpstreamError,
)
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# Retry-After is a wish, not a right: a wrong header ("1 year") must not stop the product.
LONGEST_THROTTLE = timedelta(minutes=15)
# A person has to change a credential; looking each quarter of an hour heals alone.
FIRST_CREDENTIAL_PAUSE = timedelta(seconds=60)
LONGEST_CREDENTIAL_PAUSE = timedelta(minutes=15)
# A probe whose process died must not block the next one for ever: its mark lapses this long after
# its call's time limit.
PROBE_MARGIN = timedelta(seconds=10)
# Below this a pause that began during the wait is caught by the call itself; above it a look is
# cheaper than a wasted call.
SHORT_WAIT = timedelta(seconds=1)
# Rows in one UPDATE when a recovery makes waiting events due: short locks, so that operators and
# claims pass between.
WAKE_BATCH = 1000

# Parameters of the statements that decide about a call.
Terms = Mapping[str, timedelta | datetime | None]

_log = get_logger(__name__)


class Decision(NamedTuple):
    """What the database says to one call: see `admit_call` in the migrations."""

    word: str
    wait: timedelta
    why: str
    failures: int
    probe: datetime | None


@dataclass(frozen=True)
class Admission:
    """One call that may go out now. `probe` marks the one that tests whether a pause is over."""

    upstream: str
    failures: int = 0
    probe: datetime | None = None


@dataclass(frozen=True)
class UpstreamState:
    """As operators see it. `pause_left_seconds` is 0 when only the probe is missing."""

    name: str
    paused_until: datetime | None
    paused_since: datetime | None
    pause_left_seconds: float | None
    reason: str | None
    probing: bool
    failures: int
    every_seconds: float
    daily_budget: int
    calls_today: int


class Limits:
    """The shared limits. `now` is for tests on a boundary; else the database's clock counts."""

    def __init__(
        self, pool: Pool, settings: Settings, clock: Clock, *, now: datetime | None = None
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._now = now
        self._sql = statements("upstreams")
        self._timeouts = {
            "c2s": settings.c2s_timeout,
            "diretrix": settings.diretrix_timeout,
            "work_api": settings.work_api_timeout,
        }

    async def configure(self) -> None:
        """Writes the settings' rate limits and budgets into the table: when a poller starts."""
        s = self._settings
        for name, min_interval, daily_budget in (
            ("c2s", s.c2s_min_interval, 0),
            ("diretrix", s.diretrix_min_interval, s.diretrix_daily_budget),
            ("work_api", s.work_api_min_interval, s.work_api_daily_budget),
        ):
            await self._run(
                "configure", name=name, min_interval=min_interval, daily_budget=daily_budget
            )

    async def admit(self, name: str) -> Admission:
        """Returns when one call may go out; waits in memory for a slot that is at most `slot_wait`
        away.

        Raises Paused, BudgetSpent or NoSlot, each with how long to stay away; none of them reserves
        anything.
        """
        [row] = await self._run("admit", name=name, **self.terms(name))
        return await self.granted(name, Decision(*row))

    def terms(self, name: str) -> Terms:
        """What the statement that decides about a call needs to know."""
        return {
            "slot_wait": self._settings.slot_wait,
            "probe_lease": self._timeouts[name] + PROBE_MARGIN,
            "now": self._now,
        }

    async def granted(self, name: str, decision: Decision) -> Admission:
        """Acts on a decision: waits and raises as `admit`."""
        word, wait, why, failures, probe = decision
        if word == "paused":
            raise Paused(name, wait, why)
        if word == "spent":
            raise BudgetSpent(name, wait)
        if word == "no_slot":
            raise NoSlot(name, wait)
        if wait > timedelta(0):
            await self._clock.sleep(wait.total_seconds())
            if wait > SHORT_WAIT and word != "probe":
                # A pause may have begun meanwhile.
                for left, reason in await self._run("give_up_slot", name=name):
                    raise Paused(name, left, reason)
        return Admission(name, failures, probe)

    async def succeeded(self, admission: Admission) -> bool:
        """The call came back well. True when it was the probe and ended the pause; its waiting
        events are due then.

        Writes nothing when there is nothing to change. A database in trouble is logged and not
        raised: what the call brought must not be lost because the limits could not be told, and a
        probe's mark lapses by itself.
        """
        try:
            if admission.probe is not None:
                if not await self._run(
                    "end_pause", name=admission.upstream, probing_until=admission.probe
                ):
                    return False
                woken = await self._wake_events(admission.upstream)
                _log.info("upstream_recovered", upstream=admission.upstream, events_woken=woken)
                return True
            if admission.failures:
                await self._run("forget_failures", name=admission.upstream)
        except psycopg.Error as trouble:
            _let_pass(trouble, admission.upstream)
        return False

    async def failed(self, admission: Admission, error: UpstreamError) -> None:
        """The call failed. Throttled and Unauthorised pause the upstream at once, other failures
        from `breaker_failures` in a row on.

        Refused is an answer like another: the upstream works, so it counts as a success here.
        Database trouble is logged, as in `succeeded`.
        """
        s = self._settings
        name, probe = admission.upstream, admission.probe
        try:
            match error:
                case Refused():
                    await self.succeeded(admission)
                case Throttled():
                    wait = min(error.retry_after, LONGEST_THROTTLE)
                    await self._run(
                        "throttle",
                        name=name,
                        probing_until=probe,
                        retry_after=wait,
                        reason="it asked us to wait (429)",
                    )
                case Unauthorised():
                    await self._count_failure(
                        admission,
                        f"credential refused: {error.detail}",
                        1,
                        FIRST_CREDENTIAL_PAUSE,
                        LONGEST_CREDENTIAL_PAUSE,
                    )
                case _:
                    await self._count_failure(
                        admission, error.detail, s.breaker_failures, s.pause_base, s.pause_cap
                    )
        except psycopg.Error as trouble:
            _let_pass(trouble, name)

    async def _count_failure(
        self, admission: Admission, reason: str, breaker: int, first: timedelta, cap: timedelta
    ) -> None:
        rows = await self._run(
            "count_failure",
            name=admission.upstream,
            probing_until=admission.probe,
            reason=reason,
            breaker=breaker,
            first=first,
            cap=cap,
        )
        for (pause,) in rows:
            if pause is not None:
                _log.warning(
                    "upstream_paused",
                    upstream=admission.upstream,
                    seconds=round(pause.total_seconds()),
                    reason=reason,
                )

    async def pause(self, name: str, minutes: float, reason: str) -> bool:
        """By hand: no calls for this many minutes. False where no such upstream exists."""
        return bool(
            await self._run("pause", name=name, length=timedelta(minutes=minutes), reason=reason)
        )

    async def resume(self, name: str) -> bool:
        """By hand: ends any pause and wakes its events. False for an unknown upstream."""
        found = bool(await self._run("resume", name=name))
        if found:
            await self._wake_events(name)
        return found

    async def budget(self, name: str, calls: int) -> bool:
        """By hand: today's budget, 0 for none; wakes its events. False for an unknown upstream."""
        found = bool(await self._run("budget", name=name, calls=calls))
        if found:
            await self._wake_events(name)
        return found

    async def all(self) -> tuple[UpstreamState, ...]:
        """Every upstream, by name."""
        return tuple(UpstreamState(*row) for row in await self._run("all"))

    async def _wake_events(self, name: str) -> int:
        """Makes the events waiting for `name` due, batch by batch; returns how many."""
        woken = 0
        async with self._pool.connection() as connection:
            while True:
                cursor = await connection.execute(
                    self._sql["wake_events"],
                    {"name": name, "batch": WAKE_BATCH, "now": self._now},
                )
                woken += cursor.rowcount
                if cursor.rowcount < WAKE_BATCH:
                    break
            if woken:
                await connection.execute(self._sql["announce"])
        return woken

    async def _run(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                self._sql[statement], {"now": self._now, **parameters}
            )
            return await cursor.fetchall() if cursor.description is not None else []


def _let_pass(trouble: psycopg.Error, upstream: str) -> None:
    if not is_transient(trouble):
        raise trouble
    _log.warning("limits_not_updated", upstream=upstream, error=type(trouble).__name__)
