"""Takes personal data and credentials out of texts for logs and `error_message`.

It removes too much rather than too little. Names cannot be told from words: nobody may log one.
"""

import re
from collections.abc import Collection
from functools import cache, lru_cache
from urllib.parse import quote

from c2s_enrich.errors import EnrichError
from c2s_enrich.people.cpf import Cpf

MASK = "***"

# Long enough for a sentence with its reason, short enough for a row in an operator's terminal.
_ERROR_LENGTH = 500
# What lies beyond is cut from the shortened text anyway.
_READ_LENGTH = 20_000


def visible(text: str, *, keep: str = "") -> str:
    """One line that no terminal obeys: what cannot be seen is escaped, but for `keep`."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """Without CPFs, phones, e-mail addresses, credentials, and each of `secrets`."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, MASK)
    text = text.translate(_WIDE_DIGITS) if not text.isascii() else text
    text = _USERINFO.sub(rf"\1{MASK}@", text) if "@" in text else text
    text = _WEBHOOK_PATH.sub(rf"\1{MASK}", text)
    text = _NAMED.sub(_mask_value, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _DATABASE_VALUES.sub(rf"\1{MASK})", text)
    text = _DATABASE_ROW.sub(rf"\1{MASK}", text)
    text = _EMAIL.sub(rf"{MASK}\1", text)
    text = _ENCODED_EMAIL.sub(rf"{MASK}\1", text)
    text = _without_cpfs(text)
    return _PHONE.sub(lambda match: match[0] if match["kept"] else "[phone]", text)


@cache
def _forms(secret: str) -> frozenset[str]:
    """As it is and as a URL carries it. Remembered: every log line is searched for each."""
    return frozenset((secret, quote(secret, safe="")))


def redact_error(error: BaseException) -> str:
    """One line, at most 500 characters, for a person who looks at a failed event."""
    line = visible(" ".join(redact(_describe(error)[:_READ_LENGTH]).split()))
    return line if len(line) <= _ERROR_LENGTH else line[: _ERROR_LENGTH - 1] + "…"


@lru_cache(maxsize=1024)
def is_sensitive(name: str) -> bool:
    """Whether a value by this name (header, parameter, field) is never to be shown."""
    return _SENSITIVE_NAME.fullmatch(name) is not None


def is_plain(text: str) -> bool:
    """Whether it is nothing but a word, id or time that `redact` leaves alone; far cheaper."""
    return _PLAIN.fullmatch(text) is not None


def _describe(error: BaseException) -> str:
    if isinstance(error, EnrichError):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_describe(each) for each in error.exceptions)
    # Of a database error, told by its shape, the first line: DETAIL and CONTEXT quote rows.
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    text = str(primary or error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# The fencing token of a lease is not a secret, and the word to search the logs for.
_NAME = (
    r"(?!lease_token\b)(?:[\w-]*(?:token|secret|senha|password|passwd|passphrase|pass|pwd"
    r"|api[_-]?key|auth|authorization|authentication|signature|credentials?|cookie)"
    r"|[\w-]*cpf|consulta|documento)"
)
_SENSITIVE_NAME = re.compile(_NAME, re.IGNORECASE)

# name=value, name: value, "name": "value", ('name', 'value'), and JSON within JSON: \"name\":
# \"value\". A value without quotes ends where a URL's parameter or a word ends; the scheme of an
# Authorization header belongs to it.
_NAMED = re.compile(
    rf"""
    (?<![\w-]) ({_NAME} (?: \\*["']? \s* (?:[:=]|%3[AD]) \s* | \\*["'] \s* , \s* ) )
    ( b? (?: " (?:\\.|[^"\\])* " | ' (?:\\.|[^'\\])* ' | \\+" (?:[^"\\]|\\\\)* \\+" )
    | (?: (?:Bearer|Basic|Token|Digest) \s+ )? [^\s&;,"'<>()\[\]{{}}\\]+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+(?=\S*[A-Z0-9=])[\w.~+/=-]{6,}")
# With a password that holds a slash, which a careful sender would have encoded, too. A colon before
# digits and a slash is a port.
# Bounded: each "://" of a long text would look for its @ to the end.
_USERINFO = re.compile(
    r"""(://)(?:[^\s/?#"'<>]{0,250}|[^\s/@:]{1,100}:(?!\d{1,5}[/?])[^\s@"'<>]{0,250})@"""
)
# C2S cannot send headers, so the token may be the last part of the webhook's address.
_WEBHOOK_PATH = re.compile(r"""(/webhooks/c2s/)[^\s?#"'<>]+""", re.IGNORECASE)
# Postgres: `Key (cpf)=(…) already exists`, in whatever language the server speaks.
_DATABASE_VALUES = re.compile(r"(\([^()]+\)=\()[^\n]*\)")
_DATABASE_ROW = re.compile(
    r"(Failing row contains |Registro que falhou contém |parameter \$\d+ = |parâmetro \$\d+ = ).*",
    re.DOTALL,
)

# From the beginning of a word, without giving back: a text without @ is read once.
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]++(@[\w-]+(?:\.[\w-]+)+)")
_ENCODED_EMAIL = re.compile(
    r"(?<![\w.%+-])(?:(?!%40)[\w.%+-])++(%40[\w-]+(?:\.[\w-]+)+)", re.IGNORECASE
)

_WIDE_DIGITS = {ord("０") + digit: str(digit) for digit in range(10)}

# Between the groups of a number: spaces and dashes of all kinds, also in a URL or in JSON.
_GAP = (
    r"(?:[\s.\-/_+\u2010-\u2015\u2212]|\\xa0|\\u00a0|\\u201[0-5]|\\u2212"
    r"|%(?:25)?(?:2[0DEF]|C2%(?:25)?A0|E2%(?:25)?80%(?:25)?9[0-5]|E2%(?:25)?88%(?:25)?92)){0,2}"
)
# A digit in front makes another number, unless it ends an escape: %20, \x20 or \u0020.
_START = (
    r"(?:(?<![0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=%25[0-9A-Fa-f]{2})|(?<=\\x[0-9A-Fa-f]{2})"
    r"|(?<=\\u[0-9A-Fa-f]{4}))"
)
# In a lookahead, so that overlapping candidates are all tried. The Work API pads CPFs with zeros.
_CPF_LIKE = re.compile(
    rf"{_START}(?=(0{{0,9}}([0-9]{{3}}){_GAP}([0-9]{{3}}){_GAP}([0-9]{{3}}){_GAP}([0-9]{{2}}))"
    r"(?![0-9]))",
    re.IGNORECASE,
)

# Ids and times that operators search for; one in a few hundred could be something else.
_KEPT = (
    r"(?<![0-9A-Za-z])(?:(?=[0-9a-f]*[a-f])[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?)(?![0-9A-Za-z])"
)
_KEPT_ONLY = re.compile(_KEPT)
# The shortest thing that is taken for a phone has nine digits.
_PLAIN = re.compile(rf"{_KEPT}|[A-Za-z_-]*(?:[0-9][A-Za-z_-]*){{0,8}}")
_PHONE = re.compile(
    rf"""
    (?P<kept>{_KEPT})
    | (?<![\w.,-])
      (?: (?:\+|%2B|00) [1-9] (?:[\s().-]{{0,2}}[0-9]){{7,14}}
      | (?:55[\s.-]?)? \(?0?[1-9][0-9]\)? [\s.-]{{0,2}}
        (?: 9[\s.]?[0-9]{{4}} | [2-5][0-9]{{3}} | [6-9][0-9]{{3}} ) [\s.-]? [0-9]{{4}}
      | 9[0-9]{{4}}-[0-9]{{4}} )
      (?![0-9])
    """,
    re.VERBOSE,
)


def _mask_value(match: re.Match[str]) -> str:
    name, value = match.groups()
    opening = re.match(r"""b?\\*["']""", value)
    if opening is None:
        return name + MASK
    return name + opening[0] + MASK + opening[0].removeprefix("b")


def _without_cpfs(text: str) -> str:
    kept: list[tuple[int, int]] | None = None
    parts, done = [], 0
    for match in _CPF_LIKE.finditer(text):
        if Cpf.parse("".join(match.groups()[1:])) is None:
            continue
        start, end = match.span(1)
        if kept is None:
            kept = [match.span() for match in reversed(list(_KEPT_ONLY.finditer(text)))]
        while kept and kept[-1][1] < end:
            kept.pop()
        if start >= done and not (kept and kept[-1][0] <= start):
            parts += [text[done:start], "[cpf]"]
            done = end
    return "".join([*parts, text[done:]])
