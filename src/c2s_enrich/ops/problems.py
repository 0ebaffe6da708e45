"""What is wrong, in sentences with numbers: one function behind /health, `doctor`, the metrics and
the alerts, so that all of them say the same. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
    own words: it is for operators only. `command` is what to type. Not `urgent`: no alert. `values`
    are what the sentence is made with, for other languages.
    """

    code: str
    sentence: str
    command: str = ""
    detail: str = ""
    subject: str = ""
    urgent: bool = True
    values: Mapping[str, Any] = field(default_factory=dict, compare=False)

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
        yield _problem(
            "read_only",
            "The database takes no writes: deliveries get 503 and no event is worked on.",
            "c2s-enrich doctor",
        )
    if not queue.pollers_beating and (queue.pollers_silent or due > _UNATTENDED_SECONDS):
        yield _problem(
            "no_poller",
            "No poller is running: {waiting} events are stored and nobody works on them.",
            "c2s-enrich poller",
            waiting=queue.waiting,
        )
    if due > _LATE_SECONDS:
        sentence = "The oldest due event has waited {due:.0f} s."
        yield _problem("backlog_old", sentence, "c2s-enrich status", due=due)
    if queue.leases_over:
        yield _problem(
            "lease_over",
            "The lease of {events} ended over a minute ago, and no poller has taken it back.",
            "c2s-enrich pollers",
            events=_count(queue.leases_over, "event"),
            count=queue.leases_over,
        )
    if queue.messages_unclear:
        yield _problem(
            "delivery_unclear",
            "{messages} went out more than ten minutes ago without a clear answer.",
            "c2s-enrich messages list",
            messages=_count(queue.messages_unclear, "message"),
            count=queue.messages_unclear,
        )
    if queue.messages_to_look_up:
        found = _problem(
            "restore_lookups",
            "{messages} may have been sent before a restore: each is looked up in C2S before it is "
            "sent.",
            "c2s-enrich messages list",
            messages=_count(queue.messages_to_look_up, "message"),
            count=queue.messages_to_look_up,
        )
        yield replace(found, urgent=False)
    if queue.read_back_unproven:
        yield _problem(
            "read_back_unproven",
            "C2S took a message that was then not found on its lead. Until one is found, a person "
            "decides about every unclear delivery.",
            "c2s-enrich messages list",
        )
    if queue.rejects_waiting:
        yield _problem(
            "rejects_waiting",
            "{waiting} could not be read and wait.",
            "c2s-enrich rejects list",
            waiting=_count(queue.rejects_waiting, "delivery", "deliveries"),
            count=queue.rejects_waiting,
        )


def _of_an_upstream(upstream: UpstreamHealth) -> Iterator[Problem]:
    name, paused, reason = upstream.name, upstream.paused_seconds, upstream.reason or ""
    resume = f"c2s-enrich upstreams resume {name}"
    if paused and reason.startswith("credential refused"):
        sentence = "{name} refuses our credential: no calls for another {paused:.0f} s."
        found = _problem("credential_refused", sentence, resume, name=name, paused=paused)
        yield replace(found, detail=redact(reason), subject=name)
    elif paused:
        sentence = "{name} is paused for another {paused:.0f} s."
        found = _problem("upstream_paused", sentence, resume, name=name, paused=paused)
        yield replace(found, detail=redact(reason or "no reason given"), subject=name)
    share = upstream.calls_today / upstream.daily_budget if upstream.daily_budget else 0.0
    if share >= _BUDGET_SHARE:
        found = _problem(
            "budget_spent" if share >= 1 else "budget_low",
            f"{'All' if share >= 1 else 'Most'} of today's calls to {{name}} are made: "
            "{calls} of {budget}.",
            f"c2s-enrich upstreams budget {name}",
            name=name,
            calls=upstream.calls_today,
            budget=upstream.daily_budget,
        )
        yield replace(found, subject=name)


def _of_the_last_hour(hour: LastHour) -> Iterator[Problem]:
    if hour.failed:
        found = _problem(
            "events_failed",
            "{events} failed in the last hour, of {ended} that ended: {kinds}.",
            "c2s-enrich errors",
            events=_count(hour.failed, "event"),
            count=hour.failed,
            ended=hour.ended,
            kinds=hour.failed_kinds,
        )
        many = hour.ended >= _ENOUGH_EVENTS and hour.failed > _FAILED_SHARE * hour.ended
        yield replace(found, urgent=many)
    if hour.claims_lost:
        found = _problem(
            "claims_lost",
            "Pollers that died or hung lost {claims} in the last hour.",
            "c2s-enrich pollers",
            claims=_count(hour.claims_lost, "claim"),
            count=hour.claims_lost,
        )
        yield replace(found, urgent=hour.claims_lost >= _CLAIMS_LOST)
    if hour.rejects_share >= _ROOM_SHARE:
        yield _problem(
            "rejects_fill_their_room",
            "Rejected deliveries fill {share:.0%} of their room. When it is full, deliveries that "
            "cannot be read get 503.",
            "c2s-enrich rejects list",
            share=hour.rejects_share,
        )
    if hour.unproven:
        yield _problem(
            "source_unproven",
            "Web pages came where a source says that it knows nobody, in the last hour: "
            "{sources}. Those events ended not_found without a proof.",
            "c2s-enrich doctor --online",
            sources=hour.unproven,
        )


def _of_silence(silence: Silence) -> Iterator[Problem]:
    if silence.weeks >= 2:
        silent, usual = (silence.usual or 0.0) >= _MISSED, silence.usual or 0.0
        why = "the same hours of earlier weeks brought {usual:.0f}"
    else:
        silent, usual = silence.business_hours >= _BUSINESS_HOURS, silence.business_hours
        why = "{usual:.0f} business hours"
    if silent:
        hours = silence.silent_seconds / 3600
        sentence = "No webhook has come for {hours:.1f} h (" + why + ")."
        yield _problem("silence", sentence, "c2s-enrich subscriptions", hours=hours, usual=usual)


def _blind(rate: HitRate) -> Problem:
    found = _problem(
        "source_blind",
        "{source} by {kind} found {found} of the last {latest}, after {before:.0f} % of the "
        "{earlier} before.",
        "c2s-enrich doctor --online",
        source=rate.source,
        kind=rate.kind,
        found=rate.latest_found,
        latest=rate.latest,
        before=100 * rate.earlier_found / rate.earlier,
        earlier=rate.earlier,
    )
    return replace(found, subject=f"{rate.source}.{rate.kind}")


def _problem(code: str, template: str, command: str, **values: Any) -> Problem:
    return Problem(code, template.format_map(values), command, values=values)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
