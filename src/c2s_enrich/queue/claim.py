"""What a poller holds while it works on an event, and how that ends. No database here."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from c2s_enrich.clock import Clock
from c2s_enrich.errors import LeaseLost
from c2s_enrich.telemetry.lines import What

# The event and the token of one claim of it.
ClaimKey = tuple[UUID, int]
# The parameters of a fact that is recorded together with the end of its event. Not fenced:
# "C2S took the message" stays true when the event has been taken away meanwhile.
Fact = Mapping[str, object]
Result = Literal["completed", "retried", "postponed", "failed", "released"]
WaitReason = Literal[
    "paused", "credential", "budget", "slot", "throttled", "backoff", "read_back", "database"
]


class Claim(NamedTuple):
    """One event, leased to one worker. `payload` is JSON text; `age` counts from its arrival."""

    event_id: UUID
    lead_id: str
    updated_at: datetime
    hook_action: str | None
    payload: str
    attempts: int
    max_attempts: int
    reprocess: bool
    lease_token: int
    claimed_at: datetime
    age: timedelta
    available_at: datetime
    worker: str

    def __repr__(self) -> str:
        return f"Claim({self.event_id}, lease_token={self.lease_token})"

    @property
    def key(self) -> ClaimKey:
        """Names this claim: the event may have been taken away and claimed again, even by us."""
        return self.event_id, self.lease_token


class Lease:
    """The local view of a lease: a countdown that started before the statement which granted it was
    sent.

    It can only be shorter than the database's lease. Whoever obeys it works on no event that
    someone else was given because its lease had ended, even when the database cannot be reached.
    Like there, no heartbeat carries it past the attempt's deadline.
    """

    taken_away = False

    def __init__(
        self, clock: Clock, granted_at: float, length: timedelta, deadline: timedelta | None = None
    ) -> None:
        self._clock = clock
        self._length = length.total_seconds()
        self._deadline_at = math.inf if deadline is None else granted_at + deadline.total_seconds()
        self._ends_at = min(granted_at + self._length, self._deadline_at)

    @property
    def seconds_left(self) -> float:
        return 0.0 if self.taken_away else self._ends_at - self._clock.boottime()

    @property
    def deadline_passed(self) -> bool:
        return self._clock.boottime() >= self._deadline_at

    def extend(self, asked_at: float) -> None:
        """The database has extended it; `asked_at` is the boot time before it was asked."""
        self._ends_at = min(max(self._ends_at, asked_at + self._length), self._deadline_at)

    def must_outlast(self, work: timedelta) -> None:
        """Raises LeaseLost when it may end before `work` is done: before what cannot be undone."""
        if self.seconds_left < work.total_seconds():
            raise LeaseLost


class Done(NamedTuple):
    """A handler's answer: outcome and what to remember. `fact` commits with the settlement."""

    outcome: str
    fingerprint: str | None = None
    fact: Fact | None = None


class Ending(NamedTuple):
    """How a claim ends: completed with what its handler has done; retried after `delay`, which
    counts from the settlement; postponed, where the attempt is given back; failed for good;
    released, untouched and due at once, because the poller leaves.
    """

    result: Result
    outcome: str | None = None
    fingerprint: str | None = None
    fact: Fact | None = None
    error_kind: str | None = None
    error_message: str | None = None
    delay: timedelta = timedelta()
    waiting_for: str | None = None
    reason: WaitReason | None = None

    @property
    def transition(self) -> str:
        """Its name in logs and metrics. Given back because we leave is postponed like any other."""
        return "postponed" if self.result == "released" else self.result

    def told(self) -> dict[str, object]:
        """For the line of the attempt: what there is to say."""
        said = {
            "outcome": self.outcome,
            "error_kind": self.error_kind,
            "error": self.error_message,
            "waiting_for": self.waiting_for,
            "reason": self.reason,
            "wait_s": round(self.delay.total_seconds(), 1),
        }
        return {name: value for name, value in said.items() if value}


class Journal:
    """What happened during one attempt: steps and calls with their offsets; they end up in
    `event_attempts`. `detail` is what the outcome rests on and stays with the event: words and
    numbers, never a contact or a CPF.

    `boundary` is called when a step begins and when it has ended, with names such as "lookup" and
    "lookup:done". Production passes nothing; the drill and the tests end or freeze the process
    there.
    """

    def __init__(
        self, clock: Clock, boundary: Callable[[str], Awaitable[None]] | None = None
    ) -> None:
        self._clock = clock
        self._boundary = boundary
        self._began = clock.boottime()
        self.steps: list[dict[str, Any]] = []
        self.calls: list[dict[str, object]] = []
        self.answers: list[dict[str, object]] = []
        self.detail: dict[str, object] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the attempt began."""
        return self._clock.boottime() - self._began

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[None]:
        """What happens inside is this step."""
        await self.at(name)
        began = self._milliseconds()
        step = {"step": name, "at_ms": began, "ms": None}
        self.steps.append(step)
        try:
            yield
        finally:
            step["ms"] = round(self._milliseconds() - began, 1)
        await self.at(f"{name}:done")

    async def at(self, point: str) -> None:
        """A named point of the event's life."""
        if self._boundary is not None:
            await self._boundary(point)

    def record(self, what: What, facts: dict[str, object]) -> None:
        """A call, with its seconds, an answer, or unreadable rows: see `telemetry/lines.py`."""
        if what == "calls":
            ms = round(float(str(facts.pop("seconds"))) * 1000, 1)
            at = self._milliseconds() - ms
            self.calls.append(facts | {"at_ms": round(max(at, 0.0), 1), "ms": ms})
        elif what == "answers":
            self.answers.append(facts)
        else:
            self.detail.setdefault("unreadable", facts)

    def told(self) -> dict[str, object]:
        """For the line of the attempt: milliseconds of its steps, numbers of calls and answers."""
        said: dict[str, object] = {}
        if self.steps:
            said["steps"] = {step["step"]: step["ms"] for step in self.steps}
        if self.calls:
            said["calls"] = Counter(f"{call['upstream']}.{call['kind']}" for call in self.calls)
            said["paid"] = sum(bool(call["paid"]) for call in self.calls)
        if self.answers:
            said["remembered"] = sum(bool(answer.get("remembered")) for answer in self.answers)
        return said

    def _milliseconds(self) -> float:
        return round(self.elapsed * 1000, 1)


Handler = Callable[[Claim, Lease, Journal], Awaitable[Done]]
