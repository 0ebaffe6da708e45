"""Brings a database to the newest shape: forward only, one transaction for each file, safe to run
from several machines at once and while everything else runs.

It never undoes a migration and never skips one: a file that was edited after it ran stops the start
with a clear sentence. A file whose first line is `-- no transaction` runs statement by statement on
its own, for CREATE INDEX CONCURRENTLY; each of its statements must be one that may be repeated.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from psycopg import errors

from c2s_enrich.connection import ANSWER_SECONDS, Connection
from c2s_enrich.database import Pool, Statements, sql_folder
from c2s_enrich.errors import EnrichError
from c2s_enrich.sessions import connect_direct, session_problem

# A statement that waits for a table's lock makes every later one on that table wait behind it: it
# waits shortly, lets the others through, and tries again.
_LOCK_WAIT, _PAUSE_SECONDS, _TRIES = "1s", 1.0, 30
_HOURS = 24 * 3600.0
_TOKEN = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|;", re.DOTALL)


class MigrationError(EnrichError):
    """The migration files and the database contradict each other, or somebody is in the way."""


@dataclass(frozen=True)
class Migration:
    """One file of `sql/migrations`, named NNNN_what_changed.sql."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 over the text with plain line ends: the same from every checkout."""
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """Its statements in order, each with the comments before it."""
        ends = [found.end() for found in _TOKEN.finditer(self.text) if found[0] == ";"]
        return [self.text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


async def migrate(
    url: str, folder: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> list[str]:
    """The names of what was applied. `say` hears notices and waits. Raises MigrationError."""
    ours = all_migrations(folder)
    async with await connect_direct(url, name="migrate") as connection:
        connection.add_notice_handler(lambda notice: say(notice.message_primary or ""))
        if problem := await session_problem(connection):
            raise MigrationError(problem)
        await _sql(connection).rows("use_our_schema", lock_wait=_LOCK_WAIT)
        await _make_table(connection)
        known = await _applied(connection)
        if known and ours and max(known) > ours[-1].version:
            newest = ours[-1].version
            say(f"The database is at migration {max(known)}, newer than this program's {newest}.")
        return [each.name for each in ours if await _apply(url, connection, each, say)]


async def pending(url: str) -> list[str]:
    """Names of the migrations that the database lacks, in order. Raises MigrationError."""
    async with await connect_direct(url, name="migrate") as connection:
        known = await _applied(connection)
    return [m.name for m in all_migrations() if not _is_applied(m, known)]


async def schema_problem(pool: Pool) -> str | None:
    """Why this program cannot work on the database, in one sentence; None where it can."""
    async with pool.connection() as connection:
        if unfit := await session_problem(connection):
            return unfit
        at = max(await _applied(connection), default=0)
    return behind(at, all_migrations()[-1].version)


def behind(at: int, needed: int) -> str | None:
    if at >= needed:
        return None
    return f"The database is at migration {at}, {needed} is needed: run `c2s-enrich migrate`."


def all_migrations(folder: Path | None = None) -> list[Migration]:
    """Every migration by version. Raises MigrationError on a bad or double number."""
    found: dict[int, Migration] = {}
    for path in sorted((folder or sql_folder() / "migrations").glob("*.sql")):
        number = re.match(r"(\d{4})_\w+$", path.stem)
        if number is None:
            raise MigrationError(f"{path.name}: a migration is named NNNN_what_changed.sql")
        migration = Migration(int(number[1]), path.stem, path.read_text(encoding="utf-8"))
        if migration.version in found:
            raise MigrationError(
                f"{path.name} and {found[migration.version].name}.sql have the same number"
            )
        found[migration.version] = migration
    return [found[version] for version in sorted(found)]


async def _apply(
    url: str, connection: Connection, migration: Migration, say: Callable[[str], None]
) -> bool:
    """Whether it was missing. Raises MigrationError where somebody stays in the way."""
    who = "another session"
    for _ in range(_TRIES):
        watching = asyncio.create_task(_blockers(url, connection.info.backend_pid))
        try:
            return await _try(connection, migration)
        except errors.LockNotAvailable:
            if watching.done() and not watching.exception():
                who = watching.result()
            say(f"{migration.name} waits for a lock, held by {who}. Trying again.")
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise MigrationError(f"{migration.name} did not run: {who} holds a lock that it needs.")


async def _make_table(connection: Connection) -> None:
    # Two runners on an empty database: the other one has just made it.
    with suppress(errors.UniqueViolation, errors.DuplicateTable):
        if await _sql(connection).rows("find_migrations_table") == [(None,)]:
            await connection.execute(
                "create table schema_migrations (version integer primary key,"
                " name text not null, checksum text not null,"
                " applied_at timestamptz not null default now())"
            )


async def _try(connection: Connection, migration: Migration) -> bool:
    connection.answer_within = ANSWER_SECONDS
    async with connection.transaction():
        # Held until COMMIT: whoever comes second waits here, then sees the first one's row and has
        # nothing to do. Not an advisory lock, which every login of this database could take.
        await connection.execute("lock table schema_migrations in share row exclusive mode")
        known = await _applied(connection)
        if _is_applied(migration, known):
            return False
        if known and migration.version < max(known):
            raise MigrationError(
                f"{migration.name} is older than {max(known):04d}, which already ran: give it the"
                " next free number"
            )
        if not (alone := migration.text.startswith("-- no transaction")):
            await _run(connection, migration)
    if alone:
        await _run(connection, migration)
    return True


async def _run(connection: Connection, migration: Migration) -> None:
    connection.answer_within = _HOURS
    for statement in migration.statements:
        await connection.execute(statement.encode())  # our own file
    names = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    await _sql(connection).rows("note_applied", **names)


async def _blockers(url: str, waiting: int) -> str:
    """Who holds what that session waits for, as text."""
    await asyncio.sleep(0.2)
    async with await connect_direct(url, name="migrate looks") as connection:
        while True:
            [(who,)] = await _sql(connection).rows("blockers", waiting=waiting)
            if who:
                return str(who)
            await asyncio.sleep(0.2)


def _sql(connection: Connection) -> Statements:
    return Statements(connection, "migrations", prepare=False)


async def _applied(connection: Connection) -> dict[int, str]:
    there = await _sql(connection).rows("find_migrations_table") != [(None,)]
    return dict(await _sql(connection).rows("applied")) if there else {}


def _is_applied(migration: Migration, known: dict[int, str]) -> bool:
    if migration.version not in known:
        return False
    if known[migration.version] != migration.checksum:
        raise MigrationError(
            f"{migration.name} was changed after it ran on this database: restore the file and"
            " write a new migration"
        )
    return True
