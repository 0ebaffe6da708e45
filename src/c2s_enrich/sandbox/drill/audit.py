"""The verdict: what the sender was told, what the database holds and what C2S received, compared.
Pure: asks nobody.

None of the three is believed more than the others. Refuses to explain anything away: what is not as
it must be is a problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

EventKey = tuple[str, datetime]
"""A lead and its updated_at: what makes an event the same one."""


@dataclass(frozen=True)
class Row:
    """One event as the database holds it at the end.

    `completions` is how many of its attempts say that they completed it, less those that a reset by
    hand took back; `unaccounted` how often its lease token was raised without a line in the
    history: a claim or an end that somebody else's settlement has swallowed; `bugs` how many of its
    attempts ended in an error that nobody foresaw.
    """

    lead_id: str
    updated_at: datetime
    status: str
    error_kind: str | None = None
    completions: int = 1
    unaccounted: int = 0
    bugs: int = 0

    @property
    def key(self) -> EventKey:
        return self.lead_id, self.updated_at


@dataclass(frozen=True)
class Told:
    """One message of the outbox at the end."""

    lead_id: str
    ref: str
    status: str


@dataclass(frozen=True)
class Records:
    """The three records, and `must_tell`: the leads of whom the world knows that somebody has to be
    told about them.
    """

    accepted: frozenset[EventKey]
    rows: Sequence[Row]
    outbox: Sequence[Told]
    received: Mapping[str, Sequence[str]]
    must_tell: frozenset[str]


@dataclass(frozen=True)
class Findings:
    """The counts that have to be zero, and one sentence for each thing that is not as it must be."""

    accepted: int
    lost: int
    messages_expected: int
    messages_missing: int
    messages_duplicated: int
    stuck: int
    problems: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.problems

    @property
    def counts(self) -> dict[str, float]:
        """Everything but the sentences, by name."""
        return {name: count for name, count in asdict(self).items() if name != "problems"}


def audit(records: Records) -> Findings:
    """Compares the records after everything has had its time to end."""
    lost = _lost(records)
    missing = _missing(records)
    duplicated = _duplicated(records)
    stuck = _stuck(records)
    return Findings(
        accepted=len(records.accepted),
        lost=len(lost),
        messages_expected=len(_to_be_told(records)),
        messages_missing=len(missing),
        messages_duplicated=len(duplicated),
        stuck=len(stuck),
        problems=(*lost, *missing, *duplicated, *stuck),
    )


def _lost(records: Records) -> list[str]:
    """Accepted by a 200 and not in the database."""
    missing = records.accepted - {row.key for row in records.rows}
    return [
        f"lost: lead {lead} of {at:%Y-%m-%d %H:%M:%S} was answered 200 and has no row"
        for lead, at in sorted(missing)
    ]


def _to_be_told(records: Records) -> frozenset[str]:
    return records.must_tell & {lead for lead, _ in records.accepted}


def _missing(records: Records) -> list[str]:
    """A lead that had to be told and was not; a message that the outbox calls sent and C2S never
    received.
    """
    untold = [lead for lead in sorted(_to_be_told(records)) if not records.received.get(lead)]
    return [f"missing: lead {lead} has no message" for lead in untold] + [
        f"missing: lead {told.lead_id}, ref {told.ref} is sent for the outbox and unknown to C2S"
        for told in records.outbox
        if told.status == "sent" and told.lead_id not in untold and not _copies(records, told)
    ]


def _duplicated(records: Records) -> list[str]:
    """The same text or the same ref twice on a lead; a message that no row of the outbox stands
    for.
    """
    found = []
    for lead, bodies in records.received.items():
        found += [
            f"duplicated: lead {lead} has the same text {count} times"
            for count in Counter(bodies).values()
            for _ in range(count - 1)
        ]
    for told in records.outbox:
        different = len(set(_copies(records, told)))
        found += [
            f"duplicated: lead {told.lead_id}, ref {told.ref} stands in {different} texts"
        ] * max(0, different - 1)
    refs: dict[str, list[str]] = {}
    for told in records.outbox:
        refs.setdefault(told.lead_id, []).append(told.ref)
    for lead, bodies in records.received.items():
        strange = [body for body in bodies if not any(ref in body for ref in refs.get(lead, []))]
        found += [
            f"duplicated: lead {lead} has a message that the outbox does not know" for _ in strange
        ]
    return found


def _stuck(records: Records) -> list[str]:
    """Not ended, ended as failed (nothing in the stream deserves it), ended more than once (the
    fence has a hole), or ended by luck.
    """
    found = []
    for row in records.rows:
        if row.status != "completed":
            found.append(
                f"stuck: lead {row.lead_id} of {row.updated_at:%Y-%m-%d %H:%M:%S} is {row.status} {row.error_kind or ''}".rstrip()
            )
        elif row.completions != 1:
            found.append(
                f"stuck: lead {row.lead_id} of {row.updated_at:%Y-%m-%d %H:%M:%S} was completed {row.completions} times"
            )
        elif row.unaccounted:
            found.append(
                f"stuck: lead {row.lead_id} of {row.updated_at:%Y-%m-%d %H:%M:%S} was claimed or ended without a trace"
            )
        elif row.bugs:
            found.append(
                f"stuck: lead {row.lead_id} of {row.updated_at:%Y-%m-%d %H:%M:%S} ended only after {row.bugs} bugs of ours"
            )
    found += [
        f"stuck: lead {told.lead_id}, ref {told.ref} is still {told.status}"
        for told in records.outbox
        if told.status == "sending"
    ]
    return found


def _copies(records: Records, told: Told) -> list[str]:
    return [body for body in records.received.get(told.lead_id, []) if told.ref in body]
