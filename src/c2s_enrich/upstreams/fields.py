"""Fields as they really come: any case, any type, sometimes missing. Pure; never raises."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from c2s_enrich.people.text import plain, readable, written

# Lists of 500 phones were seen; reading is bounded.
READ_AT_MOST = 1000


def read_money(value: object) -> Decimal | None:
    """An amount in R$ above zero, rounded to cents: "6089,28", "1.234,56", "R$ 12", 6089.28. A
    point before exactly three digits groups thousands, before one or two it is decimal.
    """
    if isinstance(value, float):
        number = str(value)
    else:
        number = re.sub(r"\s", "", (written(value) or "").upper().replace("R$", ""))
        if re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d{1,2})?|\d+,\d{1,2}", number, re.ASCII):
            number = number.replace(".", "").replace(",", ".")
        elif re.fullmatch(r"\d{1,3}(,\d{3})+\.\d{1,2}", number, re.ASCII):
            number = number.replace(",", "")
        elif not re.fullmatch(r"\d+(\.\d{1,2})?", number, re.ASCII):
            return None
    amount = Decimal(number)
    # A thousand millions a month is not an income but a field that slipped. (NaN is neither.)
    if not (amount.is_finite() and 0 < amount < 10**9):
        return None
    return amount.quantize(Decimal("0.01")) or None


def read_date(value: object) -> date | None:
    """dd/mm/yyyy or yyyy-mm-dd, a time after it ignored, from 1880 to 2100; else None."""
    text = value.strip() if isinstance(value, str) else ""
    if found := re.match(r"(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)", text, re.ASCII):
        day, month, year = map(int, found.groups())
    elif found := re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", text, re.ASCII):
        year, month, day = map(int, found.groups())
    else:
        return None
    try:
        return date(year, month, day) if 1880 <= year <= 2100 else None
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
    wanted, length = name.lower(), len(name)
    for key in data:
        # Most keys differ in length: nothing has to be made of them.
        if isinstance(key, str) and len(key) == length and key.lower() == wanted:
            return data[key]
    return None


def text_of(data: object, *names: str) -> str | None:
    """The first of these that is a text or a whole number and says something, readable."""
    for name in names:
        if (text := readable(written(get(data, name)) or "")) is not None:
            return text
    return None


def yes(value: object) -> bool | None:
    word = plain(str(value) if isinstance(value, bool) else written(value) or "")
    return word in ("SIM", "S", "TRUE", "1") or (False if word in _NO else None)


_NO = ("NAO", "N", "FALSE", "0")
