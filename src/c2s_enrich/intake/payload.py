"""Bytes → events. Pure: no I/O, and no exception gets out, whatever the bytes are.

Each event keeps the very bytes that arrived; nothing is parsed and written again on the way to the
database. Only the few fields that make the event's key are read here. What the lead is about is for
the poller to find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from c2s_enrich.people.c2s_lead import parse_time

Reason = Literal[
    "empty_body",
    "not_utf8",
    "not_json",
    "too_deep",
    "too_many_events",
    "empty_array",
    "not_an_object",
    "id_missing",
    "id_unreadable",
    "id_too_long",
    "updated_at_missing",
    "updated_at_unreadable",
    "hook_action_too_long",
    "nul_character",
    "lone_surrogate",
    "not_storable",
    "same_key_other_body",
]
"""Why a delivery, or one element of it, is kept in `rejected_deliveries`. The last two are judged
by the database.
"""

SENTENCES: dict[Reason, str] = {
    "empty_body": "The body is empty.",
    "not_utf8": "The body is not UTF-8 text.",
    "not_json": "The body is not JSON.",
    "too_deep": "It is nested deeper than the limit.",
    "too_many_events": "It holds more events than one delivery may.",
    "empty_array": "The array holds no event.",
    "not_an_object": "An event is a JSON object.",
    "id_missing": "The event has no id.",
    "id_unreadable": "The id is neither text nor a whole number.",
    "id_too_long": "The id is longer than the limit.",
    "updated_at_missing": "The event has no updated_at.",
    "updated_at_unreadable": "updated_at is no time that can be read.",
    "hook_action_too_long": "hook_action is longer than the limit.",
    "nul_character": "A text holds a NUL character, which the database does not take.",
    "lone_surrogate": "A text holds half a surrogate pair, which is no character.",
    "not_storable": "The database does not take this JSON, for example because a number is out of its range.",
    "same_key_other_body": "This id and updated_at were stored before with another body; the first one stays.",
}


def sentence(reason: Reason, index: int | None) -> str:
    """The reason for a person who has the whole delivery before them: with the place of the element
    that is meant.
    """
    return SENTENCES[reason] if index is None else f"{SENTENCES[reason]} (element {index})"


class Event(Struct, frozen=True):
    """One event of a delivery. `index` is its place in the array; `payload` is its JSON as it
    arrived.
    """

    index: int
    lead_id: str
    updated_at: datetime
    hook_action: str
    payload: bytes


class Rejection(Struct, frozen=True):
    """What could not be read. `index` is None where the body as a whole is meant; `raw` is what to
    keep of it.
    """

    index: int | None
    reason: Reason
    raw: bytes
    lead_id: str | None = None


class Delivery(Struct, frozen=True):
    """One request's content, every part of it either an event or a rejection."""

    events: tuple[Event, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def received(self) -> int:
        """How many events the sender delivered. A body that could not be taken apart counts as one."""
        return len(self.events) + len(self.rejections)


@dataclass(frozen=True)
class Limits:
    """What one delivery may hold. Lengths in characters, as they arrive.

    depth: leads nest 5 deep; senders with 200 levels of unknown fields were thought of, and a
    reader's default of 1,000 must never be near. id_length: C2S's are 32 hex digits; the unique
    index takes at most some 2,700 bytes.
    """

    events: int = 1000
    depth: int = 256
    id_length: int = 200
    action_length: int = 100


def read_delivery(body: bytes, fallback_action: str | None, limits: Limits) -> Delivery:
    """Reads every envelope that C2S or its integrators were seen to use, an array of any of them,
    and {"data": [...]}.

    `fallback_action` is the hook_action that a header or the query named; a payload that names its
    own knows better.
    """
    if not body.strip():
        return _whole("empty_body", body)
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return _whole("not_utf8", body)
    batch = _batch(body)
    if batch is None:
        part = _event(0, body, fallback_action, limits)
        return (
            Delivery((part,))
            if isinstance(part, Event)
            else _whole(part.reason, body, part.lead_id)
        )
    if not batch.elements:
        return _whole("empty_array", body)
    if len(batch.elements) > limits.events:
        return _whole("too_many_events", body)
    action = batch.hook_action or fallback_action
    parts = [_event(index, element, action, limits) for index, element in enumerate(batch.elements)]
    return Delivery(
        tuple(part for part in parts if isinstance(part, Event)),
        tuple(part for part in parts if isinstance(part, Rejection)),
    )


def _whole(reason: Reason, body: bytes, lead_id: str | None = None) -> Delivery:
    return Delivery(rejections=(Rejection(None, reason, body, lead_id),))


# -- taking a batch apart ------------------------------------------------------------------------------------------------------


class _Batch(Struct):
    """The elements of an array, each as it arrived, and the hook_action of the envelope around it."""

    elements: list[bytes]
    hook_action: str | None = None


def _batch(body: bytes) -> _Batch | None:
    """None: the body is no array and no envelope around one, or it is no JSON at all; both are
    judged as one event.
    """
    try:
        return _take_apart(body)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, RecursionError):
        return _batch_with_unreadable_elements(body)


