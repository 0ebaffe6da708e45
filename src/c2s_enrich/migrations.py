"""Brings a database to the newest shape: forward only, one transaction for each file, safe to run
from several machines at once.

It never undoes a migration and never skips one: a file that was edited after it ran stops the start
with a clear sentence.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, errors

from c2s_enrich.database import sql_folder
from c2s_enrich.errors import EnrichError

# Any number of ours: it keeps two migrating processes apart and must only differ from other
# advisory locks in this database.
_LOCK = 4_210_777_001


class MigrationError(EnrichError):
    """The migration files and the database contradict each other; the text says which file and what
    to do.
    """


@dataclass(frozen=True)
class Migration:
    """One file of `sql/migrations`, named NNNN_what_changed.sql."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 over the text with plain line ends, so that a checkout on another system gives
        the same.
        """
        return hashlib.sha256(self.text.replace("\r\n", "\n").encode()).hexdigest()


async def migrate(url: str, folder: Path | None = None) -> list[str]:
    """Applies what is missing and returns the names of the migrations applied, in order. Raises
    MigrationError.
    """
    async with await AsyncConnection.connect(
        url, application_name="c2s-enrich migrate", autocommit=True
    ) as connection:
        return [
            migration.name
            for migration in all_migrations(folder)
            if await _apply(connection, migration)
        ]


async def pending(url: str, folder: Path | None = None) -> list[str]:
    """The names of the migrations that the database still lacks, in order. Changes nothing. Raises
    MigrationError.
    """
    async with await AsyncConnection.connect(
        url, application_name="c2s-enrich migrate", autocommit=True
    ) as connection:
        try:
            known = await _applied(connection)
        except errors.UndefinedTable:
            known = {}
    return [m.name for m in all_migrations(folder) if not _is_applied(m, known)]


def all_migrations(folder: Path | None = None) -> list[Migration]:
    """Every migration in `folder` (default: ours), by version. Raises MigrationError on a bad or
    double number.
    """
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


async def _apply(connection: AsyncConnection[tuple[Any, ...]], migration: Migration) -> bool:
    async with connection.transaction():
        # Held until COMMIT: whoever comes second waits here, then sees the first one's row and has
        # nothing to do.
        await connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        await connection.execute(
            "create table if not exists schema_migrations"
            " (version integer primary key, name text not null, checksum text not null, applied_at timestamptz not null default now())"
        )
        known = await _applied(connection)
        if _is_applied(migration, known):
            return False
        if known and migration.version < max(known):
            raise MigrationError(
                f"{migration.name} is older than {max(known):04d}, which already ran: give it the next free number"
            )
        # Our schema, and nothing that a session could put in front of it: the functions keep this path.
        await connection.execute(
            "select set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)"
        )
        # A DDL statement that waits for a table lock makes every later query on that table wait
        # behind it. Rather give up.
        await connection.execute("set local lock_timeout = '10s'")
        await connection.execute(
            migration.text.encode()
        )  # our own file; without parameters it may hold many statements
        row = [migration.version, migration.name, migration.checksum]
        await connection.execute(
            "insert into schema_migrations (version, name, checksum) values (%s, %s, %s)", row
        )
    return True


async def _applied(connection: AsyncConnection[tuple[Any, ...]]) -> dict[int, str]:
    rows = await connection.execute("select version, checksum from schema_migrations")
    return dict(await rows.fetchall())


def _is_applied(migration: Migration, known: dict[int, str]) -> bool:
    if migration.version not in known:
        return False
    if known[migration.version] != migration.checksum:
        raise MigrationError(
            f"{migration.name} was changed after it ran on this database: restore the file and write a new migration"
        )
    return True
