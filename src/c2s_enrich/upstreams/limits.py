"""What all pollers share about an upstream, one row each: pause, rate limit, the day's paid calls.

`admit` before each request, `succeeded` or `failed` after it. Nothing is decided from this
process's memory or clock. Without limits and trouble a call costs one SELECT and no write.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from c2s_enrich import errors
from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, Statements, is_transient
from c2s_enrich.redaction import redact
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# Retry-After is a wish, not a right: a wrong header ("1 year") must not stop the product.
LONGEST_THROTTLE = timedelta(minutes=15)
# A person has to change a credential; looking each quarter of an hour heals alone.
_CREDENTIAL_PAUSES = timedelta(seconds=60), timedelta(minutes=15)
# A probe's mark lapses this long after its call's time limit: its process may have died.
PROBE_MARGIN = timedelta(seconds=10)
# After a longer wait a look whether a pause began meanwhile is cheaper than a wasted call.
_SHORT_WAIT = timedelta(seconds=1)
# Rows in one UPDATE that wakes events: short locks, so that operators and claims pass between.
_WAKE_BATCH = 1000

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
        self._settings = settings
        self._clock = clock
        self._now = now
        self._sql = Statements(pool, "upstreams")
        s = settings
        # The time limit of a call, the interval between two, the calls of a day.
        self._bounds = {
            "c2s": (s.c2s_timeout, s.c2s_min_interval, 0),
            "diretrix": (s.diretrix_timeout, s.diretrix_min_interval, s.diretrix_daily_budget),
            "work_api": (s.work_api_timeout, s.work_api_min_interval, s.work_api_daily_budget),
        }

    async def configure(self) -> None:
        """Writes the settings' rate limits and budgets into the table: when a poller starts."""
        for name, (_, interval, budget) in self._bounds.items():
            await self._run("configure", name=name, min_interval=interval, daily_budget=budget)

    async def admit(self, name: str) -> Admission:
        """Waits for a slot at most `slot_wait` away. Raises Paused, BudgetSpent, NoSlot."""
        [row] = await self._run("admit", name=name, **self.terms(name))
        return await self.granted(name, Decision(*row))

    def terms(self, name: str) -> Terms:
        lease = self._bounds[name][0] + PROBE_MARGIN
        return {"slot_wait": self._settings.slot_wait, "probe_lease": lease, "now": self._now}

    async def granted(self, name: str, decision: Decision) -> Admission:
        """Acts on a decision: waits and raises as `admit`."""
        word, wait, why, failures, probe = decision
        if word == "paused":
            raise errors.Paused(name, wait, why)
        if word == "spent":
            raise errors.BudgetSpent(name, wait)
        if word == "no_slot":
            raise errors.NoSlot(name, wait)
        if wait > timedelta(0):
            await self._clock.sleep(wait.total_seconds())
            if wait > _SHORT_WAIT and word != "probe":
                # A pause may have begun meanwhile.
                for left, reason in await self._run("give_up_slot", name=name):
                    raise errors.Paused(name, left, reason)
        return Admission(name, failures, probe)

    async def succeeded(self, admission: Admission) -> bool:
        """True when it was the probe and ended the pause. Writes nothing that does not change."""
        name, ended = admission.upstream, False
        with _database_trouble_passes(name):
            if admission.probe is not None:
                ended = bool(await self._run("end_pause", name=name, probing_until=admission.probe))
                if ended:
                    woken = await self._wake_events(name)
                    _log.info("upstream_recovered", upstream=name, events_woken=woken)
            elif admission.failures:
                await self._run("forget_failures", name=name)
        return ended

    async def failed(self, admission: Admission, error: errors.UpstreamError) -> None:
        """The call failed. Throttled and Unauthorised pause the upstream at once, other failures
        from `breaker_failures` in a row on. Refused is an answer: the upstream works.
        """
        s, name = self._settings, admission.upstream
        mark = {"name": name, "probing_until": admission.probe}
        reason, terms = error.detail, (s.breaker_failures, s.pause_base, s.pause_cap)
        with _database_trouble_passes(name):
            match error:
                case errors.Refused():
                    await self.succeeded(admission)
                    return
                case errors.Throttled():
                    wait = min(error.retry_after, LONGEST_THROTTLE)
                    reason = "it asked us to wait (429)"
                    await self._run("throttle", **mark, retry_after=wait, reason=reason)
                    return
                case errors.Unauthorised():
                    reason, terms = f"credential refused: {reason}", (1, *_CREDENTIAL_PAUSES)
            limits = dict(zip(("breaker", "first", "cap"), terms, strict=True))
            for (pause,) in await self._run("count_failure", **mark, reason=reason, **limits):
                if pause is not None:
                    seconds = round(pause.total_seconds())
                    _log.warning("upstream_paused", upstream=name, seconds=seconds, reason=reason)

    async def pause(self, name: str, minutes: float, reason: str) -> bool:
        """By hand: no calls for this many minutes. False where no such upstream exists."""
        length, reason = timedelta(minutes=minutes), redact(reason)[:300]
        return bool(await self._run("pause", name=name, length=length, reason=reason))

    async def resume(self, name: str) -> bool:
        """By hand: ends any pause and wakes its events. False for an unknown upstream."""
        found = bool(await self._run("resume", name=name))
        await self._wake_events(name)
        return found

    async def budget(self, name: str, calls: int) -> bool:
        """By hand: today's budget, 0 for none; wakes its events. False for an unknown upstream."""
        found = bool(await self._run("budget", name=name, calls=calls))
        await self._wake_events(name)
        return found

    async def all(self) -> tuple[UpstreamState, ...]:
        return tuple(UpstreamState(*row) for row in await self._run("all"))

    async def _wake_events(self, name: str) -> int:
        """Makes the events waiting for `name` due, batch by batch; returns how many."""
        batch = {"name": name, "batch": _WAKE_BATCH, "now": self._now}
        woken, last = 0, _WAKE_BATCH
        while last == _WAKE_BATCH:
            last = await self._sql.touch("wake_events", **batch)
            woken += last
        if woken:
            await self._sql.rows("announce")
        return woken

    async def _run(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        return await self._sql.rows(statement, **{"now": self._now, **params})


class PersonsLimits(Limits):
    """Of a person's command. Where it runs, the network and the settings may be others than the
    pollers': that it failed says nothing about the upstream.
    """

    async def failed(self, admission: Admission, error: errors.UpstreamError) -> None:
        pass


class NoLimits(PersonsLimits):
    """Of a call that only finds out whether an upstream answers from here: none at all."""

    async def admit(self, name: str) -> Admission:
        return Admission(name)

    async def succeeded(self, admission: Admission) -> bool:
        return False


@contextmanager
def _database_trouble_passes(upstream: str) -> Iterator[None]:
    """What a call brought must not be lost because the limits could not be told."""
    try:
        yield
    except psycopg.Error as trouble:
        if not is_transient(trouble):
            raise
        _log.warning("limits_not_updated", upstream=upstream, error=type(trouble).__name__)