def _take_apart(body: bytes) -> _Batch | None:
    if body.lstrip(_BLANK).startswith(b"["):
        return _Batch([bytes(element) for element in _ARRAY.decode(body)])
    envelope = _LEAD.decode(body)
    if not _starts(envelope.data, b"["):
        return None
    return _Batch([bytes(element) for element in _ARRAY.decode(envelope.data)], _action(envelope))


def _batch_with_unreadable_elements(body: bytes) -> _Batch | None:
    """Cuts an array at its commas without reading what is between, so that one bad element does not
    take the others with it.

    What is around the elements must still be JSON. None where it is not, or where brackets or
    quotes do not match.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_MARKS:
        return None
    elements: list[bytes] = []
    array_depth = 1 if body.lstrip(_BLANK).startswith(b"[") else 2
    depth, opened_at, begins = 0, -1, 0
    for token in _TOKEN.finditer(body):
        mark = token[0][:1]
        if mark in b"[{":
            depth += 1
            if (
                opened_at < 0
                and depth == array_depth
                and mark == b"["
                and (depth == 1 or _follows_data_key(body, token.start()))
            ):
                opened_at, begins = token.start(), token.end()
        elif mark in b",]}" and opened_at >= 0 and depth == array_depth:
            elements.append(body[begins : token.start()].strip(_BLANK))
            begins = token.end()
            if mark != b",":
                return _batch_around(body[:opened_at] + b"[]" + body[begins:], elements)
        if mark in b"]}":
            depth -= 1
    return None


def _follows_data_key(body: bytes, position: int) -> bool:
    # A key is looked for in the last few bytes only: searching from the start at every bracket
    # would be quadratic.
    return _DATA_KEY.search(body, max(0, position - 64), position) is not None


def _batch_around(frame: bytes, elements: list[bytes]) -> _Batch | None:
    try:
        around = _take_apart(frame)
    except (msgspec.DecodeError, RecursionError):
        return None
    return None if around is None else _Batch(elements, around.hook_action)


# -- one event -----------------------------------------------------------------------------------------------------------------


class _Lead(Struct):
    """The fields that matter here, undecoded: any of them may have any type. Of a key given twice
    the last counts, as in jsonb.
    """

    data: Raw = Raw()
    lead: Raw = Raw()
    attributes: Raw = Raw()
    id: Raw = Raw()
    lead_id: Raw = Raw()
    updated_at: Raw = Raw()
    created_at: Raw = Raw()
    hook_action: Raw = Raw()
    archive_details: Raw = Raw()
    done_details: Raw = Raw()


class _Ending(Struct):
    archived: Raw = Raw()
    done: Raw = Raw()


_BLANK = b" \t\r\n"
_ARRAY = msgspec.json.Decoder(list[Raw])
_LEAD = msgspec.json.Decoder(_Lead)
_ENDING = msgspec.json.Decoder(_Ending)
_TEXT = msgspec.json.Decoder(str)
_ANYTHING = msgspec.json.Decoder()
_UNREAD = msgspec.json.Decoder(Raw)

# Envelopes were seen one deep. Deeper ones are followed as far as the poller follows them.
_DEEPEST_ENVELOPE = 4
# Beyond this a time is no time.
_LONGEST_TIME = 64
# A thousand leads have some 80,000 commas and brackets. Walking over many more of them would take
# Python most of a second.
_MOST_MARKS = 150_000
# C2S dates a new lead's first change within the same second or two.
_JUST_CREATED = timedelta(seconds=2)

_WHOLE_NUMBER = re.compile(rb"(0|-?[1-9][0-9]{0,29})(?:\.0+)?")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
# A string that never ends is taken to the end of the body, and nothing is given back (`*+`):
# looking for its end again from each of its escaped quotes is quadratic, hours for a body of 1 MiB.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_STEPS = bytes.maketrans(b"{[}]", b"\x02\x02\x00\x00")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))
_TOKEN = re.compile(_STRING.pattern + rb"|[\[\]{},]", re.DOTALL)
_DATA_KEY = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\Z')


def _event(
    index: int, raw: bytes, fallback_action: str | None, limits: Limits
) -> Event | Rejection:
    try:
        outer = _LEAD.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        reason = _flaw(raw)
        return Rejection(
            index,
            reason,
            raw,
            _id_in_spite(_mended(raw), limits) if reason == "lone_surrogate" else None,
        )
    if _is_deeper(raw, limits.depth):
        return Rejection(index, "too_deep", raw, _id_in_spite(raw, limits))
    if b"\\u0000" in raw and _NUL.search(raw):
        return Rejection(index, "nul_character", raw, _id_in_spite(raw, limits))
    lead, action = _innermost(outer)
    return _read_lead(index, raw, lead, action or fallback_action, limits)


def _innermost(outer: _Lead) -> tuple[_Lead, str | None]:
    """The lead is the innermost object; the hook's name may stand on any of the envelopes around
    it.
    """
    lead, action = outer, _action(outer)
    for _ in range(_DEEPEST_ENVELOPE):
        inner = lead.data if _starts(lead.data, b"{") else lead.lead
        if not _starts(inner, b"{"):
            break
        lead = _LEAD.decode(inner)
        action = action or _action(lead)
    return lead, action


def _read_lead(
    index: int, raw: bytes, lead: _Lead, action: str | None, limits: Limits
) -> Event | Rejection:
    attributes = _attributes(lead)
    ids = _ids(lead, attributes)
    lead_id = next(filter(None, map(_id, ids)), None)
    if lead_id is None:
        return Rejection(index, "id_unreadable" if ids else "id_missing", raw)
    if len(lead_id) > limits.id_length:
        return Rejection(index, "id_too_long", raw)
    moment = _first_given(attributes.updated_at, lead.updated_at)
    if moment is None:
        return Rejection(index, "updated_at_missing", raw, lead_id)
    updated_at = _time(moment)
    if updated_at is None:
        return Rejection(index, "updated_at_unreadable", raw, lead_id)
    if action is None:
        action = _derived_action(lead, attributes, updated_at)
    if len(action) > limits.action_length:
        return Rejection(index, "hook_action_too_long", raw, lead_id)
    if "\0" in action:
        # From the envelope around a batch, which is no part of `raw`.
        return Rejection(index, "nul_character", raw, lead_id)
    return Event(index, lead_id, updated_at, action, raw)


def _attributes(lead: _Lead) -> _Lead:
    return _LEAD.decode(lead.attributes) if _starts(lead.attributes, b"{") else _Lead()


def _ids(lead: _Lead, attributes: _Lead) -> list[Raw]:
    return [
        part
        for part in (lead.id, lead.lead_id, attributes.id, attributes.lead_id)
        if _is_given(part)
    ]


def _id_in_spite(raw: bytes, limits: Limits) -> str | None:
    """Whose event it would be. Without it nobody could tell that what is kept here belongs to a
    lead that was erased.
    """
    try:
        lead, _ = _innermost(_LEAD.decode(raw))
        found = next(filter(None, map(_id, _ids(lead, _attributes(lead)))), None)
    except (msgspec.DecodeError, RecursionError):
        return None
    return (
        found
        if found is not None and len(found) <= limits.id_length and "\0" not in found
        else None
    )


def _mended(raw: bytes) -> bytes:
    # Half pairs become NULs: JSON that can be read, and an id that held one is not taken for
    # another lead's.
    return _ESCAPE.sub(lambda escape: b"\\u0000" if escape["half"] else escape[0], raw)


def _derived_action(lead: _Lead, attributes: _Lead, updated_at: datetime) -> str:
    """What C2S would have called it. Whether the lead was seen before is not asked: hooks come in
    any order, its own dates do not.
    """
    archived = _ending(_first_given(attributes.archive_details, lead.archive_details)).archived
    done = _ending(_first_given(attributes.done_details, lead.done_details)).done
    if bytes(archived) == b"true" or bytes(done) == b"true":
        return "on_close_lead"
    created = _first_given(attributes.created_at, lead.created_at)
    created_at = None if created is None else _time(created)
    if created_at is not None and updated_at - created_at <= _JUST_CREATED:
        return "on_create_lead"
    return "on_update_lead"


# -- one field: Raw → value, None for what is not there or has another type ----------------------------------------------------


def _starts(raw: Raw, mark: bytes) -> bool:
    return bytes(memoryview(raw)[:1]) == mark


def _is_given(raw: Raw) -> bool:
    return len(memoryview(raw)) > 0 and bytes(raw) not in (b"null", b'""')


def _first_given(*parts: Raw) -> Raw | None:
    return next((part for part in parts if _is_given(part)), None)


def _id(raw: Raw) -> str | None:
    if _starts(raw, b'"'):
        return _TEXT.decode(raw).strip() or None
    number = _WHOLE_NUMBER.fullmatch(raw)
    return number[1].decode() if number else None


def _time(raw: Raw) -> datetime | None:
    if len(memoryview(raw)) > _LONGEST_TIME or _starts(raw, b"{") or _starts(raw, b"["):
        return None
    try:
        return parse_time(_ANYTHING.decode(raw))
    except msgspec.DecodeError:
        # A number that is JSON and too large for a float: 1e400.
        return None


def _action(lead: _Lead) -> str | None:
    return (
        _TEXT.decode(lead.hook_action).strip() or None if _starts(lead.hook_action, b'"') else None
    )


def _ending(raw: Raw | None) -> _Ending:
    return _ENDING.decode(raw) if raw is not None and _starts(raw, b"{") else _Ending()


def _flaw(raw: bytes) -> Reason:
    """Why `raw` could not be read as an object."""
    try:
        _UNREAD.decode(raw)
    except RecursionError:
        return "too_deep"
    except msgspec.DecodeError:
        return (
            "lone_surrogate"
            if any(escape["half"] for escape in _ESCAPE.finditer(raw))
            else "not_json"
        )
    return "not_an_object"


def _is_deeper(raw: bytes, limit: int) -> bool:
    # Nearly every payload has fewer brackets than levels allowed, and counting them costs a
    # microsecond.
    if raw.count(b"{") + raw.count(b"[") <= limit:
        return False
    steps = _STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(step - 1 for step in steps), default=0) > limit
