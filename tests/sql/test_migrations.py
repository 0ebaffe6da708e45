"""Migrations: forward only, safe to repeat, safe side by side, and schema.sql shows what they come
to.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from c2s_enrich.database import sql_folder
from c2s_enrich.migrations import MigrationError, all_migrations, migrate, pending

SCHEMA = sql_folder() / "schema.sql"
TABLES = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
  from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v') order by c.relname, a.attnum
"""
INDEXES = "select indexdef from pg_indexes where schemaname = 'public' order by indexname"
CHECKS = """
select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
 where connamespace = 'public'::regnamespace and contype in ('c', 'u', 'p', 'f') and conrelid <> 0 order by 1, 2
"""
TRIGGERS = "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal order by tgname"


async def describe(url: str) -> str:
    """The schema as text, out of the catalogs: the same on every version of Postgres."""
    async with await AsyncConnection.connect(url) as connection:

        async def rows(query: str) -> list[tuple[str, ...]]:
            return await (await connection.execute(query.encode())).fetchall()

        lines, table = (
            ["-- What the migrations come to. Written by `make schema`; a test keeps it true."],
            "",
        )
        for name, column, kind, required, default in await rows(TABLES):
            if name != table:
                table = name
                lines += ["", f"-- {name}"]
            lines.append(
                f"--   {column} {kind}{' not null' if required else ''}{f' default {default}' if default else ''}"
            )
        lines += ["", *(f"-- {table}: {name} {text}" for table, name, text in await rows(CHECKS))]
        lines += ["", *(f"{text};" for (text,) in await rows(INDEXES))]
        lines += ["", *(f"{text};" for (text,) in await rows(TRIGGERS))]
    return "\n".join(lines) + "\n"


class TestMigrations:
    async def test_leave_nothing_to_do(self, database_url: str) -> None:
        assert await pending(database_url) == []

    async def test_may_run_from_several_machines_at_once(
        self, create_database: Callable[[], str]
    ) -> None:
        url = create_database()

        applied = await asyncio.gather(migrate(url), migrate(url), migrate(url))

        assert sorted(name for names in applied for name in names) == sorted(
            migration.name for migration in all_migrations()
        )

    async def test_refuse_a_file_that_was_changed_after_it_was_applied(
        self, create_database: Callable[[], str], tmp_path: Path
    ) -> None:
        url = create_database()
        file = tmp_path / "0001_first.sql"
        file.write_text("-- One table.\ncreate table one (id integer);\n")
        await migrate(url, tmp_path)
        file.write_text("-- One table.\ncreate table two (id integer);\n")

        with pytest.raises(MigrationError):
            await migrate(url, tmp_path)

    async def test_come_to_what_schema_sql_says(self, create_database: Callable[[], str]) -> None:
        url = create_database()
        await migrate(url)
        schema = await describe(url)
        if os.environ.get("SCHEMA") == "write":
            SCHEMA.write_text(schema)

        assert SCHEMA.read_text() == schema
