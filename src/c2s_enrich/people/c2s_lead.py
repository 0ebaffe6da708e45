"""A lead as C2S tells of it: from a webhook's payload or from GET /leads/{id}; both have the same
content.

C2S documents no shape for its webhook and five were seen, so nothing here trusts a field to be
there or to have its type. What cannot be read is None, and None means unchanged: a partial payload
never clears what was known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

SAO_PAULO = ZoneInfo("America/Sao_Paulo")

# A lead carries an envelope, the lead, its attributes, its customer: deeper nesting is not ours.
_DEEPEST_ENVELOPE = 4
# Longest text kept of a name, phone or e-mail field. Longer ones are pasted essays or attacks; the
# raw payload has them whole.
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class LeadFacts:
    """Raw contact texts as they arrived; None means absent, and absent means unchanged, never
    cleared.

    `phone` may hold several numbers, separated by " / " (C2S has three phone fields). `closed` is
    True where the payload says archived or done. `messages` are the texts and external ids of the
    messages on the lead; ours are recognised by their ref.
    """

    lead_id: str
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    closed: bool = False
    messages: tuple[str, ...] = field(default=(), repr=False)
    seller_id: str | None = None
    seller_name: str | None = field(default=None, repr=False)
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @classmethod
    def from_json(cls, data: object) -> LeadFacts | None:
        """Reads a lead out of decoded JSON in any known envelope. None where no lead id can be
        found; never raises.
        """
        lead = _find_lead(data, _DEEPEST_ENVELOPE)
        if lead is None:
            return None
        inner = lead.get("attributes")
        attributes: Mapping[str, object] = inner if isinstance(inner, dict) else {}
        lead_id = _lead_id(lead)
        if lead_id is None:
            return None
        customer = _first_object(attributes.get("customer"), lead.get("customer")) or {}
        seller = _first_object(attributes.get("seller"), lead.get("seller")) or {}
        # Some senders put the contact on the lead itself; a customer object, where there is one,
        # knows better.
        sources = (customer, attributes, lead)
        return cls(
            lead_id=lead_id,
            name=_first_text(source.get("name") for source in sources),
            phone=_phone_text(sources),
            email=_first_text(source.get("email") for source in sources),
            closed=_is_closed(attributes) or _is_closed(lead),
            messages=tuple(_message_texts(lead.get("messages")))
            + tuple(_message_texts(attributes.get("messages"))),
            seller_id=_text(seller.get("id")),
            seller_name=_text(seller.get("name")),
            created_at=parse_time(attributes.get("created_at", lead.get("created_at"))),
            updated_at=parse_time(attributes.get("updated_at", lead.get("updated_at"))),
        )

    @property
    def has_contact(self) -> bool:
        """Whether there is anything to look a person up by."""
        return self.phone is not None or self.email is not None

    def filled_from(self, earlier: LeadFacts | None) -> LeadFacts:
        """These facts, with what is absent here taken from `earlier`. Being closed and the messages
        are of the moment: not taken.
        """
        if earlier is None:
            return self
        return replace(
            self,
            name=self.name or earlier.name,
            phone=self.phone or earlier.phone,
            email=self.email or earlier.email,
            created_at=self.created_at or earlier.created_at,
            updated_at=self.updated_at or earlier.updated_at,
        )


# "2025-11-20T10:00:00.000-03:00", "2025-11-20 10:00:00.5 +0000", "2025-11-20T13:00:00Z",
# "2025-11-20 10:00"
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,12}))?)?(?:\s*(Z|[+-]\d\d(?::?\d\d)?))?",
    re.ASCII | re.IGNORECASE,
)
# C2S exists since 2012 and nothing orders by a century. The upper bound keeps one absurd time (year
# 9999 was seen as "no date") from making every later event of its lead look old.
_FIRST_YEAR, _LAST_YEAR = 2000, 2099


def parse_time(value: object) -> datetime | None:
    """Reads a time of C2S into UTC; None where it cannot be read or is not between 2000 and 2099.

    Text: ISO 8601 with an offset or Z, with a blank for the T, with any number of decimals; without
    an offset it is São Paulo's wall clock, which is what C2S means. Numbers, also as text: epoch
    seconds (10 digits) or milliseconds (13 digits); other magnitudes are no times. A date without a
    time is refused: it orders nothing.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _from_epoch(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if re.fullmatch(r"\d{10}(\d{3})?(\.\d{1,9})?", text, re.ASCII):
        return _from_epoch(float(text))
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        clock = (int(hour), int(minute), int(second or 0), int((fraction or "0")[:6].ljust(6, "0")))
        wall = datetime(int(year), int(month), int(day), *clock, tzinfo=_offset(zone))
        return _in_range(wall.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _offset(zone: str | None) -> timezone | ZoneInfo:
    if zone is None:
        return SAO_PAULO
    if zone in "Zz":
        return UTC
    digits = zone[1:].replace(":", "").ljust(4, "0")
    if int(digits[2:]) > 59:
        raise ValueError("an offset has at most 59 minutes")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if zone[0] == "-" else offset)


def _from_epoch(number: float) -> datetime | None:
    if not isinstance(number, int) and not math.isfinite(number):
        return None
    if 1_000_000_000 <= number < 10_000_000_000:
        seconds: float = number
    elif 1_000_000_000_000 <= number < 10_000_000_000_000:
        seconds = number / 1000
    else:
        return None
    return _in_range(datetime.fromtimestamp(seconds, UTC))


def _in_range(moment: datetime) -> datetime | None:
    return moment if _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def _find_lead(data: object, depth: int) -> Mapping[str, object] | None:
    """The object that is the lead: innermost first, because an envelope may have an id of its own."""
    if depth < 0:
        return None
    if isinstance(data, list):
        # Several leads at once are for the caller to split: picking one would lose the others
        # silently.
        return _find_lead(data[0], depth - 1) if len(data) == 1 else None
    if not isinstance(data, dict):
        return None
    for wrapper in ("data", "lead"):
        found = _find_lead(data.get(wrapper), depth - 1)
        if found is not None:
            return found
    return data if _lead_id(data) is not None else None


def _lead_id(lead: Mapping[str, object]) -> str | None:
    attributes = lead.get("attributes")
    inner: Mapping[str, object] = attributes if isinstance(attributes, dict) else {}
    return _first_text((lead.get("id"), lead.get("lead_id"), inner.get("id"), inner.get("lead_id")))


def _phone_text(sources: Sequence[Mapping[str, object]]) -> str | None:
    """Every distinct phone text of the first source that has one. `phone_global` comes last: it is
    often `phone` with a plus.
    """
    for source in sources:
        texts = [
            text
            for key in ("phone", "phone2", "phone_global")
            if (text := _text(source.get(key))) is not None
        ]
        if texts:
            return " / ".join(dict.fromkeys(texts))
    return None


def _is_closed(part: Mapping[str, object]) -> bool:
    for details, flag in (("archive_details", "archived"), ("done_details", "done")):
        inner = part.get(details)
        if isinstance(inner, dict) and _says_yes(inner.get(flag)):
            return True
    return False


def _says_yes(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes", "sim")
    return value is True or (isinstance(value, int) and value == 1)


def _message_texts(messages: object) -> Iterator[str]:
    """Every text by which a message can be recognised, whatever its field is called."""
    if not isinstance(messages, list):
        return
    for message in messages:
        if isinstance(message, str):
            yield message
        elif isinstance(message, dict):
            inner = message.get("attributes")
            for part in (message, inner if isinstance(inner, dict) else {}):
                for key in ("body", "message", "external_id"):
                    text = part.get(key)
                    if isinstance(text, str) and text:
                        yield text


def _first_object(*values: object) -> Mapping[str, object] | None:
    for value in values:
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, dict) and value:
            return value
    return None


def _first_text(values: Iterator[object] | Sequence[object]) -> str | None:
    return next((text for value in values if (text := _text(value)) is not None), None)


def _text(value: object) -> str | None:
    """Text or a whole number as trimmed text; None for anything else and for nothing.

    NUL and lone surrogates go: JSON may carry them and Postgres takes neither.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # A number too long to be an id or a phone also exceeds what int → str allows.
        value = str(value) if abs(value) < 10**30 else None
    if not isinstance(value, str):
        return None
    clean = "".join(
        c for c in value[: 4 * _LONGEST_TEXT] if c != "\x00" and not "\ud800" <= c <= "\udfff"
    ).strip()
    return clean[:_LONGEST_TEXT] or None
