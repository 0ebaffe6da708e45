"""`/livez`, `/readyz` and `/health`: is the process alive, can it work, and is the whole service
well.

`/health` says what is wrong in sentences for people and is public: numbers and upstreams, never a
lead. It answers 503 only when the database cannot be asked; a degraded service is still the best
one there is, and no platform should restart it for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import psycopg
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from c2s_enrich.clock import Clock
from c2s_enrich.ops.store import OpsStore, QueueHealth, UpstreamHealth
from c2s_enrich.redaction import redact

# A scrape storm asks the database once in this time.
_FRESH_SECONDS = 1.0
# Longer than a healthy answer ever takes, shorter than the checks of any platform.
_PATIENCE_SECONDS = 2.0
# An event is claimed within seconds of being due; at a minute nobody is working.
_LATE_SECONDS = 60.0
# A poller beats every few seconds. Without any, a due event may still be one that has just come.
_UNATTENDED_SECONDS = 15.0

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Signals:
    """What the process knows by itself: `problem` is one sentence or None, `numbers` go into the
    document.
    """

    problem: Callable[[], str | None]
    numbers: Callable[[], Mapping[str, Any]]


def health_routes(
    store: OpsStore, clock: Clock, signals: Signals, newest_migration: int
) -> Sequence[BaseRoute]:
    """`newest_migration` is the version that this program was written for."""
    health = Remembered(store.health, clock)
    version = Remembered(store.newest_migration, clock)

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        found = await version.get()
        if found is None:
            return JSONResponse(
                {"status": "not ready", "problem": "The database does not answer."}, 503
            )
        if problem := behind(found):
            return JSONResponse({"status": "not ready", "problem": problem}, 503)
        return JSONResponse({"status": "ready"})

    async def all_in_all(_: Request) -> Response:
        # Both at once: a platform's patience is not spent twice.
        found, at = await asyncio.gather(health.get(), version.get())
        document = report(found, signals.problem(), behind(at))
        return JSONResponse(document | dict(signals.numbers()), 200 if found else 503)

    def behind(at: int | None) -> str | None:
        if at is None or at >= newest_migration:
            return None
        return f"The database is at migration {at}, {newest_migration} is needed: run `c2s-enrich migrate`."

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/health", all_in_all)]


def report(
    found: tuple[QueueHealth, list[UpstreamHealth]] | None,
    own_problem: str | None,
    schema_problem: str | None,
) -> dict[str, Any]:
    """The document of /health; `found` is None when the database did not answer, or not to this
    program's questions. Pure.
    """
    problems = [problem for problem in (schema_problem, own_problem) if problem]
    if found is None:
        away = (
            []
            if schema_problem
            else ["The database does not answer: deliveries get 503 until it does."]
        )
        return {"status": "unhealthy", "problems": [*away, *problems]}
    queue, upstreams = found
    problems += _problems(queue, upstreams)
    return {
        "status": "degraded" if problems else "healthy",
        "problems": problems,
        "queue": {
            "oldest_due_seconds": None
            if queue.oldest_due_seconds is None
            else round(queue.oldest_due_seconds, 1),
            "pollers": queue.pollers_beating,
            "messages_unclear": queue.messages_unclear,
        },
        "upstreams": {upstream.name: _word(upstream) for upstream in upstreams},
    }


def _problems(queue: QueueHealth, upstreams: Sequence[UpstreamHealth]) -> list[str]:
    found = []
    due = queue.oldest_due_seconds or 0.0
    if not queue.pollers_beating and (queue.pollers_silent or due > _UNATTENDED_SECONDS):
        found.append("No poller is beating: events are stored and nobody works on them.")
    if due > _LATE_SECONDS:
        found.append(f"The oldest due event has waited {due:.0f} s.")
    for upstream in upstreams:
        if upstream.paused_seconds:
            # The reason comes from an upstream's answer, or from a person.
            why = redact(upstream.reason or "no reason given")
            found.append(
                f"{upstream.name} is paused for another {upstream.paused_seconds:.0f} s: {why}."
            )
        if upstream.budget_spent:
            found.append(f"Today's budget of calls to {upstream.name} is spent.")
    if queue.messages_unclear:
        found.append(
            f"{queue.messages_unclear} messages were sent without a clear answer more than ten minutes ago."
        )
    return found


def _word(upstream: UpstreamHealth) -> str:
    if upstream.paused_seconds:
        return "paused"
    return "budget spent" if upstream.budget_spent else "in use"


class Remembered(Generic[_T]):
    """One read for everybody who asks within a second. None when the database does not answer,
    which is remembered as long.
    """

    def __init__(self, read: Callable[[], Awaitable[_T]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._value: _T | None = None
        self._read_at = float("-inf")

    async def get(self) -> _T | None:
        """At most a second old."""
        async with self._lock:
            if self._clock.boottime() - self._read_at >= _FRESH_SECONDS:
                self._value = await self._ask()
                self._read_at = self._clock.boottime()
            return self._value

    async def _ask(self) -> _T | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._read()
        except (psycopg.Error, TimeoutError, OSError) as error:
            _log.warning(
                "health_cannot_see",
                error=type(error).__name__,
                sqlstate=getattr(error, "sqlstate", None),
            )
            return None
