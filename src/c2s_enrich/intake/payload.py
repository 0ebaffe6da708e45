"""Bytes → events. Pure; no exception gets out. Each event keeps the bytes that arrived; only what
makes its key is read here, by the reader that the pipeline uses too.
"""

import re
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Literal

import msgspec
from msgspec import Struct

from c2s_enrich.intake.batch import BLANK, STRING, take_apart
from c2s_enrich.people.c2s_lead import FoundLead, decode_json, find_lead
from c2s_enrich.people.c2s_time import parse_time

# The last two are judged by the database.
Reason = Literal[
    "empty_body", "not_utf8", "not_json", "too_deep", "too_many_events", "empty_array",
    "not_an_object", "id_missing", "id_unreadable", "id_too_long", "updated_at_missing",
    "updated_at_unreadable", "hook_action_too_long", "nul_character", "lone_surrogate",
    "not_storable", "same_key_other_body",
]  # fmt: skip
"""Why a delivery, or one element of it, is kept in `rejected_deliveries`."""

SENTENCES: dict[Reason, str] = {
    "empty_body": "The body is empty.",
    "not_utf8": "The body is not UTF-8 text.",
    "not_json": "The body is not JSON.",
    "too_deep": "It is nested too deeply.",
    "too_many_events": "It holds more events than one delivery may hold.",
    "empty_array": "The array is empty.",
    "not_an_object": "An event must be a JSON object.",
    "id_missing": "The event has no id.",
    "id_unreadable": "The id must be text or a whole number.",
    "id_too_long": "The id is longer than the limit.",
    "updated_at_missing": "The event has no updated_at.",
    "updated_at_unreadable": "updated_at is not a valid timestamp.",
    "hook_action_too_long": "hook_action is longer than the limit.",
    "nul_character": "A text holds a NUL character, which the database does not accept.",
    "lone_surrogate": "A text holds half a surrogate pair, which is not a character.",
    "not_storable": "The database does not accept this JSON: a number may be out of range.",
    "same_key_other_body": "Too many different bodies share this id and updated_at.",
}


class ParsedEvent(Struct, frozen=True):
    """`index` is its place in the array; `payload` is its JSON as it arrived."""

    index: int
    lead_id: str
    updated_at: datetime
    hook_action: str
    payload: bytes


class Rejection(Struct, frozen=True):
    """What to keep of what could not be read. `index` None: the body as a whole."""

    index: int | None
    reason: Reason
    raw: bytes
    lead_id: str | None = None

    @property
    def detail(self) -> str:
        """The reason for a person who has the whole delivery before them."""
        place = "" if self.index is None else f" (element {self.index})"
        return SENTENCES[self.reason] + place


class ParsedDelivery(Struct, frozen=True):
    events: tuple[ParsedEvent, ...] = ()
    rejections: tuple[Rejection, ...] = ()

    @property
    def received(self) -> int:
        """Events that the sender delivered. A body that could not be taken apart counts as one."""
        return len(self.events) + len(self.rejections)


# Leads nest 5 deep; readers give up at 1,000.
_DEPTH = 256
# In characters. C2S's are 32 hex digits; the unique index takes at most some 2,700 bytes.
_ID_LENGTH = 200
ACTION_LENGTH = 100


def read_delivery(body: bytes, fallback_action: str | None, most_events: int) -> ParsedDelivery:
    """Reads every envelope that C2S or its integrators were seen to use, an array of any of them,
    and {"data": [...]}. `fallback_action` is the hook that a header or the query named; a payload
    knows better.
    """
    text = body.removeprefix(_BYTE_ORDER_MARK)
    if not text.strip(BLANK):
        return _whole("empty_body", body)
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return _whole("not_utf8", body)
    batch = take_apart(text)
    if batch is None:
        part = _event(0, text, fallback_action)
        if isinstance(part, ParsedEvent):
            return ParsedDelivery((part,))
        return _whole(part.reason, body, part.lead_id)
    if not batch.elements:
        return _whole("empty_array", body)
    if len(batch.elements) > most_events:
        return _whole("too_many_events", body)
    action = batch.hook_action or fallback_action
    parts = [_event(index, element, action) for index, element in enumerate(batch.elements)]
    return ParsedDelivery(
        tuple(part for part in parts if isinstance(part, ParsedEvent)),
        tuple(part for part in parts if isinstance(part, Rejection)),
    )


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# C2S dates a new lead's first change within the same second or two.
_JUST_CREATED = timedelta(seconds=2)

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)
_STEPS = bytes.maketrans(b"{[}]", b"\x02\x02\x00\x00")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{[}]"))


