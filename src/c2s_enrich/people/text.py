"""Text from outside, made fit to be compared (`plain`) or to be shown (`readable`)."""

import re
import unicodedata

# What the sources write where they know nothing, alone or between punctuation.
_GAP = "[^0-9A-Z]"
_NOTHING = re.compile(
    rf"{_GAP}*(?:SEM{_GAP}+INFORMAC(?:AO|OES)|NAO{_GAP}+INFORMAD[OA]|NAO{_GAP}+CONSTA"
    rf"|NULL|NONE|NAN|UNDEFINED|N{_GAP}+A)?{_GAP}*",
    re.ASCII | re.IGNORECASE,
)


def written(value: object) -> str | None:
    """A text as it is, or a whole number as text."""
    # A longer one is neither an id nor a phone, and exceeds what int → str allows.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    return value if isinstance(value, str) else None


def plain(text: str) -> str:
    """Upper-case letters and digits, no accents, single blanks: for comparing, not for showing."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.findall(r"[0-9A-Z]+", text.upper()))


def visible(text: str) -> str:
    """The text as it looks: wide letters and digits as plain ones, no invisible characters."""
    return _shown(unicodedata.normalize("NFKC", text))


def _shown(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c.isspace() or not unicodedata.category(c).startswith("C"))


def readable(text: str, *, longest: int = 120) -> str | None:
    """One line of at most `longest` characters; None where it says nothing ("SEM INFORMAÇÃO").

    Control characters, lone surrogates and marks that turn the reading direction go: with them a
    name can pose as another line of the message.
    """
    line = " ".join(_shown(text[: 8 * longest]).split())[:longest].rstrip()
    # Letters of other scripts leave `plain` empty: those are kept, bare punctuation is not.
    if not _NOTHING.fullmatch(line if line.isascii() else plain(line)):
        return line
    return line if any(c.isalpha() and c > "\u024f" for c in line) else None
