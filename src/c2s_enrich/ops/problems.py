"""What is wrong, in sentences with numbers: one function behind /health, `doctor`, the metrics and
the alerts, so that all of them say the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from c2s_enrich.enrichment.people_store import HitRate
from c2s_enrich.ops.store import Facts, LastHour, QueueHealth, Silence, UpstreamHealth
from c2s_enrich.redaction import redact

# An event is claimed within seconds of being due; at a minute nobody is working.
_LATE_SECONDS = 60.0
# A poller beats every few seconds. Without any, a due event may still be one that has just come.
_UNATTENDED_SECONDS = 15.0
# So many webhooks come by chance alone less than once in 400 such hours: e^-6.
_MISSED = 6.0
# Until two earlier weeks are there to compare with.
_BUSINESS_HOURS = 4.0
_ROOM_SHARE = 0.8
_BUDGET_SHARE = 0.8
# One failed event is for whoever looks; this many are worth a call. One lost claim is a restart.
_FAILED_SHARE, _ENOUGH_EVENTS, _CLAIMS_LOST = 0.05, 20, 3


@dataclass(frozen=True)
class Problem:
    """`code` is stable: metrics, alerts and their rules go by it. `detail` may hold an upstream's
    own words: it is for operators only. `command` is what to type. Not `urgent`: no alert.
    """

    code: str
    sentence: str
    command: str = ""
    detail: str = ""
    subject: str = ""
    urgent: bool = True

    @property
    def key(self) -> str:
        """Tells two problems of one code apart."""
        return f"{self.code}:{self.subject}" if self.subject else self.code


def problems_of(facts: Facts) -> list[Problem]:
    """Everything that a person should know of, the worst first."""
    found = [*_of_the_queue(facts.queue)]
    for upstream in facts.upstreams:
        found += _of_an_upstream(upstream)
    found += _of_the_last_hour(facts.hour)
    if facts.silence is not None:
        found += _of_silence(facts.silence)
    found += [_blind(rate) for rate in facts.rates if rate.fell]
    return found


def _of_the_queue(queue: QueueHealth) -> Iterator[Problem]:
    due = queue.oldest_due_seconds or 0.0
    if queue.read_only:
        yield Problem(
            "read_only",
            "The database takes no writes: deliveries get 503 and no event is worked on.",
            "c2s-enrich doctor",
        )
    if not queue.pollers_beating and (queue.pollers_silent or due > _UNATTENDED_SECONDS):
        yield Problem(
            "no_poller",
            f"No poller is running: {queue.waiting} events are stored and nobody works on them.",
            "c2s-enrich poller",
        )
    if due > _LATE_SECONDS:
        yield Problem(
            "backlog_old", f"The oldest due event has waited {due:.0f} s.", "c2s-enrich status"
        )
    if queue.leases_over:
        yield Problem(
            "lease_over",
            f"The lease of {_count(queue.leases_over, 'event')} ended over a minute ago, and no "
            "poller has taken it back.",
            "c2s-enrich pollers",
        )
    if queue.messages_unclear:
        yield Problem(
            "delivery_unclear",
            f"{_count(queue.messages_unclear, 'message')} went out more than ten minutes ago "
            "without a clear answer.",
            "c2s-enrich messages list",
        )
    if queue.rejects_waiting:
        waiting = _count(queue.rejects_waiting, "delivery", "deliveries")
        yield Problem(
            "rejects_waiting", f"{waiting} could not be read and wait.", "c2s-enrich rejects list"
        )


def _of_an_upstream(upstream: UpstreamHealth) -> Iterator[Problem]:
    name, paused, reason = upstream.name, upstream.paused_seconds, upstream.reason or ""
    if paused and reason.startswith("credential refused"):
        yield Problem(
            "credential_refused",
            f"{name} refuses our credential: no calls for another {paused:.0f} s.",
            f"c2s-enrich upstreams resume {name}",
            redact(reason),
            name,
        )
    elif paused:
        yield Problem(
            "upstream_paused",
            f"{name} is paused for another {paused:.0f} s.",
            f"c2s-enrich upstreams resume {name}",
            redact(reason or "no reason given"),
            name,
        )
    share = upstream.calls_today / upstream.daily_budget if upstream.daily_budget else 0.0
    if share >= _BUDGET_SHARE:
        of = f"{upstream.calls_today} of {upstream.daily_budget}"
        yield Problem(
            "budget_spent" if share >= 1 else "budget_low",
            f"{'All' if share >= 1 else 'Most'} of today's calls to {name} are made: {of}.",
            f"c2s-enrich upstreams budget {name}",
            subject=name,
        )


def _of_the_last_hour(hour: LastHour) -> Iterator[Problem]:
    if hour.failed:
        yield Problem(
            "events_failed",
            f"{_count(hour.failed, 'event')} failed in the last hour, of {hour.ended} that ended: "
            f"{hour.failed_kinds}.",
            "c2s-enrich errors",
            urgent=hour.ended >= _ENOUGH_EVENTS and hour.failed > _FAILED_SHARE * hour.ended,
        )
    if hour.claims_lost:
        yield Problem(
            "claims_lost",
            f"Pollers that died or hung lost {_count(hour.claims_lost, 'claim')} in the last hour.",
            "c2s-enrich pollers",
            urgent=hour.claims_lost >= _CLAIMS_LOST,
        )
    if hour.rejects_share >= _ROOM_SHARE:
        yield Problem(
            "rejects_fill_their_room",
            f"Rejected deliveries fill {hour.rejects_share:.0%} of their room. When it is full, "
            "deliveries that cannot be read get 503.",
            "c2s-enrich rejects list",
        )
    if hour.unproven:
        yield Problem(
            "source_unproven",
            "Web pages came where a source says that it knows nobody, in the last hour: "
            f"{hour.unproven}. Those events ended not_found without a proof.",
            "c2s-enrich doctor --online",
        )


def _of_silence(silence: Silence) -> Iterator[Problem]:
    if silence.weeks >= 2:
        silent = (silence.usual or 0.0) >= _MISSED
        usual = f"the same hours of earlier weeks brought {silence.usual:.0f}"
    else:
        silent = silence.business_hours >= _BUSINESS_HOURS
        usual = f"{silence.business_hours:.0f} business hours"
    if silent:
        yield Problem(
            "silence",
            f"No webhook has come for {silence.silent_seconds / 3600:.1f} h ({usual}).",
            "c2s-enrich subscriptions",
        )


def _blind(rate: HitRate) -> Problem:
    before = 100 * rate.earlier_found / rate.earlier
    return Problem(
        "source_blind",
        f"{rate.source} by {rate.kind} found {rate.latest_found} of the last {rate.latest}, "
        f"after {before:.0f} % of the {rate.earlier} before.",
        "c2s-enrich doctor --online",
        subject=f"{rate.source}.{rate.kind}",
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