def _whole(reason: Reason, body: bytes, lead_id: str | None = None) -> ParsedDelivery:
    return ParsedDelivery(rejections=(Rejection(None, reason, body, lead_id),))


def _event(index: int, raw: bytes, fallback_action: str | None) -> ParsedEvent | Rejection:
    try:
        data = decode_json(raw)
    except RecursionError:
        return Rejection(index, "too_deep", raw)
    except msgspec.DecodeError:
        if not any(escape["half"] for escape in _ESCAPE.finditer(raw)):
            return Rejection(index, "not_json", raw)
        # Half pairs become NULs: an id that held one is not taken for another lead's.
        mended = _ESCAPE.sub(lambda escape: b"\\u0000" if escape["half"] else escape[0], raw)
        return Rejection(index, "lone_surrogate", raw, _lead_id_in_spite(mended))
    found = find_lead(data) if isinstance(data, dict) else None
    # Where a parser gives up depends on the Python: the limit is ours.
    too_deep = _is_deeper(raw)
    if found is None:
        return Rejection(index, "too_deep" if too_deep else "not_an_object", raw)
    if too_deep or (b"\\u0000" in raw and _NUL.search(raw)):
        reason: Reason = "too_deep" if too_deep else "nul_character"
        return Rejection(index, reason, raw, _lead_id_in_spite(raw))
    return _read_lead(index, raw, found, fallback_action)


def _read_lead(
    index: int, raw: bytes, found: FoundLead, fallback_action: str | None
) -> ParsedEvent | Rejection:
    lead_id = found.lead_id
    if lead_id is None:
        unreadable = bool(found.ids)
        return Rejection(index, "id_unreadable" if unreadable else "id_missing", raw)
    if len(lead_id) > _ID_LENGTH:
        return Rejection(index, "id_too_long", raw)
    moment = found.first("updated_at")
    if moment in (None, ""):
        return Rejection(index, "updated_at_missing", raw, lead_id)
    updated_at = parse_time(moment)
    if updated_at is None:
        return Rejection(index, "updated_at_unreadable", raw, lead_id)
    action = found.hook_action or fallback_action or _derived_action(found, updated_at)
    if len(action) > ACTION_LENGTH:
        return Rejection(index, "hook_action_too_long", raw, lead_id)
    if "\0" in action:
        # From the envelope around a batch, which is not part of `raw`.
        return Rejection(index, "nul_character", raw, lead_id)
    return ParsedEvent(index, lead_id, updated_at, action, raw)


def _lead_id_in_spite(raw: bytes) -> str | None:
    """Whose event it would be: what belongs to an erased lead must be found here too."""
    try:
        found = find_lead(decode_json(raw))
    except (msgspec.DecodeError, RecursionError):
        return None
    if found is None or any("\0" in part for part in found.ids if isinstance(part, str)):
        return None
    lead_id = found.lead_id
    return lead_id if lead_id is not None and len(lead_id) <= _ID_LENGTH else None


def _derived_action(found: FoundLead, updated_at: datetime) -> str:
    """What C2S would have called it, by its own dates: hooks come in any order."""
    if found.is_closed():
        return "on_close_lead"
    created_at = parse_time(found.first("created_at"))
    if created_at is not None and updated_at - created_at <= _JUST_CREATED:
        return "on_create_lead"
    return "on_update_lead"


def _is_deeper(raw: bytes) -> bool:
    # Nearly every payload has fewer brackets than levels: counting costs a microsecond.
    if raw.count(b"{") + raw.count(b"[") <= _DEPTH:
        return False
    steps = STRING.sub(b"", raw).translate(_STEPS, _NO_BRACKETS)
    return max(accumulate(step - 1 for step in steps), default=0) > _DEPTH
