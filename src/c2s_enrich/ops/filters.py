"""Which events: one filter with the same words everywhere. What is not known is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from uuid import UUID

from c2s_enrich.errors import EnrichError

if TYPE_CHECKING:
    from psycopg.types.json import Jsonb

STATUSES = ("received", "processing", "completed", "failed")
OUTCOMES = (
    "enriched", "partial", "not_found", "unchanged", "superseded", "ignored", "shadow", "erased",
)  # fmt: skip
KINDS = (
    "missing_customer", "lead_not_found", "upstream_unavailable", "upstream_refused",
    "upstream_unreadable", "delivery_unclear", "worker_lost", "bug", "given_up",
)  # fmt: skip
UPSTREAMS = ("c2s", "diretrix", "work_api")
REASONS = (
    "paused", "credential", "budget", "slot", "throttled", "backoff", "read_back", "database",
)  # fmt: skip


class FilterError(EnrichError):
    """A filter that cannot be read. `problems` holds one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def _word(why: str, read: Callable[[str, tzinfo], object], *, choices: Sequence[str] = ()) -> Any:
    return field(default=None, metadata={"why": why, "read": read, "choices": choices})


def _choice(why: str, *allowed: str) -> Any:
    def read(text: str, _: tzinfo) -> str:
        if text not in allowed:
            raise ValueError(f"is not known{nearest(text, allowed)} One of: {', '.join(allowed)}")
        return text

    return _word(why, read, choices=allowed)


def _ids(text: str, _: tzinfo) -> tuple[str, ...]:
    try:
        return tuple(str(UUID(part)) for part in text.split(","))
    except ValueError:
        raise ValueError("is not the id of an event (a UUID)") from None


def _text(text: str, _: tzinfo) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("is empty")
    return text.strip()


def _fingerprint(text: str, _: tzinfo) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}", text):
        raise ValueError("is not a fingerprint of `c2s-enrich errors` (8 hexadecimal digits)")
    return text


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_length(text: str) -> timedelta:
    """`90s`, `30m`, `24h` or `7d`; raises ValueError."""
    given = re.fullmatch(r"(\d{1,5})([smhd])", text, re.ASCII)
    if given is None:
        raise ValueError("is not a length of time; for example 30m, 24h or 7d")
    return timedelta(**{_UNITS[given[2]]: int(given[1])})


def _moment(text: str, zone: tzinfo) -> str:
    """A length of time counts back from the database's clock; a time is in `zone` or its own."""
    if re.fullmatch(r"-\d{1,9} s", text):
        return text  # a filter that was read before
    if re.fullmatch(r"\d+[a-z]", text):
        return f"-{read_length(text).total_seconds():.0f} s"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time; for example 2h, 2026-11-25 or 2026-11-25T14:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def _exact(text: str, _: tzinfo) -> str:
    from c2s_enrich.people.c2s_time import parse_time

    moment = parse_time(text)
    if moment is None:
        raise ValueError("is not a time as C2S writes it")
    return moment.isoformat()


@dataclass(frozen=True)
class Filter:
    """Each field is a word of every surface and a condition of `matching_events`."""

    event: tuple[str, ...] | None = _word("ids of events, separated by commas", _ids)
    lead: str | None = _word("C2S's id of the lead", _text)
    status: str | None = _choice(", ".join(STATUSES), *STATUSES)
    outcome: str | None = _choice("how it completed: " + ", ".join(OUTCOMES), *OUTCOMES)
    kind: str | None = _choice("kind of error, for example upstream_refused", *KINDS)
    upstream: str | None = _choice("the upstream that its error names", *UPSTREAMS)
    waiting: str | None = _choice("the upstream that it waits for", *UPSTREAMS)
    reason: str | None = _choice("why it waits: " + ", ".join(REASONS), *REASONS)
    error: str | None = _word("fingerprint of a group of `errors`", _fingerprint)
    text: str | None = _word("words in its error", _text)
    hook: str | None = _word("C2S's hook, for example on_create_lead", _text)
    updated: str | None = _word("exactly this updated_at", _exact)
    since: str | None = _word("received since: 2h, 7d, 2026-11-25, 2026-11-25T14:00", _moment)
    until: str | None = _word("received before; as --since", _moment)

    def __bool__(self) -> bool:
        return bool(self.words)

    @property
    def words(self) -> dict[str, Any]:
        """What is applied: the audit's and the JSON surfaces' form of this filter."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in given if value is not None}

    @property
    def is_unindexed(self) -> bool:
        """Whether all events may have to be read to find one that matches."""
        few = {"event", "lead", "kind", "upstream", "waiting", "reason", "error", "text"}
        given = set(self.words)
        return self.status in (None, "completed") and bool(
            given & {"outcome", "hook", "updated"} and not given & few
        )

    @property
    def parameter(self) -> Jsonb:
        # Imported here: every `--help` reads this module for the options, and needs no driver.
        from psycopg.types.json import Jsonb

        return Jsonb(self.words)

    @property
    def texts(self) -> dict[str, str]:
        """As `parse_filter` reads it again, and as it stands in an address."""
        return {
            name: ",".join(value) if isinstance(value, tuple) else value
            for name, value in self.words.items()
        }

    @property
    def options(self) -> str:
        """As it is typed after a command."""
        return " ".join(f"--{name} {value}" for name, value in self.texts.items())


WORDS: Mapping[str, str] = {each.name: each.metadata["why"] for each in fields(Filter)}
"""Every word of a filter with its meaning."""
CHOICES: Mapping[str, Sequence[str]] = {
    each.name: choices for each in fields(Filter) if (choices := each.metadata["choices"])
}
"""What a person picks from; the other words are typed."""


def parse_filter(given: Mapping[str, str], zone: tzinfo) -> Filter:
    """Reads a person's or a program's words. Raises FilterError with all problems at once."""
    readers = {each.name: each.metadata["read"] for each in fields(Filter)}
    values, problems = {}, []
    for name, text in given.items():
        if name not in readers:
            problems.append(_unknown(name, readers))
            continue
        try:
            values[name] = readers[name](text, zone)
        except ValueError as error:
            problems.append(f"{name} `{text}` {error}")
    if problems:
        raise FilterError(problems)
    return Filter(**values)


PAGING = {"limit": "at most this many, up to 1000", "after": "the last id of the page before"}
"""The words of every list that has pages."""


@dataclass(frozen=True)
class Paging:
    """At most `limit` rows, from behind the one `after`."""

    limit: int
    after: UUID | None


def parse_paging(given: Mapping[str, str]) -> Paging:
    """Raises FilterError."""
    limit, after = given.get("limit") or "50", given.get("after")
    if not re.fullmatch(r"\d{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= 1000:
        raise FilterError(["limit is a whole number from 1 to 1000"])
    try:
        return Paging(int(limit), UUID(after) if after else None)
    except ValueError:
        raise FilterError(["after is the mark of a page: begin with the first one"]) from None


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises FilterError on words that are not known."""
    if problems := [_unknown(name, known) for name in given if name not in known]:
        raise FilterError(problems)


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"`{name}` is not a filter{nearest(name, known)}"


def nearest(given: str, known: Iterable[str]) -> str:
    """`: did you mean …?`, or nothing where no known word is near."""
    found = difflib.get_close_matches(given, list(known), n=1)
    return f": did you mean `{found[0]}`?" if found else "."
