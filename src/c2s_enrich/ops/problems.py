"""What is wrong, in sentences with numbers: the same on /health, `doctor`, metrics and alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from c2s_enrich.ops.causes import sentences
from c2s_enrich.ops.store import Facts, HitRate, LastHour, LastWebhook, QueueHealth, UpstreamHealth
from c2s_enrich.redaction import redact

# An event is claimed within seconds of being due; at a minute nobody is working.
_LATE_SECONDS = 60.0
# A poller beats every few seconds. Without any, a due event may still be one that has just come.
_UNATTENDED_SECONDS = 15.0
# So many webhooks come by chance alone less than once in 400 such hours: e^-6.
_MISSED = 6.0
# Until two earlier weeks are there to compare with.
_BUSINESS_HOURS = 4.0
_ROOM_SHARE, _BUDGET_SHARE = 0.8, 0.8
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


Row = tuple[str, object, dict[str, Any]]
"""A code, whether that is so, and the values of its sentence, or fields of the Problem."""


def problems_of(facts: Facts) -> list[Problem]:
    """Everything that a person should know of, the worst first."""
    rows = _of_the_queue(facts.queue)
    for upstream in facts.upstreams:
        rows += _of_an_upstream(upstream)
    rows += _of_the_last_hour(facts.hour)
    if facts.silence is not None:
        rows.append(_of_silence(facts.silence))
    rows += map(_of_a_source, facts.rates)
    return [_problem(code, **values) for code, is_so, values in rows if is_so]


def _of_the_queue(queue: QueueHealth) -> list[Row]:
    due = queue.oldest_due_seconds or 0.0
    alone = not queue.pollers_beating and (queue.pollers_silent or due > _UNATTENDED_SECONDS)
    return [
        ("read_only", queue.read_only, {}),
        ("guards_off", queue.guards_off, {"guards": queue.guards_off}),
        ("no_poller", alone, {"waiting": queue.waiting}),
        ("backlog_old", due > _LATE_SECONDS, {"due": due}),
        ("lease_over", queue.leases_over, {"count": queue.leases_over}),
        ("delivery_unclear", queue.messages_unclear, {"count": queue.messages_unclear}),
        ("restore_lookups", queue.messages_to_look_up,
         {"count": queue.messages_to_look_up, "urgent": False}),
        ("read_back_unproven", queue.read_back_unproven, {}),
        ("rejects_waiting", queue.rejects_waiting, {"count": queue.rejects_waiting}),
    ]  # fmt: skip


def _of_an_upstream(upstream: UpstreamHealth) -> list[Row]:
    name, reason = upstream.name, upstream.reason or "no reason given"
    of, calls, budget = {"subject": name, "name": name}, upstream.calls_today, upstream.daily_budget
    refused = reason.startswith("credential refused")
    paused = {"detail": redact(reason), "paused": upstream.paused_seconds}
    return [
        ("credential_refused" if refused else "upstream_paused", upstream.paused_seconds,
         of | paused),
        ("put_off", upstream.put_off, of | {"count": upstream.put_off}),
        ("budget_spent" if calls >= budget else "budget_low",
         budget and calls >= _BUDGET_SHARE * budget, of | {"calls": calls, "budget": budget}),
    ]  # fmt: skip


def _of_the_last_hour(hour: LastHour) -> list[Row]:
    failed, ended, lost = hour.failed, hour.ended, hour.claims_lost
    many = ended >= _ENOUGH_EVENTS and failed > _FAILED_SHARE * ended
    return [
        ("events_failed", failed,
         {"urgent": many, "count": failed, "ended": ended, "kinds": hour.failed_kinds}),
        ("errors_muted", hour.muted, {"urgent": False, "count": hour.muted}),
        ("claims_lost", lost, {"urgent": lost >= _CLAIMS_LOST, "count": lost}),
        ("rejects_fill_their_room", hour.rejects_share >= _ROOM_SHARE,
         {"share": hour.rejects_share}),
        ("source_unproven", hour.unproven, {"sources": hour.unproven}),
    ]  # fmt: skip


def _of_silence(silence: LastWebhook) -> Row:
    usual, most = silence.usual or 0.0, _MISSED
    why = f"the same hours of earlier weeks brought {usual:.0f}"
    if silence.weeks < 2:
        usual, most = silence.business_hours, _BUSINESS_HOURS
        why = f"{usual:.0f} business hours"
    hours = silence.silent_seconds / 3600
    return "silence", usual >= most, {"hours": hours, "usual": usual, "why": why}


def _of_a_source(rate: HitRate) -> Row:
    return "source_blind", rate.fell, {
        "subject": f"{rate.source}.{rate.kind}", "source": rate.source, "kind": rate.kind,
        "found": rate.latest_found, "latest": rate.latest,
        "before": 100 * rate.earlier_found / max(rate.earlier, 1), "earlier": rate.earlier,
    }  # fmt: skip


def _problem(
    code: str, *, subject: str = "", detail: str = "", urgent: bool = True, **values: Any
) -> Problem:
    said = sentences("problems")[code]
    for name, noun in said.get("counts", {}).items():
        values[name] = _count(values["count"], noun)
    sentence, command = said["says"].format_map(values), said["command"].format_map(values)
    return Problem(code, sentence, f"c2s-enrich {command}", detail, subject, urgent, values)


def _count(number: int, one: str) -> str:
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{number} {one if number == 1 else many}"
