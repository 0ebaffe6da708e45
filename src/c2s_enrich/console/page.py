"""What a page is made of, and who asks for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, quote, urlencode

from starlette.requests import Request

from c2s_enrich.console.words import Words
from c2s_enrich.database import Pool, Statements
from c2s_enrich.ops.cells import cell
from c2s_enrich.ops.filters import PAGING, Paging, parse_paging, refuse_unknown
from c2s_enrich.ops.health import Health
from c2s_enrich.ops.plans import Planner, Runs
from c2s_enrich.ops.rejects import RejectsDesk
from c2s_enrich.ops.surface import N_, Refusal, read_body
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.limits import Limits

Role = Literal["operator", "viewer"]


@dataclass(frozen=True)
class Session:
    """A person's login. `name` goes into the audit."""

    role: Role
    name: str

    @property
    def may_act(self) -> bool:
        return self.role == "operator"


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
class Table:
    """Rows, and what JSON, CSV and HTML have of each, in this order; the template titles them.
    `after` is the mark of the next page.
    """

    rows: Sequence[Any]
    keys: Sequence[str]
    after: str | None = None

    def plain(self) -> list[dict[str, Any]]:
        """As JSON has it: codes stay codes, times are ISO."""
        return [{key: cell(row, key) for key in self.keys} for row in self.rows]


@dataclass(frozen=True)
class Page:
    """What a handler answers. `data` is the JSON of a page that is more than its `table`."""

    template: str
    context: Mapping[str, Any] = field(default_factory=dict)
    table: Table | None = None
    data: Any = None
    status: int = 200


@dataclass(frozen=True)
class Onward:
    """What an action answers: where to go, and what is said there."""

    location: str
    sentence: str = ""


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is logged in. `form` holds the fields of a POST."""

    request: Request
    tools: Tools
    words: Words
    session: Session
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """The address's words, without empty ones and those that are about the page itself."""
        own = (*PAGING, "live", "lang")
        given = self.request.query_params.items()
        return {name: value for name, value in given if value and name not in own}

    def only(self, *known: str) -> dict[str, str]:
        """The address's words; raises FilterError on one that this page does not know."""
        refuse_unknown(self.query, known)
        return self.query

    @property
    def paging(self) -> Paging:
        return parse_paging(self.request.query_params)

    def table(self, rows: Sequence[Any], keys: Sequence[str], mark: str = "id") -> Table:
        """One page of a list; `mark` is what the address of the next page names of the last row."""
        full = len(rows) == self.paging.limit
        return Table(rows, keys, str(cell(rows[-1], mark)) if full else None)

    def part(self, name: str) -> Any:
        """What the address has in the place of its route's `{name}`."""
        return self.request.path_params[name]

    @property
    def verb(self) -> str:
        """The last word of an action's address."""
        return self.request.url.path.rpartition("/")[2]

    def field(self, name: str) -> str:
        return self.form.get(name, [""])[0].strip()

    @property
    def reason(self) -> str:
        """Why somebody does it; the audit masks it. Raises Refusal where nothing is said."""
        if not (reason := self.field("because")):
            raise Refusal(422, N_("Say why: a reason is needed."))
        return reason

    def sql(self) -> Statements:
        return Statements(self.tools.reads, "console")

    def planner(self) -> Planner:
        return Planner(self.tools.pool, actor=self.session.name, via="console")

    def onward(self, location: str, text: str, **values: object) -> Onward:
        shown = {name: self.words.text(value) for name, value in values.items()}
        return Onward(location, self.words.gettext(text) % shown)


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


async def read_form(request: Request) -> dict[str, list[str]]:
    """Raises Refusal when it is too large or not a form."""
    try:
        return parse_qs((await read_body(request)).decode(), max_num_fields=2000)
    except ValueError:
        raise Refusal(422, N_("This is not a form.")) from None
