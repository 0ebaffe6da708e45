"""One process's numbers for Prometheus, in base units and the words of the logs and of SQL."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import prometheus_client as prometheus
from prometheus_client.registry import Collector

# The upstreams' answers take 0.4 to 60 s, an event up to minutes when it waits for one of them.
_CALL_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
_TRANSITIONS = (
    "claimed", "completed", "retried", "postponed", "failed", "released", "reclaimed", "lease_lost",
)  # fmt: skip
_EVENT_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 900, 3600)


class Metrics:
    def __init__(self) -> None:
        self.registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self.registry)
        prometheus.GCCollector(registry=self.registry)
        ours: dict[str, Any] = {"namespace": "c2s", "registry": self.registry}
        counter: Callable[..., prometheus.Counter] = partial(prometheus.Counter, **ours)
        histogram: Callable[..., prometheus.Histogram] = partial(prometheus.Histogram, **ours)
        self._gauge: Callable[..., prometheus.Gauge] = partial(prometheus.Gauge, **ours)
        ends, calls = {"buckets": _EVENT_SECONDS}, {"buckets": _CALL_SECONDS}
        # fmt: off
        self._events = counter("events", "Events by what happened to them",
                               ("transition", "error_kind"))
        self._outcomes = counter("event_outcomes", "Completed events by outcome", ("outcome",))
        self._event_seconds = histogram(
            "event_duration_seconds", "From the webhook to the event's end", **ends)
        self.wait_seconds = histogram(
            "event_wait_seconds", "From an event being due to its claim", **ends)
        self._step_seconds = histogram(
            "step_duration_seconds", "Steps of an attempt", ("step",), **calls)
        self._call_seconds = histogram(
            "upstream_request_duration_seconds", "Requests to upstreams by how they ended",
            ("upstream", "kind", "result"), **calls)
        self._answers = counter(
            "answers", "Answers about contacts and people: paid for or remembered, found or nobody",
            ("source", "origin", "result"))
        # Proven by `answer` or `read_back`, in doubt (`uncertain`), or a person's (`unclear`).
        self.messages = counter(
            "messages", "Messages by the proof of their delivery, or its lack", ("result",))
        self.conflicts = counter(
            "claim_conflicts", "Claims repeated because two pollers took one lead")
        self.reconnects = counter(
            "listener_reconnects", "Times the LISTEN connection was made again")
        # fmt: on
        for transition in _TRANSITIONS:
            self._events.labels(transition, "")  # so that a rate exists before the first one

    def event(self, transition: str, count: int = 1, error_kind: str | None = None) -> None:
        self._events.labels(transition, error_kind or "").inc(count)

    def attempt(self, steps: Iterable[Mapping[str, object]]) -> None:
        """An attempt ended; `steps` as in `event_attempts`, with `step` and `ms`."""
        for step in steps:
            if isinstance(spent := step["ms"], int | float):
                self._step_seconds.labels(step["step"]).observe(spent / 1000)

    def ended(self, outcome: str | None, seconds: float) -> None:
        """An event was completed, or failed (outcome None), `seconds` after it arrived."""
        self._event_seconds.observe(seconds)
        if outcome is not None:
            self._outcomes.labels(outcome).inc()

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None:
        """A request ended; `result` is "ok" or the name of the error."""
        self._call_seconds.labels(upstream, kind, result).observe(seconds)

    def answer(self, source: str, *, remembered: bool, found: bool) -> None:
        self._answers.labels(
            source, "remembered" if remembered else "call", "found" if found else "nobody"
        ).inc()

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Publishes a number that somebody else keeps; `read` is called at each scrape."""
        self._gauge(name, what).set_function(read)

    def watch_pool(self, read: Callable[[], Mapping[str, int]]) -> None:
        """Publishes a database pool's connections; `read` gives psycopg_pool's statistics."""
        gauge = self._gauge("db_pool_connections", "Connections to the database", ("state",))
        for state, field in (
            ("open", "pool_size"),
            ("idle", "pool_available"),
            ("waited_for", "requests_waiting"),
        ):
            gauge.labels(state).set_function(partial(lambda field: read().get(field, 0), field))

    def describe(self, more: Collector, *, version: str, schema: int) -> None:
        build = self._gauge("build_info", "The running program", ("version", "schema"))
        build.labels(version, str(schema)).set(1)
        self.registry.register(more)

    def exposition(self) -> bytes:
        return prometheus.generate_latest(self.registry)
