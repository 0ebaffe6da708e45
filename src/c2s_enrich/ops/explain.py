"""Why a lead got nothing, or what it got. The view `v_explain` decides an event's cause."""

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from shlex import quote
from typing import Any
from uuid import UUID

from c2s_enrich.database import Pool, Statements
from c2s_enrich.errors import EnrichError
from c2s_enrich.ops.causes import ACTIONS, CAUSES, NAMES, Language, Status, sentences
from c2s_enrich.ops.cells import length
from c2s_enrich.redaction import redact, visible

# A search for a link in a longer text would take seconds.
_LONGEST = 2000
_REF = re.compile(r"[A-Z0-9]{8,16}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LINK = re.compile(r"https?://\S*?/leads?/([0-9A-Za-z_-]+)")


class NotUnderstood(EnrichError):
    """What was asked for is neither a lead, an event, a ref nor a link."""


@dataclass(frozen=True)
class LeadSituation:
    """What the database knows. `event` is its row of `v_explain`, None where no webhook came."""

    lead_id: str | None
    event: dict[str, Any] | None
    now: datetime
    erased_at: datetime | None = None
    reject: dict[str, Any] | None = None
    last_webhook_at: datetime | None = None
    same_cause: int = 0
    ahead: int = 0
    settled_lately: int = 0


@dataclass(frozen=True)
class Action:
    """A command that mends it; it pays for and sends at most so much, nothing twice."""

    command: str
    why: str
    paid_calls: int = 0
    sends: int = 0


@dataclass(frozen=True)
class Happening:
    """One thing that happened to a lead: a delivery, an attempt's end, a message."""

    at: datetime
    what: str
    detail: str
    event_id: UUID | None


@dataclass(frozen=True)
class Explanation:
    """`status` is the exit status: 0 well, 1 a person has to act, 3 not found, 75 goes on by
    itself. `same_cause` counts the others, at most 1,000. `history` only where it was asked for.
    """

    cause: str
    status: Status
    lead_id: str | None
    event_id: str | None
    summary: str
    because: tuple[str, ...]
    next_at: datetime | None
    next: str | None
    same_cause: int
    actions: tuple[Action, ...]
    facts: dict[str, Any] = field(repr=False)
    history: tuple[Happening, ...] = ()


def explain(
    situation: LeadSituation, language: Language = "en", zone: tzinfo | None = None
) -> Explanation:
    """The whole decision, pure. Times in the sentences are in `zone`."""
    facts, cause, now = _facts(situation), _cause(situation), situation.now
    status, actions = CAUSES[cause]
    said = _Words(facts, now, language, zone)
    template, notes = sentences(language)[cause], sentences(language)["notes"]
    first, *says = template["says"]
    next_at = _moment(facts.get("lease_expires_at" if cause == "running" else "available_at"))
    return Explanation(
        cause=cause,
        status=status,
        lead_id=situation.lead_id,
        event_id=facts.get("event_id"),
        # Always a sentence: what is not known is a question mark.
        summary=first.format_map(defaultdict(lambda: "?", said.filled)),
        because=tuple(filter(None, map(said.sentence, [*says, *notes["says"]]))),
        next_at=next_at if status == 75 and next_at and next_at >= now else None,
        next=said.sentence(template.get("next", "")),
        same_cause=max(situation.same_cause - 1, 0),
        actions=tuple(filter(None, map(said.action, actions))),
        facts=facts,
    )


def _cause(situation: LeadSituation) -> str:
    """An unreadable delivery counts for more than an event from before it."""
    event, reject = situation.event or {}, situation.reject or {}
    came, refused = _moment(event.get("received_at")), _moment(reject.get("rejected_at"))
    if came and refused and refused > came:
        return "rejected"
    cause = event.get("cause")
    if cause and cause != "erased":
        return cause if cause in CAUSES else "completed_by_hand"
    if cause or situation.erased_at:
        return "erased"
    return "rejected" if reject else "never_arrived"


def _counted(found: int, more: int = 0) -> int | str:
    """The statement stops counting at 1,000."""
    return f"{found + more}+" if found >= 1000 else found + more


def _facts(situation: LeadSituation) -> dict[str, Any]:
    """What sentences can be made of; what is not known is not in it."""
    row = dict(situation.event or {}) | dict(situation.reject or {})
    noted = row.get("outcome_detail") or {}
    answers, unreadable = noted.get("answers") or (), noted.get("unreadable") or {}
    told, came = _moment(row.get("told_at")), _moment(row.get("received_at"))
    ahead, pace = situation.ahead, situation.settled_lately
    facts = row | {
        "lead_id": situation.lead_id,
        "erased_at": situation.erased_at,
        "last_webhook_at": situation.last_webhook_at,
        "others": _counted(situation.same_cause, -1) if situation.same_cause > 1 else None,
        "ahead": _counted(ahead),
        "minutes": max(1, round(ahead * 5 / pace)) if ahead and pace else None,
        "detail": redact(row.get("detail") or ""),
        "upstream_name": row.get("upstream"),
        "told_after": told - came if told and came else None,
        "answers": answers or None,
        "remembered": len(answers) or None,
        "skipped": ", ".join(noted.get("skipped") or ()),
        "unasked": noted.get("unasked"),
        "unproven": ", ".join(NAMES.get(each, each) for each in noted.get("unproven") or ()),
        "unreadable_rows": unreadable.get("rows"),
        "unreadable_source": NAMES.get(str(unreadable.get("source"))),
    }
    return {name: value for name, value in facts.items() if value not in (None, "")}


class _Words:
    """Fills templates. A sentence or a command whose fact is not known is None."""

    def __init__(
        self, facts: Mapping[str, Any], now: datetime, language: Language, zone: tzinfo | None
    ) -> None:
        self._now, self._zone = now, zone
        self._words = sentences(language)["words"]
        self.filled = {name: self._text(name, value) for name, value in facts.items()}

    def sentence(self, template: str, facts: Mapping[str, str] | None = None) -> str | None:
        try:
            return template.format_map(facts or self.filled) or None
        except KeyError:
            return None

    def action(self, key: str) -> Action | None:
        template, paid_calls, sends = ACTIONS[key]
        # Somebody pastes it into a shell, and a lead's id may be anything.
        quoted = {name: quote(text) for name, text in self.filled.items()}
        command = self.sentence(template, quoted)
        return Action(command, self._words[key], paid_calls, sends) if command else None

    def _text(self, name: str, value: Any) -> str:
        if name == "answers":
            return "; ".join(map(self._answer, value))
        if isinstance(value, timedelta):
            return length(value)
        if name.endswith(("_at", "_since", "_until")) and (moment := _moment(value)):
            return self._clock(moment)
        if isinstance(value, float):
            return f"{value:g}"
        if name == "upstream":
            return str(NAMES.get(value, value))
        return visible(redact(str(value)[:2000]))[:300]

    def _answer(self, answer: Mapping[str, Any]) -> str:
        words, at = self._words, _moment(answer.get("at"))
        template = words["answer_remembered" if answer.get("remembered") else "answer_asked"]
        return str(template).format(
            source=NAMES.get(str(answer.get("source")), "?"),
            kind=words.get(f"by_{answer.get('kind')}", "?"),
            known=words["somebody" if answer.get("found") else "nobody"],
            at=self._clock(at) if at else "?",
        )

    def _clock(self, moment: datetime) -> str:
        local, today = moment.astimezone(self._zone), self._now.astimezone(self._zone).date()
        day = "" if local.date() == today else self._words["day"]
        return local.strftime(f"{day}%H:%M:%S")


def _moment(value: object) -> datetime | None:
    """A time as the database gives it, by itself or within JSON; None of anything else there."""
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return value if isinstance(value, datetime) else None


def read_what(what: str) -> dict[str, Any]:
    """What `situation_of` takes, of an id, a ref or a C2S address, told apart by their shape."""
    text = what.strip()
    if len(text) <= _LONGEST and (link := _LINK.search(text)):
        return {"lead": link[1]}
    if _UUID.fullmatch(text):
        return {"event": UUID(text)}
    if not text or len(text) > 200 or "\0" in text or " " in text:
        raise NotUnderstood("give a lead's id, an event's id, a message's ref or a C2S address")
    return {"lead": text, "ref": text if _REF.fullmatch(text) else None}


async def explained(
    pool: Pool, what: str, language: Language, zone: tzinfo, *, history: bool = False
) -> Explanation:
    said = explain(await situation_of(pool, **read_what(what)), language, zone)
    if not history or not said.lead_id:
        return said
    sql = Statements(pool, "explain", prepare=False)
    return replace(
        said, history=tuple(await sql.read(Happening, "lead_history", lead=said.lead_id))
    )


async def situation_of(
    pool: Pool, *, event: UUID | None = None, lead: str | None = None, ref: str | None = None
) -> LeadSituation:
    """Of the lead that an event, an id or a message's ref leads to."""
    sql = Statements(pool, "explain", prepare=False)
    [found] = await sql.read(LeadSituation, "situation", event=event, lead=lead, ref=ref)
    return found
