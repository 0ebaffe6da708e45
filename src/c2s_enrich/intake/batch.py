"""Takes a batch apart, an array or one under `data`. Pure; no bad element costs the others."""

import re
from contextlib import suppress

import msgspec
from msgspec import Raw, Struct

from c2s_enrich.people.c2s_lead import decode_json, find_lead

BLANK = b" \t\r\n"
# A thousand leads have some 80,000 commas and brackets; many more take Python a second.
_MOST_MARKS = 150_000
# A string that never ends is taken to the end of the body, and nothing is given back (`*+`):
# looking for its end again from each of its escaped quotes is quadratic, hours for a body of 1 MiB.
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_TOKEN = re.compile(STRING.pattern + rb"|[\[\]{},]", re.DOTALL)
_DATA_KEY = re.compile(rb'"data"[ \t\r\n]*:[ \t\r\n]*\Z')


class Batch(Struct):
    """The elements as they arrived, and the name of the hook on the envelope around them."""

    elements: list[bytes]
    hook_action: str | None = None


class _Envelope(Struct):
    """Undecoded: any field may have any type. Of a key given twice the last counts, as in jsonb."""

    data: Raw = Raw()
    hook_action: object = None


_ARRAY = msgspec.json.Decoder(list[Raw])
_ENVELOPE = msgspec.json.Decoder(_Envelope)


def take_apart(body: bytes) -> Batch | None:
    """None where the body is one event, or no JSON at all."""
    try:
        return _read(body)
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, RecursionError):
        return _cut(body)


def _read(body: bytes) -> Batch | None:
    if body.lstrip(BLANK).startswith(b"["):
        return Batch([bytes(element) for element in _ARRAY.decode(body)])
    envelope = _ENVELOPE.decode(body)
    if bytes(memoryview(envelope.data)[:1]) != b"[":
        return None
    elements = [bytes(element) for element in _ARRAY.decode(envelope.data)]
    if _is_whole(body) and not any(map(_is_whole, elements)):
        return None
    name = envelope.hook_action
    return Batch(elements, name.strip() or None if isinstance(name, str) else None)


def _is_whole(raw: bytes) -> bool:
    """Whether this is a lead, its own `data` aside."""
    data = decode_json(raw)
    if not isinstance(data, dict):
        return False
    found = find_lead(data | {"data": None} if isinstance(data.get("data"), list) else data)
    return found is not None and found.is_whole()


def _cut(body: bytes) -> Batch | None:
    """Cuts an array at its commas. None where what is around the elements is not JSON."""
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_MARKS:
        return None
    elements: list[bytes] = []
    array_depth = 1 if body.lstrip(BLANK).startswith(b"[") else 2
    depth, opened_at, begins = 0, -1, 0
    for token in _TOKEN.finditer(body):
        mark = token[0][:1]
        if mark in b"[{":
            depth += 1
            at = token.start()
            # In the last few bytes only: from the start at every bracket would be quadratic.
            if (opened_at < 0 and depth == array_depth and mark == b"[") and (
                depth == 1 or _DATA_KEY.search(body, max(0, at - 64), at)
            ):
                opened_at, begins = at, token.end()
        elif mark in b",]}" and opened_at >= 0 and depth == array_depth:
            elements.append(body[begins : token.start()].strip(BLANK))
            begins = token.end()
            if mark != b",":
                with suppress(msgspec.DecodeError, RecursionError):
                    if around := _read(body[:opened_at] + b"[]" + body[begins:]):
                        return Batch(elements, around.hook_action)
                return None
        if mark in b"]}":
            depth -= 1
    return None
