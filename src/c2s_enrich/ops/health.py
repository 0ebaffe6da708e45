"""`/livez`, `/readyz` and `/health`: is the process alive, can it work, is the service well.

`/health` is public: it names upstreams, but no lead and none of an upstream's words; the operators'
token shows all. It answers 503 only when the database cannot be asked: no platform should restart a
degraded service, which is still the best one there is.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hmac import compare_digest
from typing import Any, Generic, TypeVar

import psycopg
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.migrations import all_migrations
from c2s_enrich.ops.gauges import gauges
from c2s_enrich.ops.problems import Problem, problems_of
from c2s_enrich.ops.store import Facts, OpsStore
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.logs import log_stream
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.telemetry.release import release

# A scrape storm asks the database once in this time; what takes a while to change, less often.
_FRESH_SECONDS = 1.0
_FRESH_LATELY_SECONDS = 15.0
# Longer than a healthy answer ever takes, shorter than the checks of any platform.
_PATIENCE_SECONDS = 2.0

_log = get_logger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Signals:
    """What only the process knows. `numbers` go into the document; `stuck`: why to restart it."""

    problems: Callable[[], Sequence[str]] = tuple
    numbers: Callable[[], Mapping[str, Any]] = dict
    stuck: Callable[[], str | None] = lambda: None


class Health(Collector):
    """What one process tells about the service, on its pages and in its metrics."""

    def __init__(self, store: OpsStore, clock: Clock, signals: Signals, settings: Settings) -> None:
        self._signals = signals
        self._token = settings.admin_token.reveal().encode()
        self.release = release(settings)
        self.schema = all_migrations()[-1].version
        self._now = Remembered(store.now, clock, _FRESH_SECONDS)
        self._lately = Remembered(store.lately, clock, _FRESH_LATELY_SECONDS)
        self._unfit = Remembered(partial(store.unfit, self.schema), clock, _FRESH_SECONDS)
        self._seen: tuple[Facts | None, list[Problem]] = None, []

    def routes(self) -> list[Route]:
        return [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/health", self._health),
        ]

    async def look(self) -> tuple[Facts | None, list[Problem]]:
        """The facts, None where the database did not answer, and everything that is wrong."""
        # All at once: a platform's patience is not spent twice.
        now, lately, unfit = await asyncio.gather(
            self._now.get(), self._lately.get(), self._unfit.get()
        )
        sessions, behind = unfit or (None, None)
        own = enumerate(self._signals.problems())
        problems = [Problem("own", sentence, subject=str(number)) for number, sentence in own]
        if sessions:
            problems.insert(0, Problem("own", sessions, subject="database"))
        if behind:
            problems.insert(0, Problem("schema_behind", behind, "c2s-enrich migrate"))
        facts = None
        if now and lately:
            facts = Facts(now[0], now[1], *lately)
            problems += problems_of(facts)
        elif not behind:
            problems.insert(0, AWAY)
        self._seen = facts, problems
        return self._seen

    async def refresh(self) -> None:
        """Called before a scrape: `collect` then has numbers of the last seconds."""
        await self.look()

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client, right after `refresh`."""
        return gauges(*self._seen)

    async def _livez(self, _: Request) -> Response:
        if stuck := self._signals.stuck():
            return JSONResponse({"status": "stuck", "problem": stuck}, 503)
        return JSONResponse({"status": "alive"})

    async def _readyz(self, _: Request) -> Response:
        unfit = await self._unfit.get() or ("The database does not answer.", None)
        if problem := unfit[0] or unfit[1]:
            return JSONResponse({"status": "not ready", "problem": problem}, 503)
        return JSONResponse({"status": "ready"})

    async def _health(self, request: Request) -> Response:
        facts, problems = await self.look()
        document: dict[str, Any] = {
            "status": "unhealthy" if facts is None else "degraded" if problems else "healthy",
            "problems": [each.sentence for each in problems],
        }
        if gives(request, self._token):
            document |= {
                "release": self.release,
                "details": [asdict(each) for each in problems],
                **({} if facts is None else {"facts": asdict(facts)}),
                **self._signals.numbers(),
            }
        return JSONResponse(document, 503 if facts is None else 200)


def build_health(
    settings: Settings, pool: Pool, metrics: Metrics, clock: Clock, signals: Signals
) -> Health:
    log = log_stream()

    def problems() -> list[str]:
        told = log.problem() if log is not None else None
        return [*signals.problems(), *([told] if told else [])]

    if log is not None:
        metrics.watch("log_lines_dropped", "Log lines that were lost", lambda: log.dropped)
    health = Health(OpsStore(pool), clock, replace(signals, problems=problems), settings)
    metrics.describe(health, version=health.release, schema=health.schema)
    metrics.watch_pool(pool.get_stats)
    return health


def gives(request: Request, token: bytes) -> bool:
    """Whether a request bears this token; an empty one is never given."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    known = bool(token) and compare_digest(given.strip().encode(), token)
    return known and scheme.lower() == "bearer"


AWAY = Problem(
    "database_away",
    "The database does not answer: deliveries get 503 until it does.",
    "c2s-enrich doctor",
)


class Remembered(Generic[_T]):
    """One read for all who ask within `fresh` seconds; None while the database is away."""

    def __init__(self, read: Callable[[], Awaitable[_T]], clock: Clock, fresh: float) -> None:
        self._read = read
        self._clock = clock
        self._fresh = fresh
        self._lock = asyncio.Lock()
        self._value: _T | None = None
        self._read_at = float("-inf")
        self._reading: asyncio.Task[_T] | None = None

    async def get(self) -> _T | None:
        async with self._lock:
            fresh = _FRESH_SECONDS if self._value is None else self._fresh
            if self._clock.boottime() - self._read_at >= fresh:
                self._value = await self._ask()
                self._read_at = self._clock.boottime()
            return self._value

    async def _ask(self) -> _T | None:
        # Not cancelled: psycopg would ask a silent server to cancel, and wait for that, too. The
        # connection itself ends a silence; until then nothing else is asked.
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read())
            # Nobody may ask again; its error is no news then.
            self._reading.add_done_callback(lambda read: read.cancelled() or read.exception())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await asyncio.wait({self._reading})
            reading, self._reading = self._reading, None
            return reading.result()
        except (psycopg.Error, TimeoutError, OSError) as error:
            _log.warning(
                "health_cannot_see",
                error=type(error).__name__,
                sqlstate=getattr(error, "sqlstate", None),
            )
            return None
