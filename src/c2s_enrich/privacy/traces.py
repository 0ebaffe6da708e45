"""Where a person can be recognised in a text: by a lead's id, a phone, an e-mail or a CPF, however
it is written. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

# Between two digits of one number: blanks, points, dashes, brackets, and their combinations such as
# ") ".
_GAP = "[^0-9A-Za-z]{0,3}"


def written_cpf(digits: str) -> str:
    """An expression for Postgres and Python that finds a CPF punctuated or not, padded with zeros,
    or without its own leading ones.

    Lost zeros are only believed from eight digits on, as everywhere else (`people.cpf`).
    """
    lost = min(len(digits) - len(digits.lstrip("0")), len(digits) - 8)
    return f"(^|[^0-9])(0{_GAP})*{_GAP.join(digits[lost:])}([^0-9]|$)"


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
        phones, emails = _split(contacts)
        self._people = _any(
            [
                *(f"(?<![0-9])(?:0{_GAP})*{_phone(phone)}(?![0-9])" for phone in phones),
                *(f"(?<![\\w.%+-]){re.escape(email)}(?!\\.?[\\w-])" for email in emails),
                *map(written_cpf, cpfs),
            ]
        )

    def name_a_lead(self, raw: bytes) -> bool:
        """Whether one of the lead ids stands in it."""
        return any(self._leads.search(text) for text in _readings(raw))

    def name_a_person(self, raw: bytes) -> bool:
        """Whether one of the contacts or CPFs stands in it."""
        return any(self._people.search(text) for text in _readings(raw))


def _split(contacts: Iterable[str]) -> tuple[list[str], list[str]]:
    known = [contact.lower() for contact in contacts]
    return [each for each in known if "@" not in each], [each for each in known if "@" in each]


def _phone(e164: str) -> str:
    """With or without the country's 55, and a mobile also without its ninth digit."""
    if not e164.startswith("+55"):
        return _GAP.join(e164[1:])
    national = e164[3:]
    ninth = f"(?:9{_GAP})?" if len(national) == 11 else ""
    return (
        f"(?:5{_GAP}5{_GAP}(?:0{_GAP})?)?"
        + _GAP.join(national[:2])
        + _GAP
        + ninth
        + _GAP.join(national[3 if ninth else 2 :])
    )


def _any(expressions: Iterable[str]) -> re.Pattern[str]:
    """Matches where any of them does; nothing at all when there are none."""
    return re.compile("|".join(f"(?:{expression})" for expression in expressions) or r"(?!)")


def _readings(raw: bytes) -> tuple[str, ...]:
    """The text as it stands, and as it reads once JSON's and a URL's escapes are resolved."""
    text = raw.decode("utf-8", "replace").lower()
    unescaped = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text).replace(
        "\\/", "/"
    )
    return (text, unescaped.lower(), unquote(unescaped).lower())
