"""What one setting is: how it is described, and how its value is read and refused."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

T = TypeVar("T", int, float, timedelta)

# A shorter secret cannot be kept out of the logs: the redactor would mask ordinary words with it.
SECRET_LENGTH = 6
DAY = 86400


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown. `reveal()` is the only way to it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret(empty)"

    __str__ = __repr__


class Option(NamedTuple):
    """One setting as the documents and `config show` describe it."""

    default: str
    why: str
    parse: Callable[[str], Any]
    env: str
    tuning: bool
    field: str = ""
    secret: bool = False


def option(
    default: str, why: str, parse: Callable[[str], object], env: str = "", *, rare: bool = False
) -> Any:
    """A setting that a person must or may well set; the README shows it."""
    return field(metadata={"option": Option(default, why, parse, env, rare)})


# A setting that hardly anybody touches; it stands in docs/settings.md.
tuning = partial(option, rare=True)


def clean(value: str) -> str:
    """Without what a paste leaves at the ends: spaces, line ends, invisible characters."""
    kept = [at for at, each in enumerate(value) if each.isprintable() and not each.isspace()]
    return value[kept[0] : kept[-1] + 1] if kept else ""


def refuse_invisible(value: str) -> None:
    """Raises ValueError on invisible characters inside of a value, as pastes leave them."""
    for at, each in enumerate(value, 1):
        if not each.isprintable():
            name = unicodedata.name(each, f"U+{ord(each):04X}")
            raise ValueError(f"must not hold an invisible character ({name} at position {at})")


def secret(value: str) -> Secret:
    """A secret that we choose."""
    if 0 < len(value) < SECRET_LENGTH:
        raise ValueError(f"must have at least {SECRET_LENGTH} characters")
    return Secret(value)


def dsn(value: str) -> Secret:
    scheme, there, rest = value.partition("://")
    if there and scheme not in ("postgresql", "postgres"):
        got = scheme if re.fullmatch(r"[a-z0-9+.]{1,30}", scheme) else "something else"
        raise ValueError(f"must begin with postgresql://, not with {got}://")
    pair = r"\w+\s*=\s*('(\\.|[^'\\])*'|[^\s']\S*)"
    fine = rest and urlsplit(value) if there else re.fullmatch(rf"{pair}(\s+{pair})*", value)
    if value and not fine:
        raise ValueError("must be a postgresql:// address")
    return Secret(value)


def url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise ValueError("must be an http:// or https:// address")
    return value.rstrip("/")


def secret_url(value: str) -> Secret:
    """An address that is a secret as a whole, as Slack's are."""
    return Secret(url(value))


def number(read: Callable[[str], T], low: T, high: T, sentence: str) -> Callable[[str], T]:
    """Digits, with decimals unless `read` is int."""
    digits = r"[0-9]{1,12}" + ("" if read is int else r"(\.[0-9]{1,6})?")

    def parse(value: str) -> T:
        if not re.fullmatch(digits, value) or not low <= read(value) <= high:
            raise ValueError(f"must be a {sentence}")
        return read(value)

    return parse


def whole(low: int, high: int = 10**9) -> Callable[[str], int]:
    upper = f"from {low} to {high}" if high < 10**9 else f"of at least {low}"
    return number(int, low, high, f"whole number {upper}")


def duration(value: str) -> timedelta:
    return timedelta(seconds=float(value))


factor = number(float, 1e-6, 100 - 1e-6, "number above 0 and below 100")
seconds = number(duration, timedelta.resolution, timedelta(3650), "number of seconds")
seconds_or_none = number(duration, timedelta(), timedelta(3650), "number of seconds, 0 for none")


def flag(value: str) -> bool:
    if value.lower() not in ("1", "true", "yes", "on", "", "0", "false", "no", "off"):
        raise ValueError("must be true or false")
    return value.lower() in ("1", "true", "yes", "on")


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError("must be one of " + ", ".join(allowed))
        return value

    return parse


def names(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if not names or set(names) - set(allowed):
            raise ValueError("must name one or more of " + ", ".join(allowed))
        return names

    return parse


def zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        if available_timezones():
            raise ValueError("must be a time zone such as America/Sao_Paulo") from None
    return value
