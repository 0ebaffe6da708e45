"""Fields as they really come: any case, any type, sometimes missing. Pure; never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation

from c2s_enrich.people.text import plain, readable

# Lists of 500 phones were seen; reading is bounded.
READ_AT_MOST = 1000


def read_money(value: object) -> Decimal | None:
    """An amount in R$ above zero, rounded to cents: "6089,28", "1.234,56", "1.630", "5000.00", "R$
    12", 6089.28. Else None.

    A point followed by exactly three digits groups thousands, as Brazilians write; a point followed
    by one or two is decimal.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value) if not isinstance(value, int) or abs(value) < 10**12 else ""
    text = re.sub(r"\s", "", text.upper().replace("R$", ""))
    if isinstance(value, float):
        number = text
    elif re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d{1,2})?|\d+,\d{1,2}", text, re.ASCII):
        number = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d{1,3}(,\d{3})+\.\d{1,2}", text, re.ASCII):
        number = text.replace(",", "")
    elif re.fullmatch(r"\d+(\.\d{1,2})?", text, re.ASCII):
        number = text
    else:
        return None
    try:
        amount = Decimal(number)
        # A thousand millions a month is not an income but a field that slipped.
        return (
            amount.quantize(Decimal("0.01"))
            if 0 < amount < 10**9 and amount.quantize(Decimal("0.01"))
            else None
        )
    except InvalidOperation:
        return None


def read_date(value: object) -> date | None:
    """dd/mm/yyyy or yyyy-mm-dd, a time after it ignored, from 1880 to 2100; else None."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := re.match(r"(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)", text, re.ASCII):
        day, month, year = found.groups()
    elif found := re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", text, re.ASCII):
        year, month, day = found.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(day)) if 1880 <= int(year) <= 2100 else None
    except ValueError:
        return None


def rows_of(data: object, section: str) -> Iterator[Mapping[str, object]]:
    """The objects of a list; an object where a list was due is a list of one."""
    value = get(data, section)
    for row in value[:READ_AT_MOST] if isinstance(value, list) else (value,):
        if isinstance(row, dict):
            yield row


def object_of(data: object, name: str) -> Mapping[str, object]:
    value = get(data, name)
    return value if isinstance(value, dict) else {}


def get(data: object, name: str) -> object:
    """A field by its name; other cases were seen and count where the exact name is missing."""
    if not isinstance(data, dict):
        return None
    if name in data:
        return data[name]
    return next(
        (
            value
            for key, value in data.items()
            if isinstance(key, str) and key.lower() == name.lower()
        ),
        None,
    )


def has(row: Mapping[str, object], name: str) -> bool:
    return any(isinstance(key, str) and key.lower() == name.lower() for key in row)


def text_of(data: Mapping[str, object], name: str) -> str | None:
    """A text or whole number as readable text; None for nothing and for empty words."""
    value = get(data, name)
    if isinstance(value, int) and not isinstance(value, bool) and not is_huge(value):
        value = str(value)
    return readable(value) if isinstance(value, str) else None


def is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) >= 10**30


def yes(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = plain(value)
        return (
            True
            if word in ("SIM", "S", "TRUE", "1")
            else False
            if word in ("NAO", "N", "FALSE", "0")
            else None
        )
    return {1: True, 0: False}.get(value) if isinstance(value, int) else None
