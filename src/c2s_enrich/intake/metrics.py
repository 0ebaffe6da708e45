"""Intake's numbers since the process started: plain integers on the hot path, turned into
Prometheus metrics when scraped.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from c2s_enrich.intake.writer import Receipt

# Seconds. The promise is 50 ms; the last bucket is the store timeout's order of magnitude.
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Tally(Collector):
    """A collector for one process; `registry.register(tally)` publishes it."""

    def __init__(self) -> None:
        self.answers: Counter[int] = Counter()
        self.secrets: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        # Of all bodies that are in memory just now.
        self.body_bytes = 0
        self._buckets = [0] * (len(_BUCKETS) + 1)
        self._seconds = 0.0

    def answered(self, status: int, seconds: float) -> None:
        """One delivery was answered after `seconds`."""
        self.answers[status] += 1
        self._buckets[bisect_left(_BUCKETS, seconds)] += 1
        self._seconds += seconds

    def stored(self, receipt: Receipt) -> None:
        """One delivery's events have their verdict."""
        self.events["processed"] += receipt.processed
        if receipt.processed == receipt.received:
            return
        self.events["duplicates"] += receipt.duplicates
        for problem in receipt.problems:
            self.events[problem.reason] += 1

    def summary(self) -> dict[str, dict[str, int]]:
        """For /health: a secret that nobody uses any more can be withdrawn."""
        return {
            "intake": {
                **self.events,
                **{f"token_{verdict}": count for verdict, count in self.secrets.items()},
            }
        }

    def collect(self) -> Iterator[Metric]:
        """Called by Prometheus' client at each scrape."""
        answers = CounterMetricFamily(
            "c2s_intake_answers", "Deliveries by the status of their answer", labels=["status"]
        )
        for status, count in self.answers.items():
            answers.add_metric([str(status)], count)
        yield answers
        secrets = CounterMetricFamily(
            "c2s_intake_tokens",
            "Deliveries by the secret that matched, or why none",
            labels=["verdict"],
        )
        for verdict, count in self.secrets.items():
            secrets.add_metric([verdict], count)
        yield secrets
        events = CounterMetricFamily(
            "c2s_intake_events",
            "Events by what became of them, rejected ones by reason",
            labels=["result"],
        )
        for result, count in self.events.items():
            events.add_metric([result], count)
        yield events
        yield GaugeMetricFamily(
            "c2s_intake_body_bytes", "Bytes of all bodies in memory", value=self.body_bytes
        )
        duration = HistogramMetricFamily(
            "c2s_intake_seconds", "Time from a delivery's first byte to its answer"
        )
        bounds = [*map(str, _BUCKETS), "+Inf"]
        totals: list[tuple[str, float]] = []
        running = 0
        for bound, count in zip(bounds, self._buckets, strict=True):
            running += count
            totals.append((bound, running))
        duration.add_metric([], totals, self._seconds)
        yield duration
