"""Times as C2S and its integrators write them, read into UTC."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

SAO_PAULO = ZoneInfo("America/Sao_Paulo")

_CLOCK = r"(?P<clock>(?:[01]\d|2[0-3]):\d\d(?::\d\d(?:[.,]\d{1,12})?)?)"
_ZONE = r"(?:\s*(?P<zone>Z|UTC|GMT|BRT|[+-]\d\d(?::?[0-5]\d)?)(?:\s(?P<offset>[+-]\d\d:[0-5]\d))?)?"
_FORMS = tuple(
    re.compile(date + _CLOCK + _ZONE, re.ASCII | re.IGNORECASE)
    for date in (
        # "2025-11-20T10:00:00.000-03:00", "2025-11-20 13:00:00 UTC", "2025-11-20 10:00"
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ]",
        # "Thu, 20 Nov 2025 13:00:00 GMT", and Rails' "Thu, 20 Nov 2025 10:00:00.000 -03 -03:00"
        r"(?:[a-z]{3},? )?(?P<day>\d{1,2}) (?P<month>[a-z]{3}) (?P<year>\d{4}) ",
        # "20/11/2025 10:00"
        r"(?P<day>\d\d)/(?P<month>\d\d)/(?P<year>\d{4}) ",
    )
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:[0-5]\d)", re.ASCII)
_EPOCH = re.compile(r"\d{10}(\d{3})?(\.\d{1,9})?", re.ASCII)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAMED_ZONES = {"z": UTC, "utc": UTC, "gmt": UTC, "brt": SAO_PAULO}
_LONGEST = 64


def parse_time(value: object) -> datetime | None:
    """Reads a time into UTC. None where it cannot be read or is not between 2000 and 2099.

    Text: ISO 8601, Ruby's and HTTP's spellings, Brazil's day/month/year. Without an offset it is
    São Paulo's wall clock, as C2S means it. Numbers, also as text: epoch seconds (10 digits) or
    milliseconds (13 digits). A date without a time is refused: it orders nothing.
    """
    try:
        moment = _read(value)
    except (ValueError, OverflowError):
        return None
    # C2S exists since 2012, and a wrong century would order a lead's events for good.
    return moment if moment and 2000 <= moment.year <= 2099 else None


def _read(value: object) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_epoch(value)
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    if _PLAIN.fullmatch(value):
        # Nearly every time that C2S writes, at a tenth of the cost.
        return datetime.fromisoformat(value).astimezone(UTC)
    text = value.strip()
    if _EPOCH.fullmatch(text):
        return _from_epoch(float(text))
    found = next(filter(None, (form.fullmatch(text) for form in _FORMS)), None)
    return None if found is None else _wall_clock(found).astimezone(UTC)


def _wall_clock(found: re.Match[str]) -> datetime:
    month = found["month"].lower()
    number = _MONTHS.index(month) + 1 if month.isalpha() else int(month)
    offset = found["offset"] or found["zone"] or "brt"
    zone = _NAMED_ZONES.get(offset.lower())
    date = f"{found['year']}-{number:02}-{int(found['day']):02}"
    moment = datetime.fromisoformat(f"{date}T{found['clock']}{'' if zone else offset}")
    return moment.replace(tzinfo=zone) if zone else moment


def _from_epoch(number: float) -> datetime | None:
    if 10**12 <= number < 10**13:
        number /= 1000
    return datetime.fromtimestamp(number, UTC) if 10**9 <= number < 10**10 else None
