"""What is wrong, in sentences with numbers: the same on /health, `doctor`, metrics and alerts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from c2s_enrich.enrichment.people_store import HitRate
from c2s_enrich.ops.causes import sentences
from c2s_enrich.ops.store import Facts, LastHour, LastWebhook, QueueHealth, UpstreamHealth
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
    """Metrics and alerts go by `code`. `detail` may quote an upstream: for operators only. Not
    `urgent`: no alert. `values` make the sentence, in other languages too.
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
    return found + [_blind(rate) for rate in facts.rates if rate.fell]


def _of_the_queue(queue: QueueHealth) -> Iterator[Problem]:
    due = queue.oldest_due_seconds or 0.0
    if queue.read_only:
        yield _problem("read_only")
    if queue.guards_off:
        yield _problem("guards_off", guards=queue.guards_off)
    if not queue.pollers_beating and (queue.pollers_silent or due > _UNATTENDED_SECONDS):
        yield _problem("no_poller", waiting=queue.waiting)
    if due > _LATE_SECONDS:
        yield _problem("backlog_old", due=due)
    if count := queue.leases_over:
        yield _problem("lease_over", count=count, events=_count(count, "event"))
    if count := queue.messages_unclear:
        yield _problem("delivery_unclear", count=count, messages=_count(count, "message"))
    if count := queue.messages_to_look_up:
        messages = _count(count, "message")
        yield _problem("restore_lookups", urgent=False, count=count, messages=messages)
    if queue.read_back_unproven:
        yield _problem("read_back_unproven")
    if count := queue.rejects_waiting:
        yield _problem("rejects_waiting", count=count, waiting=_count(count, "delivery"))


def _of_an_upstream(upstream: UpstreamHealth) -> Iterator[Problem]:
    name, paused, reason = upstream.name, upstream.paused_seconds, upstream.reason or ""
    if paused:
        refused = reason.startswith("credential refused")
        code = "credential_refused" if refused else "upstream_paused"
        detail = redact(reason or "no reason given")
        yield _problem(code, subject=name, detail=detail, name=name, paused=paused)
    if count := upstream.put_off:
        yield _problem(
            "put_off", subject=name, name=name, count=count, events=_count(count, "event")
        )
    calls, budget = upstream.calls_today, upstream.daily_budget
    if budget and calls >= _BUDGET_SHARE * budget:
        code = "budget_spent" if calls >= budget else "budget_low"
        yield _problem(code, subject=name, name=name, calls=calls, budget=budget)


def _of_the_last_hour(hour: LastHour) -> Iterator[Problem]:
    failed, ended, lost = hour.failed, hour.ended, hour.claims_lost
    if failed:
        yield _problem(
            "events_failed",
            urgent=ended >= _ENOUGH_EVENTS and failed > _FAILED_SHARE * ended,
            events=_count(failed, "event"), count=failed, ended=ended, kinds=hour.failed_kinds,
        )  # fmt: skip
    if count := hour.muted:
        events = _count(count, "event")
        yield _problem("errors_muted", urgent=False, events=events, count=count)
    if lost:
        claims = _count(lost, "claim")
        yield _problem("claims_lost", urgent=lost >= _CLAIMS_LOST, claims=claims, count=lost)
    if hour.rejects_share >= _ROOM_SHARE:
        yield _problem("rejects_fill_their_room", share=hour.rejects_share)
    if hour.unproven:
        yield _problem("source_unproven", sources=hour.unproven)


def _of_silence(silence: LastWebhook) -> Iterator[Problem]:
    if silence.weeks >= 2:
        silent, usual = (silence.usual or 0.0) >= _MISSED, silence.usual or 0.0
        why = f"the same hours of earlier weeks brought {usual:.0f}"
    else:
        silent, usual = silence.business_hours >= _BUSINESS_HOURS, silence.business_hours
        why = f"{usual:.0f} business hours"
    if silent:
        yield _problem("silence", hours=silence.silent_seconds / 3600, usual=usual, why=why)


def _blind(rate: HitRate) -> Problem:
    return _problem(
        "source_blind",
        subject=f"{rate.source}.{rate.kind}",
        source=rate.source, kind=rate.kind, found=rate.latest_found, latest=rate.latest,
        before=100 * rate.earlier_found / rate.earlier, earlier=rate.earlier,
    )  # fmt: skip


def _problem(
    code: str, *, subject: str = "", detail: str = "", urgent: bool = True, **values: Any
) -> Problem:
    said = sentences("problems")[code]
    sentence, command = said["says"].format_map(values), said["command"].format_map(values)
    return Problem(code, sentence, f"c2s-enrich {command}", detail, subject, urgent, values)


def _count(number: int, one: str) -> str:
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{number} {one if number == 1 else many}"
