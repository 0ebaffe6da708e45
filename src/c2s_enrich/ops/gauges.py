"""The facts of /health as metrics. Every scraped process tells the same: take their `max`."""

import time
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from c2s_enrich.ops.problems import Problem
from c2s_enrich.ops.store import Facts

Labels = str | tuple[str, ...]


def gauges(facts: Facts | None, problems: Sequence[Problem]) -> Iterator[Metric]:
    """What a scrape shows; `facts` is None while the database does not answer."""
    yield _gauge("database_up", "Whether the database answers", facts is not None)
    yield _by("problem", "What /health says is wrong", ("code", "subject"), {
        (each.code, each.subject): 1.0 for each in problems})  # fmt: skip
    if facts is not None:
        yield from _of(facts)


def _of(facts: Facts) -> Iterator[Metric]:
    queue, hour, upstreams = facts.queue, facts.hour, facts.upstreams
    waiting: dict[Labels, float] = {("received", each.name): each.waiting for each in upstreams}
    others = max(queue.waiting - sum(waiting.values()), 0)
    # fmt: off
    yield _gauge("queue_oldest_due_seconds", "Wait of the oldest due event",
                 queue.oldest_due_seconds or 0.0)
    yield _by("queue_events", "Events in the queue; each count ends at 10,000",
              ("status", "waiting_for"),
              {**waiting, ("received", ""): others, ("processing", ""): queue.in_flight})
    yield _gauge("leases_over", "Events whose lease ended over a minute ago", queue.leases_over)
    yield _by("pollers", "Pollers by their last beat", ("state",), {
        "beating": queue.pollers_beating, "silent": queue.pollers_silent})
    yield _by("outbox_messages", "Messages that are not proven to be delivered", ("status",), {
        "pending": queue.messages_pending, "sending": queue.messages_sending})
    yield _gauge("messages_unclear", "Messages without a clear answer", queue.messages_unclear)
    yield _gauge("messages_to_look_up", "Messages to be looked up after a restore",
                 queue.messages_to_look_up)
    yield _gauge("rejected_deliveries_waiting", "Unreadable deliveries", queue.rejects_waiting)
    yield _gauge("rejected_deliveries_room_ratio", "Part of their room that they fill",
                 hour.rejects_share)
    yield _gauge("database_guards_off", "Whether triggers or keys of ours are off or missing",
                 bool(queue.guards_off))
    yield _gauge("database_read_only", "Whether the database takes no writes", queue.read_only)
    yield _gauge("events_ended_last_hour", "Events that ended within an hour", hour.ended)
    yield _gauge("events_failed_last_hour", "Events that failed within an hour, muted ones apart",
                 hour.failed)
    yield _gauge("events_muted_last_hour", "Events that failed with a muted error", hour.muted)
    yield _gauge("claims_lost_last_hour", "Claims whose poller was lost", hour.claims_lost)
    if facts.silence is not None:
        yield _gauge("intake_last_delivery_timestamp_seconds", "When the last webhook came",
                     time.time() - facts.silence.silent_seconds)
    yield _by("upstream_paused", "Whether an upstream is paused", ("upstream",), {
        each.name: bool(each.paused_seconds) for each in upstreams})
    yield _by("upstream_paused_seconds", "What is left of an upstream's pause", ("upstream",), {
        each.name: each.paused_seconds or 0.0 for each in upstreams})
    yield _by("upstream_put_off", "Events that nobody wakes after its pause", ("upstream",), {
        each.name: each.put_off for each in upstreams})
    yield _by("upstream_budget_calls", "Today's calls", ("upstream",), {
        each.name: each.calls_today for each in upstreams})
    yield _by("upstream_budget_limit", "Calls that a day may have; 0 is no limit", ("upstream",), {
        each.name: each.daily_budget for each in upstreams})
    yield _by("lookup_hit_ratio", "Share of the latest 50 answers that found somebody",
              ("source", "kind"), {
        (each.source, each.kind): each.latest_found / each.latest for each in facts.rates})
    # fmt: on


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(f"c2s_{name}", what, value=float(value))


def _by(name: str, what: str, labels: tuple[str, ...], values: Mapping[Labels, float]) -> Metric:
    family = GaugeMetricFamily(f"c2s_{name}", what, labels=labels)
    for words, value in values.items():
        family.add_metric([words] if isinstance(words, str) else words, float(value))
    return family
