"""The one reader of C2S's envelope: a lead from a webhook's payload or from GET /leads/{id}.

Five shapes were seen and none is documented: no field is trusted to be there or to have its type.
What cannot be read is None, and None means unchanged: a partial payload clears nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import NamedTuple

import msgspec

from c2s_enrich.people.c2s_time import parse_time
from c2s_enrich.people.text import written

# Envelopes were seen one deep.
_DEEPEST_ENVELOPE = 4
# Longer texts of a field are pasted essays or attacks; the raw payload has them whole.
_LONGEST_TEXT = 500
# Hooks were seen in two vocabularies.
_CLOSING_HOOKS = frozenset(("on_close_lead", "lead.closed"))
_NOTHING: Mapping[str, object] = {}
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)


def decode_json(raw: bytes | str) -> object:
    """Numbers beyond a float are infinity. Raises msgspec.DecodeError, RecursionError."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        _ANY_JSON.decode(raw)
        return json.loads(raw, parse_int=lambda digits: int(digits) if len(digits) < 40 else inf)


def is_closing(hook_action: str | None) -> bool:
    return hook_action in _CLOSING_HOOKS


class FoundLead(NamedTuple):
    """A lead as it stands in a body. Its fields may stand on it or within its attributes."""

    lead: Mapping[str, object]
    attributes: Mapping[str, object]
    hook_action: str | None
    """The name of the hook, from the outermost object that has one."""

    @property
    def ids(self) -> list[object]:
        """Every value that stands where an id may stand, readable or not."""
        places = (self.lead, self.attributes)
        found = [place.get(key) for place in places for key in ("id", "lead_id")]
        return [value for value in found if value is not None and value != ""]

    @property
    def lead_id(self) -> str | None:
        return _first_text(self.ids)

    def first(self, key: str) -> object:
        """The field's value, from the attributes first; null and empty count as absent."""
        value = self.attributes.get(key)
        return value if value not in (None, "") else self.lead.get(key)

    def part(self, key: str) -> Mapping[str, object]:
        """An object of the lead, from the attributes first; a list of one counts."""
        for value in (self.attributes.get(key), self.lead.get(key)):
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(value, dict) and value:
                return value
        return _NOTHING

    def is_whole(self) -> bool:
        """Whether this looks like the lead itself: an id, and something that only a lead has."""
        only_a_leads = self.first("updated_at") or self.attributes or self.lead.get("customer")
        return bool(self.ids and only_a_leads)

    def is_closed(self) -> bool:
        """Whether the hook's name says so, or the lead is archived or done."""
        return is_closing(self.hook_action) or any(
            _says_yes(_object(place.get(details)).get(flag))
            for place in (self.attributes, self.lead)
            for details, flag in (("archive_details", "archived"), ("done_details", "done"))
        )


def find_lead(data: object) -> FoundLead | None:
    """The innermost object that looks like a lead, in any known envelope, which may have an id too.
    None where there is no object. Several leads at once are for the caller to split.
    """
    found = list(_objects(data, None, _DEEPEST_ENVELOPE))
    whole = (lead for lead in found if lead.is_whole())
    named = (lead for lead in found if lead.lead_id is not None)
    return next(whole, None) or next(named, None) or (found[-1] if found else None)


def _objects(data: object, hook_action: str | None, depth: int) -> Iterator[FoundLead]:
    """Every object that may be the lead, innermost first."""
    if isinstance(data, list) and len(data) == 1:
        data, depth = data[0], depth - 1
    if depth < 0 or not isinstance(data, dict):
        return
    named = data.get("hook_action")
    hook_action = hook_action or (named.strip() or None if isinstance(named, str) else None)
    for wrapper in ("data", "lead"):
        if wrapper in data:
            yield from _objects(data[wrapper], hook_action, depth - 1)
    yield FoundLead(data, _object(data.get("attributes")), hook_action)


@dataclass(frozen=True)
class LeadFacts:
    """What we use of a lead. None means absent, and absent means unchanged, never cleared. `phone`
    may hold several numbers, separated by " / "; `messages` are texts and external ids.
    """

    lead_id: str
    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    email: str | None = field(default=None, repr=False)
    closed: bool = False
    messages: tuple[str, ...] = field(default=(), repr=False)
    seller_id: str | None = None
    seller_name: str | None = field(default=None, repr=False)
    updated_at: datetime | None = None

    @classmethod
    def from_json(cls, data: object) -> LeadFacts | None:
        """Reads decoded JSON in any known envelope. None where it has no lead id; never raises."""
        found = find_lead(data)
        if found is None or (lead_id := found.lead_id) is None:
            return None
        lead, attributes, _ = found
        customer, seller = found.part("customer"), found.part("seller")
        # Some senders put the contact on the lead itself; a customer object knows better.
        sources = (customer, attributes, lead)
        return cls(
            lead_id=lead_id,
            name=_first_text(source.get("name") for source in sources),
            phone=_phone_text(sources),
            email=_first_text(source.get("email") for source in sources),
            closed=found.is_closed(),
            messages=(*_message_texts(lead), *_message_texts(attributes)),
            seller_id=_text(seller.get("id")),
            seller_name=_text(seller.get("name")),
            updated_at=parse_time(found.first("updated_at")),
        )

    @property
    def has_contact(self) -> bool:
        return self.phone is not None or self.email is not None

    def filled_from(self, earlier: LeadFacts | None) -> LeadFacts:
        """These facts, with what is absent taken from `earlier`; `closed` and `messages` stay."""
        if earlier is None:
            return self
        return replace(
            self,
            name=self.name or earlier.name,
            phone=self.phone or earlier.phone,
            email=self.email or earlier.email,
            updated_at=self.updated_at or earlier.updated_at,
        )


def _phone_text(sources: Sequence[Mapping[str, object]]) -> str | None:
    """The distinct phone texts of the first source that has one; `phone_global` often repeats."""
    for source in sources:
        values = (source.get(key) for key in ("phone", "phone2", "phone_global"))
        if texts := dict.fromkeys(filter(None, map(_text, values))):
            return " / ".join(texts)
    return None


def _says_yes(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("true", "1", "yes", "sim")
    return value is True or (isinstance(value, int) and value == 1)


def _message_texts(place: Mapping[str, object]) -> Iterator[str]:
    """Every text by which a message can be recognised, whatever its field is called."""
    messages = place.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, str):
            yield message
        outside = _object(message)
        for part in (outside, _object(outside.get("attributes"))):
            texts = (part.get(key) for key in ("body", "message", "external_id"))
            yield from (text for text in texts if isinstance(text, str) and text)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else _NOTHING


def _first_text(values: Iterable[object]) -> str | None:
    return next(filter(None, map(_text, values)), None)


def _text(value: object) -> str | None:
    """Text or a whole number as trimmed text, without what Postgres refuses; else None."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = (written(value) or "")[: 4 * _LONGEST_TEXT]
    return _REFUSED.sub("", text).strip()[:_LONGEST_TEXT] or None


# Postgres takes neither NUL nor half a surrogate pair.
_REFUSED = re.compile("[\x00\ud800-\udfff]")
