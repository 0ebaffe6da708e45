"""Metrics: the numbers of one process for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The numbers of one process, in a registry of its own. Transitions have the same names as in
    the logs and in SQL.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter(
            "c2s_events", "Events by what happened to them", ["transition"], registry=self.registry
        )
        self._calls = Counter(
            "c2s_upstream_calls",
            "Requests to upstreams by how they ended",
            ["upstream", "kind", "result"],
            registry=self.registry,
        )
        self._call_seconds = Histogram(
            "c2s_upstream_seconds",
            "Duration of requests to upstreams",
            ["upstream", "kind"],
            # C2S and Diretrix answer within seconds, the Work API takes up to a minute.
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
            registry=self.registry,
        )
        self._answers = Counter(
            "c2s_answers",
            "Answers about contacts and people: paid for or remembered, found or nobody",
            ["source", "origin", "result"],
            registry=self.registry,
        )
        self._messages = Counter(
            "c2s_messages",
            "Messages by the proof of their delivery, or its lack",
            ["result"],
            registry=self.registry,
        )
        self._conflicts = Counter(
            "c2s_claim_conflicts",
            "Claims repeated because two pollers took one lead",
            registry=self.registry,
        )
        self._reconnects = Counter(
            "c2s_listener_reconnects",
            "Times the LISTEN connection was made anew",
            registry=self.registry,
        )
        for transition in (
            "claimed",
            "completed",
            "retried",
            "postponed",
            "failed",
            "reclaimed",
            "lease_lost",
        ):
            self._events.labels(transition)  # so that a rate exists before the first one happens

    def event(self, transition: str, count: int = 1) -> None:
        """`count` events were claimed, completed, retried, postponed, failed, reclaimed, or lost to
        another poller.
        """
        self._events.labels(transition).inc(count)

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None:
        """A request ended; `result` is "ok" or the name of the error."""
        self._calls.labels(upstream, kind, result).inc()
        self._call_seconds.labels(upstream, kind).observe(seconds)

    def answer(self, source: str, *, remembered: bool, found: bool) -> None:
        """A question about a contact or a person was answered, from memory or by a paid call."""
        self._answers.labels(
            source, "remembered" if remembered else "call", "found" if found else "nobody"
        ).inc()

    def message(self, result: str) -> None:
        """A message was proven delivered (`answer`, `read_back`), is in doubt (`uncertain`), or
        needs a person (`unclear`).
        """
        self._messages.labels(result).inc()

    def claim_conflicts(self, count: int) -> None:
        """`count` claims met another poller on the same lead and were repeated."""
        self._conflicts.inc(count)

    def listener_reconnected(self) -> None:
        """LISTEN is in force again; what was notified meanwhile is found by polling."""
        self._reconnects.inc()

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Publishes a number that somebody else keeps, such as the age of a loop's last turn;
        `read` is called at each scrape.
        """
        Gauge(f"c2s_{name}", what, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self.registry)
