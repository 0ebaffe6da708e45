"""The verdict: what the sender was told, what the database holds, what C2S received and what the
sources were asked, compared. Pure: asks nobody.

None of the records is believed more than the others. Refuses to explain anything away: what is not
as it must be is a problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from c2s_enrich.sandbox.drill.lessons import (
    Course,
    Directory,
    contacts_of,
    courses,
    meant_by,
    questions,
    ref_of,
)
from c2s_enrich.sandbox.drill.paid import Asked, Restore, Trouble, bill
from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.stream import Said

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

    @property
    def name(self) -> str:
        return f"lead {self.lead_id} of {self.updated_at:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True)
class OutboxRow:
    """One message of the outbox at the end."""

    lead_id: str
    ref: str
    status: str


@dataclass(frozen=True)
class Records:
    """What was posted (`said`) and answered 200 (`accepted`, and when), what the database holds
    (`rows`, `outbox`), what C2S received by lead in the order of arrival, what the sources
    answered, what trouble was made, what restores forgot, and whom the simulated world knows.
    """

    said: Sequence[Said]
    accepted: Mapping[EventKey, float]
    rows: Sequence[Row]
    outbox: Sequence[OutboxRow]
    received: Mapping[str, Sequence[str]]
    people: Sequence[Person]
    asked: Sequence[Asked] = ()
    troubles: Sequence[Trouble] = ()
    restores: Sequence[Restore] = ()


@dataclass(frozen=True)
class Findings:
    """The counts that have to be zero, and one sentence for each thing that is not as it must be.
    `asked_again` counts paid questions that trouble of ours had cut off.
    """

    accepted: int
    lost: int
    messages_expected: int
    messages_missing: int
    messages_duplicated: int
    messages_wrong: int
    stuck: int
    paid_twice: int
    asked_again: int = 0
    problems: tuple[str, ...] = field(default=(), repr=False)

    @property
    def clean(self) -> bool:
        return not self.problems

    @property
    def counts(self) -> dict[str, float]:
        """Everything but the sentences, by name."""
        return {name: count for name, count in asdict(self).items() if name != "problems"}


def audit(records: Records) -> Findings:
    """Compares the records after everything has had its time to end."""
    directory = Directory(records.people)
    said = [
        event for event in records.said if (event.lead_id, event.updated_at) in records.accepted
    ]
    stories = courses(said, directory)
    lost = _lost(records)
    missing = _missing(records, stories)
    duplicated, wrong = _received(records, stories)
    stuck = _stuck(records)
    needed = questions(records.said, directory)
    paid = bill(records.asked, needed, records.troubles, records.restores)
    return Findings(
        accepted=len(records.accepted),
        lost=len(lost),
        messages_expected=sum(story.must_learn is not None for story in stories.values()),
        messages_missing=len(missing),
        messages_duplicated=len(duplicated),
        messages_wrong=len(wrong),
        stuck=len(stuck),
        paid_twice=len(paid.problems),
        asked_again=paid.excused,
        problems=(*lost, *missing, *duplicated, *wrong, *stuck, *paid.problems),
    )


def _lost(records: Records) -> list[str]:
    """Accepted by a 200 and not in the database; posted again and again and never accepted."""
    missing = records.accepted.keys() - {row.key for row in records.rows} - _made_up_for(records)
    refused = {(said.lead_id, said.updated_at) for said in records.said} - records.accepted.keys()
    return [
        f"lost: lead {lead} of {at:%Y-%m-%d %H:%M:%S} {why}"
        for keys, why in (
            (missing, "was answered 200 and has no row"),
            (refused, "was never answered 200"),
        )
        for lead, at in sorted(keys)
    ]


def _made_up_for(records: Records) -> set[EventKey]:
    """What a restore took and reconciling gave back: the lead has a later row, or the last event
    that it kept said the same.
    """
    said = {(said.lead_id, said.updated_at): contacts_of(said) for said in records.said}
    newest: dict[str, EventKey] = {}
    kept: dict[str, tuple[str, str]] = {}
    for row in sorted(records.rows, key=lambda row: row.updated_at):
        newest[row.lead_id] = row.key
        if row.key in said:
            kept[row.lead_id] = said[row.key]
    return {
        key
        for key, moment in records.accepted.items()
        if any(restore.forgot(moment) for restore in records.restores)
        and (newest.get(key[0], key) > key or kept.get(key[0]) == said[key])
    }


def _missing(records: Records, stories: Mapping[str, Course]) -> list[str]:
    """A seller who has not learnt what the lead's last change of contacts leads to; a message that
    the outbox calls sent and C2S never received.
    """
    found = []
    for lead, story in sorted(stories.items()):
        lesson, received = story.must_learn, records.received.get(lead, ())
        if lesson is not None and not any(lesson.is_taught_by(text) for text in received):
            found.append(f"missing: lead {lead} has no message about its contacts as they are now")
    refs = {(lead, ref_of(text)) for lead, texts in records.received.items() for text in texts}
    return found + [
        f"missing: lead {told.lead_id}, ref {told.ref} is sent for the outbox and unknown to C2S"
        for told in records.outbox
        if told.status == "sent" and (told.lead_id, told.ref) not in refs
    ]


def _received(records: Records, stories: Mapping[str, Course]) -> tuple[list[str], list[str]]:
    """What was taught twice, whatever its ref; and what nothing in the traffic leads to, or comes
    after something newer, or stands for no message of the outbox.
    """
    duplicated: list[str] = []
    wrong: list[str] = []
    refs: set[tuple[str, str | None]] = {(told.lead_id, told.ref) for told in records.outbox}
    refs |= {(lead, ref_of(text)) for each in records.restores for lead, text in each.told}
    for lead, texts in records.received.items():
        lessons = stories[lead].lessons if lead in stories else ()
        taught: list[int] = []
        for text in texts:
            meant = meant_by(text, texts)
            places = [n for n, each in enumerate(lessons) if each and each.is_taught_by(meant)]
            new = [place for place in places if place not in taught]
            if not places:
                wrong.append(f"wrong: lead {lead} has a message about other people than its own")
            elif not new:
                duplicated.append(f"duplicated: lead {lead} was told the same again")
            elif taught and new[-1] < taught[-1]:
                wrong.append(f"wrong: lead {lead} was told something old after something new")
            elif not taught and "🔄" in text.partition("\n")[0]:
                wrong.append(f"wrong: lead {lead} has an update of nothing")
            elif (lead, ref_of(text)) not in refs:
                wrong.append(f"wrong: lead {lead} has a message that the outbox does not know")
            taught += new[:1]
    return duplicated, wrong


def _stuck(records: Records) -> list[str]:
    """Not ended, ended as failed (nothing in the stream deserves it), ended more than once (the
    fence has a hole), or ended by luck.
    """
    return [
        *(f"stuck: {row.name} {why}" for row in records.rows for why in _flaw(row)),
        *(
            f"stuck: lead {told.lead_id}, ref {told.ref} is still {told.status}"
            for told in records.outbox
            if told.status == "sending"
        ),
    ]


def _flaw(row: Row) -> Iterable[str]:
    """The first thing that is wrong with it, if any."""
    if row.status != "completed":
        yield f"is {row.status} {row.error_kind or ''}".rstrip()
    elif row.completions != 1:
        yield f"was completed {row.completions} times"
    elif row.unaccounted:
        yield "was claimed or ended without a trace"
    elif row.bugs:
        yield f"ended only after {row.bugs} bugs of ours"
