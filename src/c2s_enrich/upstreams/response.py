"""One answer, and what may be said of it: never a URL, a header or a contact."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from c2s_enrich.errors import Refused, Unauthorised, Unreadable, UpstreamError
from c2s_enrich.upstreams.limits import LONGEST_THROTTLE

# An upstream that says 429 without a readable wait: C2S's own bucket is about one minute long.
DEFAULT_RETRY_AFTER = timedelta(seconds=60)
_PLAIN_REASON = re.compile(r"[^\d@]{1,80}")
_NOT_JSON = object()
_WEB_PAGE = "a web page instead of JSON"


@dataclass(frozen=True)
class Response:
    """One answer, read to its end; `upstream` is there for readers' errors."""

    upstream: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_html(self) -> bool:
        """Whether a web page came: a proxy or a wrong address answered, not the API."""
        says_so = "html" in self.headers.get("content-type", "").lower()
        return says_so or self.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))

    def json(self) -> object:
        """The decoded body (BOM, lone surrogates and NaN pass). Raises Unreadable."""
        answer = self._decoded()
        if answer is _NOT_JSON:
            raise self.unreadable(_WEB_PAGE if self.is_html else "no JSON")
        return answer

    def checked(self) -> object:
        """The decoded body of a 2xx. Raises Unauthorised, Refused, Unreadable."""
        self.check()
        if self.is_html:
            raise self.unreadable(_WEB_PAGE)
        return self.json()

    def check(self, *, forbidden: bool = True) -> None:
        """Raises what a status other than 2xx means: Unauthorised, Refused, or Unreadable. Where
        403 is not about our credential, it is not `forbidden`.
        """
        if self.ok:
            return
        if self.status in (401, 402) or (self.status == 403 and (forbidden or self.is_html)):
            raise self.failure(Unauthorised)
        if self.is_html:
            raise self.unreadable(_WEB_PAGE)
        raise self.failure(Refused)

    def failure(self, kind: type[UpstreamError]) -> UpstreamError:
        """This kind of failure with the status and, where it is a plain sentence, the upstream's
        reason. A digit or an @ could be of a contact or a token that it repeats, a capital inside
        of a name.
        """
        answer = self._decoded()
        for key in ("error", "message", "msg", "reason", "statusMsg"):
            reason = answer.get(key) if isinstance(answer, dict) else None
            if (
                isinstance(reason, str)
                and _PLAIN_REASON.fullmatch(reason)
                and reason.isprintable()
                and reason[1:] == reason[1:].lower()
            ):
                return kind(self.upstream, f"HTTP {self.status}: {reason}")
        return kind(self.upstream, f"HTTP {self.status}")

    def unreadable(self, why: str) -> Unreadable:
        return Unreadable(self.upstream, f"HTTP {self.status} with {why}")

    def _decoded(self) -> object:
        # What is not UTF-8 is Latin-1, whatever the header says: old Brazilian services send it,
        # and real Latin-1 is almost never valid UTF-8.
        try:
            text = self.body.decode(json.detect_encoding(self.body), "surrogatepass")
        except UnicodeDecodeError:
            text = self.body.decode("cp1252", "replace")
        # A value and not the decoder's error, which holds the whole document.
        with suppress(ValueError, RecursionError):
            return json.loads(text)
        return _NOT_JSON


def read_retry_after(value: str | None, date: str | None = None) -> timedelta:
    """How long a Retry-After asks to wait, from 1 s (no hot loop) to 15 min; 60 s where it is
    absent or cannot be read.

    Seconds ("60"), words ("1 minute", which C2S sends), or an HTTP date, measured against the
    answer's own `date`; only without one does our clock count.
    """
    text = (value or "").strip().lower()
    amounts = re.findall(
        r"(\d{1,9}(?:[.,]\d{1,3})?)\s*"
        r"(s|sec|second|seg|segundo|m|min|minute|minuto|h|hour|hora)s?\b",
        text,
        re.ASCII,
    )
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        seconds = float(text)
    elif amounts:
        lengths = {"s": 1, "m": 60, "h": 3600}
        seconds = sum(float(n.replace(",", ".")) * lengths[unit[0]] for n, unit in amounts)
    elif until := _http_date(value):
        seconds = (until - (_http_date(date) or datetime.now(UTC))).total_seconds()
    else:
        return DEFAULT_RETRY_AFTER
    return timedelta(seconds=min(max(seconds, 1.0), LONGEST_THROTTLE.total_seconds()))


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
