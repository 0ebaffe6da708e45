"""Intake's numbers: integers on the hot path, metrics when scraped, rows once a minute."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import accumulate

import psycopg
from prometheus_client import core
from prometheus_client.registry import Collector

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, Statements
from c2s_enrich.intake.refusals import Refusals
from c2s_enrich.intake.writer import DeliveryReceipt
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger("c2s_enrich.intake.minutes")

# Seconds. The promise is 50 ms; the last bucket is the store timeout's order of magnitude.
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_MINUTE_SECONDS = 60.0
# A process that ends waits no longer for its last minute.
_LAST_SECONDS = 2.0


class IntakeMetrics(Collector):
    """A collector for one process; `registry.register(metrics)` publishes it."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.secrets: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        # Of all bodies in memory.
        self.body_bytes = 0
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        self.answers[status] += 1
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def stored(self, receipt: DeliveryReceipt) -> None:
        self.events["processed"] += receipt.processed
        if receipt.processed == receipt.received:
            return
        self.events["duplicates"] += receipt.duplicates
        for problem in receipt.problems:
            self.events[problem.reason] += 1

    def minute(self) -> Counter[str]:
        """The totals that `intake_minutes` holds."""
        kept = self.events.total() - self.events["processed"] - self.events["duplicates"]
        return Counter(
            delivered=self.events["processed"],
            duplicates=self.events["duplicates"],
            refused=self.answers[401],
            rejected=kept - self.events["same_key_other_body"],
        )

    def summary(self) -> dict[str, dict[str, int]]:
        """For /health: a secret that nobody uses any more can be withdrawn."""
        tokens = {f"token_{verdict}": count for verdict, count in self.secrets.items()}
        return {"intake": {**self.events, **tokens}}

    def collect(self) -> Iterator[core.Metric]:
        for name, what, label, counts in (
            ("requests", "Deliveries by the status of their answer", "status", self.answers),
            ("tokens", "Deliveries by the secret that matched, if any", "verdict", self.secrets),
            ("events", "Events by result, rejected ones by reason", "result", self.events),
        ):
            family = core.CounterMetricFamily(f"c2s_intake_{name}", what, labels=[label])
            for value, count in counts.items():
                family.add_metric([str(value)], count)
            yield family
        yield core.GaugeMetricFamily(
            "c2s_intake_body_bytes", "Bytes of all bodies in memory", value=self.body_bytes
        )
        bounds = [*map(str, _BUCKETS), "+Inf"]
        yield core.HistogramMetricFamily(
            "c2s_intake_request_duration_seconds",
            "Time from a delivery's first byte to its answer",
            buckets=list(zip(bounds, accumulate(self._buckets), strict=True)),
            sum_value=self._seconds,
        )


@asynccontextmanager
async def every_minute(
    pool: Pool, metrics: IntakeMetrics, refusals: Refusals, clock: Clock
) -> AsyncIterator[None]:
    """Once a minute, and once more at the end of the block, web writes what it counted and compares
    refused leads with known ones. What could not be written goes with the next minute's.
    """
    sql = Statements(pool, "intake")
    written: Counter[str] = Counter()

    async def turn() -> None:
        nonlocal written
        try:
            now = metrics.minute()
            if new := now - written:
                await sql.rows("count_intake", **{key: new[key] for key in now})
                written = now
            await refusals.compare(sql)
        except (psycopg.Error, OSError) as error:
            _log.warning("minute_not_counted", error=type(error).__name__)

    async def run() -> None:
        while True:
            await clock.sleep(_MINUTE_SECONDS)
            await turn()

    task = asyncio.create_task(run(), name="intake minutes")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
                await turn()
