"""What a page is made of, and who asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlencode
from uuid import UUID

from starlette.requests import Request

from c2s_enrich.console.session import Session
from c2s_enrich.console.table import Table
from c2s_enrich.console.words import N_, Words
from c2s_enrich.database import Pool
from c2s_enrich.ops.filters import FilterError, nearest
from c2s_enrich.ops.health import Health
from c2s_enrich.ops.plans import Planner, Runs
from c2s_enrich.ops.rejects import RejectsDesk
from c2s_enrich.redaction import redact
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.limits import Limits

PAGE_ROWS, MOST_ROWS = 50, 1000
LARGEST_FORM = 64 * 1024


class PageRefused(Exception):
    """The page cannot be answered: status, and a sentence that says what to do."""


@dataclass(frozen=True)
class Tools:
    """What pages work with. `reads` has a time limit on each statement; `pool` is for actions."""

    reads: Pool
    pool: Pool
    limits: Limits
    health: Health
    rejects: RejectsDesk
    runs: Runs
    settings: Settings


@dataclass(frozen=True)
class Page:
    """What a handler answers. `data` is the JSON of a page that is more than its `table`."""

    template: str
    title: str
    context: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    data: Any = None
    status: int = 200


@dataclass(frozen=True)
class Onward:
    """What an action answers: where to go, and what is said there."""

    location: str
    sentence: str


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is logged in."""

    request: Request
    tools: Tools
    words: Words
    session: Session

    @property
    def query(self) -> dict[str, str]:
        """The address's words, without empty ones and those that are about the page itself."""
        own = ("after", "limit", "live", "lang")
        given = self.request.query_params.items()
        return {name: value for name, value in given if value and name not in own}

    def only(self, *known: str) -> dict[str, str]:
        """The address's words; raises FilterError on one that this page does not know."""
        for name in self.query:
            if name not in known:
                raise FilterError([f"`{name}` is not a filter{nearest(name, known)}"])
        return self.query

    @property
    def after(self) -> UUID | None:
        """Behind which row the page begins."""
        text = self.request.query_params.get("after", "")
        try:
            return UUID(text) if text else None
        except ValueError:
            raise FilterError(["after is the mark of a page: begin with the first one"]) from None

    @property
    def rows(self) -> int:
        text = self.request.query_params.get("limit", "") or str(PAGE_ROWS)
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_ROWS:
            raise FilterError([f"limit is a whole number from 1 to {MOST_ROWS}"])
        return int(text[:9])

    def say(self, text: str, **values: object) -> str:
        return self.words.gettext(text) % {
            name: self.words.text(value) for name, value in values.items()
        }

    def planner(self) -> Planner:
        return Planner(self.tools.pool, actor=self.session.name, via="console")

    async def audit(self, verb: str, words: dict[str, Any], reason: str | None = None) -> None:
        await self.planner().record(verb, words, reason)


def address(path: str, **words: object) -> str:
    """A path with its query; None and empty values are left out."""
    given = {name: value for name, value in words.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def path_of(request: Request) -> str:
    """The path that was asked for, fit for an address again."""
    return quote(request.url.path)


def lead_address(lead_id: str) -> str:
    """The page of a lead; an id may be anything."""
    return f"/leads/{quote(lead_id, safe='')}"


class Form:
    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self._fields = fields

    def one(self, name: str, default: str = "") -> str:
        return self._fields.get(name, [default])[0].strip()

    def many(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    @property
    def reason(self) -> str:
        """Why somebody does it, for the audit. Raises PageRefused where nothing is said."""
        if not (reason := redact(self.one("because"))[:300]):
            raise PageRefused(422, N_("Say why: a reason is needed."))
        return reason

    @classmethod
    async def read(cls, request: Request) -> Self:
        """Raises PageRefused when it is too large or not a form."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                raise PageRefused(413, N_("This form is too large: at most 64 KiB."))
        try:
            return cls(parse_qs(body.decode(), max_num_fields=2000))
        except ValueError:
            raise PageRefused(422, N_("This is not a form.")) from None
