"""The CPF, Brazil's taxpayer number: 11 digits, the last two of them check digits. Personal data:
masked in every repr.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from validate_docbr import CNPJ as _CNPJ
from validate_docbr import CPF as _CPF

_BARE = re.compile(r"[0-9]{1,14}")
_PUNCTUATED = re.compile(r"[0-9]{3}([.\s/-]{0,2}[0-9]{3}){2}[.\s/-]{0,2}[0-9]{2}")


@dataclass(frozen=True, order=True)
class Cpf:
    """A CPF whose check digits are right. `digits` holds 11 digits and is for upstreams, storage
    and the message only.
    """

    digits: str

    @classmethod
    def parse(cls, value: object) -> Cpf | None:
        """Reads text or a number, punctuated or not. None where the check digits fail or where it
        may be something else.

        Bare digits may have lost leading zeros (a CPF kept as a number): they are put back from 8
        digits on, because three lost zeros are the most that real lists show and shorter numbers
        are other things. Punctuated text must be whole: with nine digits it is an RG, and with
        asterisks it hides digits. Of 14 digits only those that the Work API pads with 000 are a
        CPF; the others are a company's CNPJ, and so is a padded one that is a valid CNPJ of a low
        branch number (00.000.000/0001-91).
        """
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        text = (
            value.strip() if isinstance(value, str) else str(value) if 0 <= value < 10**14 else ""
        )
        if _BARE.fullmatch(text):
            digits = text.zfill(11) if len(text) >= 8 else text
        elif _PUNCTUATED.fullmatch(text):
            digits = re.sub("[^0-9]", "", text)
        else:
            return None
        if (
            len(digits) == 14
            and digits.startswith("000")
            and not (digits[8:10] == "00" and _CNPJ().validate(digits))
        ):
            digits = digits[3:]
        if len(digits) != 11 or len(set(digits)) == 1 or not _CPF().validate(digits):
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
