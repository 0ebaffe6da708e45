"""The CPF, Brazil's taxpayer number: 11 digits, the last two of them check digits. Personal data: masked in every repr."""

from __future__ import annotations

from dataclasses import dataclass

from validate_docbr import CPF as _Validator


@dataclass(frozen=True, order=True)
class Cpf:
    """A CPF whose check digits are right. `digits` holds 11 digits and is for upstreams, storage and the message only."""

    digits: str

    @classmethod
    def parse(cls, value: object) -> Cpf | None:
        """Reads text or a number, with or without mask; lost leading zeros are put back. None where the check digits fail.

        A 14-digit value is a CPF only when it starts with 000 (the Work API pads so); any other is a company's CNPJ.
        """
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        digits = "".join(c for c in str(value) if c.isascii() and c.isdigit())
        if len(digits) == 14 and digits.startswith("000"):
            digits = digits[3:]
        if not 8 <= len(digits) <= 11:
            # Three lost zeros are the most that real numbers show; shorter is not a CPF but some other number.
            return None
        digits = digits.zfill(11)
        if len(set(digits)) == 1 or not _Validator().validate(digits):
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
