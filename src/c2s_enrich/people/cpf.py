"""The CPF, Brazil's taxpayer number: personal data, masked in every repr."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from validate_docbr import CNPJ as _CNPJ
from validate_docbr import CPF as _CPF

from c2s_enrich.people.text import written

_BARE = re.compile(r"[0-9]{1,14}")
_PUNCTUATED = re.compile(r"[0-9]{3}([.\s/-]{0,2}[0-9]{3}){2}[.\s/-]{0,2}[0-9]{2}")


@dataclass(frozen=True, order=True)
class Cpf:
    """A valid CPF. `digits` are its 11 digits: for upstreams, storage and the message only."""

    digits: str

    @classmethod
    def parse(cls, value: object) -> Cpf | None:
        """Reads text or a number. None where it may be something else (an RG, masked digits)."""
        digits = (written(value) or "").strip()
        if _PUNCTUATED.fullmatch(digits):
            digits = re.sub("[^0-9]", "", digits)
        elif not _BARE.fullmatch(digits):
            return None
        # A CPF kept as a number has lost zeros, three at the most in real lists.
        digits = digits.zfill(11) if len(digits) >= 8 else digits
        # Of 14 digits only those that the Work API pads with 000 are a CPF; the others are a
        # company's CNPJ, and so is a padded one that is a valid CNPJ (00.000.000/0001-91).
        a_company = digits[8:10] == "00" and _CNPJ().validate(digits)
        if len(digits) == 14 and digits.startswith("000") and not a_company:
            digits = digits[3:]
        if len(digits) != 11 or not _CPF().validate(digits):
            return None
        return cls(digits)

    @property
    def formatted(self) -> str:
        """123.456.789-09, for the message."""
        d = self.digits
        return f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"

    @property
    def masked(self) -> str:
        """***.456.789-**, for logs and pages."""
        d = self.digits
        return f"***.{d[3:6]}.{d[6:9]}-**"

    def __repr__(self) -> str:
        return f"Cpf({self.masked})"

    __str__ = __repr__


@dataclass(frozen=True)
class Candidate:
    """A person whom a source suggests for a contact. `name` is its spelling, possibly empty."""

    cpf: Cpf
    name: str = field(repr=False)


Candidates = tuple[Candidate, ...]
"""Whom a source suggests, in its order; empty: it knows nobody, never that it failed."""
