"""What all commands share: options, filters, the database or an API in its place, questions and
the audit.

Data goes to stdout, words go to stderr. Exit status: 0 done · 1 it did not work out, or a person
has to act · 2 the call or the settings are wrong · 3 not found · 75 it goes on by itself.

A command's module is imported for every `--help`: what it works with comes from `lazy`.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from typer import Argument, Option, Typer

from c2s_enrich.cli.ending import NOT_DONE, NOT_FOUND, fail, in_words, load_settings, note, run
from c2s_enrich.cli.lazy import connection, database, ops, settings, telemetry, upstreams, wiring
from c2s_enrich.cli.printing import operator_zone
from c2s_enrich.errors import EnrichError
from c2s_enrich.ops.filters import WORDS, FilterError, parse_filter

T = TypeVar("T")
Work = Callable[["database.Pool"], Awaitable[T]]
"""What is asked of the database, or done there."""

_CONNECT_SECONDS = _API_SECONDS = 4.0

# The options and arguments that several commands take.
AsJson = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
AsCsv = Annotated[bool, Option("--csv", help="Print CSV, for a spreadsheet.")]
Because = Annotated[str, Option("--because", help="for the audit and for `explain`")]
DryRun = Annotated[bool, Option("--dry-run", help="Only say what would be done.")]
Limit = Annotated[int, Option(min=1, max=1000, help="at most this many, newest first")]
Url = Annotated[
    str | None, Option(help="Ask this `c2s-enrich ops` (with ADMIN_TOKEN), not the database.")
]
What = Annotated[str, Argument(help="lead, event, ref of a message, or C2S address")]
Yes = Annotated[bool, Option("--yes", help="Do not ask.")]

_Ids = Annotated[list[str] | None, Argument(metavar="[EVENT]...", help="ids of events")]
# Of a group: its first word is a command.
_IdOptions = Annotated[list[str] | None, Option("--event", help="ids of events")]


def group(text: str) -> Typer:
    """A group of commands about one noun; `text` is its line in `--help`."""
    # Without rich: its import takes longer than most commands, and help stays plain text.
    return Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def takes_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command an option for each word of an event filter; it receives them parsed, as
    `chosen`.
    """

    @functools.wraps(command)
    def filtered(event: list[str] | None = None, **given: Any) -> None:
        words = {word: given.pop(word) for word in WORDS if word in given}
        words = {word: value for word, value in words.items() if value is not None}
        if event:
            words["event"] = ",".join(event)
        try:
            chosen = parse_filter(words, operator_zone())
        except FilterError as error:
            fail(str(error))
        command(chosen=chosen, **given)

    hints = get_type_hints(command, include_extras=True)
    del hints["chosen"], hints["return"]
    defaults = {name: each.default for name, each in inspect.signature(command).parameters.items()}
    options: dict[str, Any] = {"event": _IdOptions if "context" in hints else _Ids}
    for word, why in WORDS.items():
        options.setdefault(word, Annotated[str | None, Option(help=why)])
    filtered.__annotations__ = options | hints
    filtered.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=defaults.get(name)
            )
            for name, kind in filtered.__annotations__.items()
        ]
    )
    return filtered


def with_pool(ask: Work[T], using: settings.Settings | None = None) -> T:
    """What `ask` answers with the database. One that is away is a sentence within five seconds."""
    given = using or load_settings("migrate")
    # What the rooms below log is for the person at the terminal; stdout is for data alone.
    telemetry.logs.configure_logging(given, "command")

    async def asked() -> T:
        # The pool would try again for half a minute and hide the reason.
        await reach(given.database_url.reveal())
        async with database.open_pool(given, name="command") as pool:
            return await ask(pool)

    return run(asked())


def with_upstreams(
    given: settings.Settings, ask: Callable[[wiring.Upstreams, database.Pool], Awaitable[T]]
) -> T:
    """What `ask` answers with the upstreams and the database at hand."""

    async def asked(pool: database.Pool) -> T:
        limited_by = upstreams.limits.PersonsLimits
        async with wiring.open_upstreams(given, pool, limited_by=limited_by) as services:
            return await ask(services, pool)

    return with_pool(asked, given)


async def reach(address: str) -> None:
    """Raises EnrichError with one sentence where the database does not answer in time."""
    import asyncio

    import psycopg

    until = asyncio.get_running_loop().time() + _CONNECT_SECONDS
    try:
        async with asyncio.timeout_at(until):
            reached = await connection.Connection.connect(address)
        # Its own limit: psycopg would ask a server that is silent to cancel, and wait for that too.
        reached.answer_within = max(0.1, until - asyncio.get_running_loop().time())
        async with reached:
            await reached.execute("")
    except (TimeoutError, connection.Silence):
        raise EnrichError(f"the database did not answer in {_CONNECT_SECONDS:g} s") from None
    except psycopg.Error as error:
        raise EnrichError(f"the database cannot be reached: {in_words(error)}") from None


def ask(
    url: str | None,
    path: str,
    local: Work[T],
    kind: Any,
    *,
    query: Mapping[str, Any] = {},
    body: Mapping[str, Any] | None = None,
) -> T:
    """What `local` answers with the database, or, with a `url`, a running `c2s-enrich ops`: the
    same, as `kind`, from `path` below /api/v1/admin/, by a GET, or by a POST of the `body`.
    """
    if url is None:
        return with_pool(local)
    import asyncio
    from urllib.parse import urlencode

    import msgspec

    address = f"{url.rstrip('/')}/api/v1/admin/{path}" + (f"?{urlencode(query)}" if query else "")
    if not address.startswith(("http://", "https://")):
        fail("--url is an http:// or https:// address")
    token = os.environ.get("ADMIN_TOKEN", "").strip()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent = None if body is None else msgspec.json.encode(body)
    asked = upstreams.transport.ask_once(address, seconds=_API_SECONDS, body=sent, headers=headers)
    try:
        status, answer = asyncio.run(asked)
        if status < 300:
            answered: T = msgspec.json.decode(answer, type=kind)
            return answered
    except (OSError, ValueError) as error:
        fail(f"{url} cannot be reached: {str(error) or type(error).__name__}", NOT_DONE)
    try:
        detail = str(msgspec.json.decode(answer)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        detail = f"HTTP {status}"
    return fail(detail, NOT_FOUND if status == 404 else NOT_DONE)


def confirm(answer: str, yes: bool) -> None:
    """Goes on when `answer` is typed, or with --yes; else ends the command."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"nothing was done: type {answer} at a terminal, or give --yes")
    note(f"Type {answer} to go on, anything else to leave:")
    if sys.stdin.readline().strip() != answer:
        fail("nothing was done", NOT_DONE)


def planner(pool: database.Pool) -> ops.plans.Planner:
    """Plans and the audit, for whoever is at the terminal: OPERATOR, else the system's user."""
    import getpass

    try:
        operator = os.environ.get("OPERATOR", "").strip() or getpass.getuser()
    except (KeyError, OSError):
        operator = "unknown"
    return ops.plans.Planner(pool, actor=operator, via="cli")


def audited(verb: str, words: dict[str, Any], work: Work[T], because: str | None = None) -> Work[T]:
    """The work, with a row in `operator_actions` where it did anything. Refused before it begins
    where this login may not write there.
    """

    async def done_and_recorded(pool: database.Pool) -> T:
        audit = planner(pool)
        await audit.may_record()
        if done := await work(pool):
            await audit.record(verb, words, because)
        return done

    return done_and_recorded
