"""Where a person can be recognised in a text, however they are written. Linear in its length."""

import re
from collections.abc import Iterable, Iterator
from html import unescape
from urllib.parse import unquote

from c2s_enrich.people.text import visible

# Between two digits of one number: blanks, points, dashes, brackets, such as ") ".
_GAP = "[^0-9A-Za-z]{0,3}"


class Traces:
    """Recognises certain leads, contacts and people in bytes of any kind."""

    def __init__(
        self,
        *,
        lead_ids: Iterable[str] = (),
        contacts: Iterable[str] = (),
        cpfs: Iterable[str] = (),
    ) -> None:
        """`contacts` in their canonical form: +5511987654321, ana@example.com."""
        self._leads = _any(
            f"(?<![0-9a-z]){re.escape(lead_id.lower())}(?![0-9a-z])" for lead_id in lead_ids
        )
        known = [contact.lower() for contact in contacts]
        self._emails = _any(
            f"(?<![\\w.%+-]){re.escape(each)}(?!\\.?[\\w-])" for each in known if "@" in each
        )
        phones = (_phone_forms(each) for each in known if "@" not in each)
        self._numbers = {_without_zeros(cpf) for cpf in cpfs}.union(*phones)

    def name_a_lead(self, raw: bytes) -> bool:
        return any(self._leads.search(text) for text in _readings(raw))

    def name_a_person(self, raw: bytes) -> bool:
        return any(self._emails.search(text) or self._has_a_number(text) for text in _readings(raw))

    def _has_a_number(self, text: str) -> bool:
        """From a gap or behind zeros, to a gap or the end."""
        digits = re.sub("[^0-9]", "", text)
        # Only these: an expression for each of many numbers takes minutes of a text of digits.
        near = [_GAP.join(number) for number in self._numbers if number in digits]
        return bool(near and re.search(f"(?<![0-9])0*(?:{'|'.join(near)})(?![0-9])", text))


def needles(*, contacts: Iterable[str] = (), cpfs: Iterable[str] = ()) -> list[str]:
    """What the letters and digits of a text that names one contain, for the database."""
    found = {_without_zeros(cpf) for cpf in cpfs}
    for contact in contacts:
        squeezed = re.sub("[^0-9a-z]", "", contact.lower())
        found.add(squeezed if "@" in contact else squeezed[-8:])
    return sorted(found)


def _without_zeros(cpf: str) -> str:
    """As a number keeps it; lost zeros are believed from eight digits on, as in `people.cpf`."""
    return cpf[min(len(cpf) - len(cpf.lstrip("0")), len(cpf) - 8) :]


def _phone_forms(e164: str) -> list[str]:
    """With or without the country's 55, and a mobile also without its ninth digit."""
    if not e164.startswith("+55"):
        return [e164[1:]]
    national = e164[3:]
    spoken = [national, national[:2] + national[3:]] if len(national) == 11 else [national]
    return [country + form for form in spoken for country in ("", "55", "550")]


def _any(expressions: Iterable[str]) -> re.Pattern[str]:
    """Matches where any of them does; nothing at all when there are none."""
    return re.compile("|".join(f"(?:{expression})" for expression in expressions) or r"(?!)")


def _readings(raw: bytes) -> Iterator[str]:
    """The text as it stands and as it looks, and as it reads once the escapes of JSON, HTML and
    URLs are resolved; in two bytes a character, too, where there are zeros.
    """
    encodings = ["utf-8", "utf-16-le", "utf-16-be"] if b"\x00" in raw else ["utf-8"]
    for encoding in encodings:
        text = raw.decode(encoding, "replace")
        plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
        for reading in (text, plain.replace("\\/", "/"), unquote(plain), unescape(plain)):
            # A blank around an @ is read over, as it is in a lead's e-mail.
            looks = " ".join(visible(reading).lower().split())
            yield looks.replace(" @", "@").replace("@ ", "@")
