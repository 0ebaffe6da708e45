"""What all commands share: settings, the database, tables and JSON, times, errors and exit
statuses.

Data goes to stdout, words go to stderr. Exit status: 0 done · 1 it did not work out, or a person
has to act · 2 the call or the settings are wrong · 3 not found · 75 it goes on by itself.

A command's module is imported for every `--help`: it imports only this module and what its
signatures need. What it works with is imported inside the functions, when the command runs.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from c2s_enrich.cli.ending import NOT_DONE, fail, in_words, load_settings, note, run

if TYPE_CHECKING:
    from c2s_enrich.database import Pool as Pool
    from c2s_enrich.ops.plans import Planner
    from c2s_enrich.settings import Settings as Settings
    from c2s_enrich.wiring import Upstreams as Upstreams

T = TypeVar("T")
Column = str | Callable[[Any], object]
"""What a column shows of a row: an attribute or a key by its name, or what is made of the row."""

_CONNECT_SECONDS = 4.0

# The options and arguments that several commands take.
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, for a spreadsheet.")]
Because = Annotated[str, typer.Option("--because", help="for the audit and for `explain`")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="at most this many, newest first")]
What = Annotated[str, typer.Argument(help="lead, event, ref of a message, or C2S address")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def group(text: str) -> typer.Typer:
    """A group of commands about one noun; `text` is its line in `--help`."""
    # Without rich: its import takes longer than most commands, and help stays plain text.
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


def print_json(value: object) -> None:
    """One line of JSON that no terminal obeys; dataclasses, ids, times and durations are
    understood.
    """
    import json

    import msgspec

    text = msgspec.json.encode(value).decode()
    typer.echo("".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text))


def print_table(
    rows: Sequence[Any],
    columns: Mapping[str, Column],
    *,
    as_json: bool,
    empty: str = "",
    spare: Sequence[str] = (),
) -> None:
    """One line for each row, or one JSON array of the rows as they are. `empty` says what it means
    that there are none. On a terminal that is too narrow the `spare` columns are left out, and the
    last one is cut; where even that does not fit, each row becomes a block of lines.
    """
    if as_json:
        return print_json(rows)
    if not rows:
        return note(empty)
    from c2s_enrich.ops.cells import cell

    cells = [
        [
            visible(cell(row, each) if isinstance(each, str) else each(row))
            for each in columns.values()
        ]
        for row in rows
    ]
    table, watched = [list(columns), *cells], sys.stdout.isatty()
    *widths, longest = (max(map(len, column)) for column in zip(*table, strict=True))
    left = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    if watched and spare and left < 20:
        kept = {name: column for name, column in columns.items() if name not in spare}
        return print_table(rows, kept, as_json=False)
    if watched and left < min(8, longest):
        width = max(map(len, columns))
        for row in cells:
            for name, text in zip(columns, row, strict=True):
                typer.echo(f"{name.ljust(width)}  {text}".rstrip())
            typer.echo()
        return None
    for *first, last in table:
        end = f"{last[: left - 1]}…" if watched and len(last) > left else last
        typer.echo("  ".join([*map(str.ljust, first, widths), end]).rstrip())
    return None


def visible(value: object) -> str:
    """A value as one line that no terminal obeys: whatever cannot be printed is escaped."""
    if value is None:
        return ""
    from c2s_enrich.ops.cells import plain
    from c2s_enrich.redaction import visible as as_one_line

    return as_one_line(when(value) if isinstance(value, datetime) else str(plain(value)))


def when(at: datetime) -> str:
    """A time in OPERATOR_TIMEZONE, with the zone named."""
    return f"{at.astimezone(operator_zone()):%Y-%m-%d %H:%M:%S %Z}"


def operator_zone() -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(os.environ.get("OPERATOR_TIMEZONE", "").strip() or "America/Sao_Paulo")
    except (KeyError, ValueError, OSError):
        fail("OPERATOR_TIMEZONE is not the name of a time zone, such as America/Sao_Paulo")


def planner(pool: Pool) -> Planner:
    """Plans and the audit, for whoever is at the terminal: OPERATOR, else the system's user."""
    import getpass

    from c2s_enrich.ops.plans import Planner

    try:
        operator = os.environ.get("OPERATOR", "").strip() or getpass.getuser()
    except (KeyError, OSError):
        operator = "unknown"
    return Planner(pool, actor=operator, via="cli")


async def audited(
    pool: Pool,
    work: Callable[[], Awaitable[T]],
    verb: str,
    words: dict[str, Any],
    why: str | None = None,
) -> T:
    """What the work answers; where it did anything, `operator_actions` has a row for it. Refused
    before it begins where this login may not write there.
    """
    audit = planner(pool)
    await audit.may_record()
    if done := await work():
        await audit.record(verb, words, why)
    return done


def confirm(answer: str, yes: bool) -> None:
    """Goes on when `answer` is typed, or with --yes; else ends the command."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"nothing was done: type {answer} at a terminal, or give --yes")
    note(f"Type {answer} to go on, anything else to leave:")
    if sys.stdin.readline().strip() != answer:
        fail("nothing was done", NOT_DONE)


def with_pool(ask: Callable[[Pool], Awaitable[T]], settings: Settings | None = None) -> T:
    """What `ask` answers with the database. One that is away is a sentence within five seconds."""
    given = settings or load_settings("migrate")
    log_to_stderr(given)

    async def asked() -> T:
        from c2s_enrich.database import open_pool

        # The pool would try again for half a minute and hide the reason.
        await reach(given.database_url.reveal())
        async with open_pool(given, name="command") as pool:
            return await ask(pool)

    return run(asked())


def with_upstreams(settings: Settings, ask: Callable[[Upstreams, Pool], Awaitable[T]]) -> T:
    """What `ask` answers with the upstreams and the database at hand."""

    async def asked(pool: Pool) -> T:
        from c2s_enrich.upstreams.limits import PersonsLimits
        from c2s_enrich.wiring import open_upstreams

        async with open_upstreams(settings, pool, limited_by=PersonsLimits) as upstreams:
            return await ask(upstreams, pool)

    return with_pool(asked, settings)


def log_to_stderr(settings: Settings) -> None:
    """What the rooms below log is for the person at the terminal; stdout is for data alone."""
    from c2s_enrich.telemetry.logs import configure_logging

    configure_logging(settings, "command")


async def reach(address: str) -> None:
    """Raises EnrichError with one sentence where the database does not answer in time."""
    import asyncio

    import psycopg

    from c2s_enrich.connection import Connection, Silence
    from c2s_enrich.errors import EnrichError

    until = asyncio.get_running_loop().time() + _CONNECT_SECONDS
    try:
        async with asyncio.timeout_at(until):
            connection = await Connection.connect(address)
        # Its own limit: psycopg would ask a server that is silent to cancel, and wait for that too.
        connection.answer_within = max(0.1, until - asyncio.get_running_loop().time())
        async with connection:
            await connection.execute("")
    except (TimeoutError, Silence):
        raise EnrichError(f"the database did not answer in {_CONNECT_SECONDS:g} s") from None
    except psycopg.Error as error:
        raise EnrichError(f"the database cannot be reached: {in_words(error)}") from None
