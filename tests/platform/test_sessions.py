"""Our sessions are what we need them to be, whatever the database, the login or the environment
say, and none of them is waited for without an end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql
from tests.conftest import Database, make_conninfo_url
from tests.intake.conftest import open_web

from c2s_enrich import database
from c2s_enrich.connection import Connection
from c2s_enrich.database import open_pool
from c2s_enrich.migrations import MigrationError, migrate
from c2s_enrich.queue.kept_connection import KeptConnection
from c2s_enrich.sessions import SESSION, connect_direct, session_problem

# What an administrator, or another product in the same database, may have set.
HOSTILE = {
    "client_encoding": "LATIN1",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Asia/Kathmandu",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "row_security": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "300ms",
    "lock_timeout": "1ms",
    "idle_session_timeout": "400ms",
    "idle_in_transaction_session_timeout": "1ms",
    "transaction_timeout": "300ms",
    "exit_on_error": "on",
    "client_connection_check_interval": "0",
    "synchronous_commit": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "on",
    "restrict_nonsystem_relation_kind": "view, foreign-table",
}
# Over a unix socket the server shows 0 for these; the last is another for each process.
OTHERWISE = {
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_keepalives_count",
    "tcp_user_timeout",
    "transaction_timeout",
}

# They are about what a new session begins with, and about its end.
pytestmark = pytest.mark.usefixtures("new_sessions")


async def shown(connection: Any) -> dict[str, str]:
    names = [name for name in SESSION if name not in OTHERWISE]
    rows = await connection.execute(
        "select name, current_setting(name) from unnest(%s::text[]) as n (name)", [names]
    )
    return dict(await rows.fetchall())


WANTED = {name: value for name, value in SESSION.items() if name not in OTHERWISE}


@pytest.fixture
def hostile(db: Database) -> Iterator[Callable[[str, str], object]]:
    """Sets a setting as the database's default; all of them are taken back at the end."""
    name = sql.Identifier(db.connection.info.dbname)
    with psycopg.connect(db.url, autocommit=True) as connection:
        # What a test behind a pooler left with the login wins over the database's defaults.
        connection.execute(sql.SQL("alter role session_user in database {} reset all").format(name))
        yield (
            lambda setting, value: (
                connection.execute(
                    sql.SQL("alter database {} set {} = {}").format(
                        name, sql.Identifier(setting), sql.Literal(value)
                    )
                )
                and None
            )
        )
        connection.execute("set default_transaction_read_only = off")
        connection.execute(sql.SQL("alter database {} reset all").format(name))


def has(db: Database, setting: str) -> bool:
    new = ("transaction_timeout", "restrict_nonsystem_relation_kind")
    return setting not in new or db.connection.info.server_version >= 170_000


class TestASession:
    @pytest.mark.parametrize(("setting", "value"), HOSTILE.items(), ids=list(HOSTILE))
    async def test_is_ours_although_the_database_says_otherwise(
        self, db: Database, hostile: Callable[[str, str], None], setting: str, value: str
    ) -> None:
        if not has(db, setting):
            pytest.skip("this Postgres does not have it")
        hostile(setting, value)

        async with open_pool(db.settings(), name="test") as pool:
            async with pool.connection() as connection:
                assert await shown(connection) == WANTED
                assert connection.info.encoding == "utf-8"
                rows = await connection.execute(
                    "select 'José', interval '1 day', now(), pg_sleep(0.5)"
                )
                assert (await rows.fetchall())[0][0] == "José"
            await pool.check()
        async with await connect_direct(db.url, name="test") as connection:
            assert await shown(connection) == WANTED

    async def test_is_ours_although_the_environment_says_otherwise(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        monkeypatch.setenv("PGDATESTYLE", "SQL, DMY")
        monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
        monkeypatch.setenv("PGOPTIONS", "-c intervalstyle=iso_8601 -c synchronous_commit=off")

        async with open_pool(db.settings(), name="test") as pool, pool.connection() as connection:
            assert await shown(connection) == WANTED
            assert connection.info.encoding == "utf-8"

    async def test_keeps_a_stronger_synchronous_commit(
        self, db: Database, hostile: Callable[[str, str], None]
    ) -> None:
        hostile("synchronous_commit", "remote_apply")

        async with open_pool(db.settings(), name="test") as pool, pool.connection() as connection:
            assert (await shown(connection))["synchronous_commit"] == "remote_apply"

    async def test_of_a_process_ends_a_transaction_that_stops_and_a_command_takes_its_time(
        self, db: Database, hostile: Callable[[str, str], None]
    ) -> None:
        if not has(db, "transaction_timeout"):
            pytest.skip("this Postgres does not have it")
        hostile("transaction_timeout", "300ms")

        async def timeout(connection: Any) -> str:
            [[value]] = await (await connection.execute("show transaction_timeout")).fetchall()
            return str(value)

        for name, wanted in (("poller", "1min"), ("command", "0")):
            async with open_pool(db.settings(), name=name) as pool, pool.connection() as connection:
                assert await timeout(connection) == wanted
        async with await connect_direct(db.url, name="migrate") as connection:
            assert await timeout(connection) == "0"


class TestADatabaseThatIsNotUtf8:
    @pytest.fixture
    def latin1_url(self, server_url: str) -> Iterator[str]:
        name = f"c2s_latin1_{os.getpid()}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(
                f"create database {name} encoding 'LATIN1' locale 'C' template template0".encode()
            )
            yield make_conninfo_url(server_url, name)
            connection.execute(f"drop database {name} with (force)".encode())

    async def test_is_refused_by_migrate(self, latin1_url: str) -> None:
        with pytest.raises(MigrationError, match="encoding is LATIN1"):
            await migrate(latin1_url)

    async def test_is_refused_by_readyz(self, latin1_url: str, db: Database) -> None:
        async with open_web(db.settings("web", DATABASE_URL=latin1_url)) as web:
            answer = await web.client.get("/readyz")

        assert answer.status_code == 503
        assert "encoding is LATIN1" in answer.json()["problem"]

    async def test_is_named(self, latin1_url: str, db: Database) -> None:
        async with await connect_direct(latin1_url, name="test") as connection:
            assert "LATIN1" in str(await session_problem(connection))
        async with await connect_direct(db.url, name="test") as connection:
            assert await session_problem(connection) is None


class Cable:
    """A TCP address in front of the server's socket. Frozen, its connections go silent without an
    end; those that are made later work.
    """

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.connections = 0
        self._carrying: list[asyncio.Task[None]] = []
        self._handlers: list[asyncio.Task[Any]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if handler := asyncio.current_task():
            self._handlers.append(handler)
        flowing = self._flowing
        there, back = await asyncio.open_unix_connection(self._socket)
        ways = ((reader, back), (there, writer))
        both = [asyncio.create_task(self._carry(*way, flowing)) for way in ways]
        self._carrying += both
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in both:
            task.cancel()
        await asyncio.wait(both)
        for end in (back, writer):
            end.close()
            with suppress(OSError):
                await end.wait_closed()

    async def cut(self) -> None:
        """Ends every connection; returns when nothing of them is left."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, flowing: asyncio.Event
    ) -> None:
        while data := await source.read(65536):
            await flowing.wait()
            target.write(data)

    def freeze(self) -> None:
        """Whatever is connected now."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()


@asynccontextmanager
async def behind_a_cable(db: Database) -> AsyncIterator[tuple[Database, Cable]]:
    """The same database, reached through the cable."""
    parts = urlsplit(db.url)
    query = parse_qs(parts.query)
    socket = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
    cable = Cable(socket)
    async with await asyncio.start_server(cable, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = (
            f"postgresql://postgres@127.0.0.1:{port}{parts.path}?gssencmode=disable&sslmode=disable"
        )
        yield replace(db, url=url), cable
        await cable.cut()


class TestASilence:
    @pytest.fixture(autouse=True)
    def only_where_the_socket_is_known(self, db: Database) -> None:
        if "host=" not in db.url:
            pytest.skip("the server has no unix socket that a cable could lead to")

    async def test_of_all_connections_ends_within_20_seconds(self, db: Database) -> None:
        async with behind_a_cable(db) as (far, cable):
            async with open_pool(far.settings(DATABASE_POOL_SIZE=6), name="test") as pool:

                async def ask() -> float:
                    began = asyncio.get_running_loop().time()
                    while True:
                        try:
                            async with pool.connection() as connection:
                                await connection.execute("select pg_sleep(0.01)")
                        except psycopg.OperationalError:
                            continue
                        return asyncio.get_running_loop().time() - began

                await asyncio.gather(*(ask() for _ in range(12)))
                cable.freeze()
                waits = await asyncio.gather(*(ask() for _ in range(12)))
                before = cable.connections
                await asyncio.gather(*(ask() for _ in range(12)))

        assert max(waits) < 20
        assert cable.connections == before

    async def test_that_one_kind_of_statement_has_met_no_other_waits_for(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "ANSWER_SECONDS", 1.0)

        async def ask(kept: KeptConnection) -> None:
            async with kept.connection() as connection:
                await connection.execute("select 1")

        async with behind_a_cable(db) as (far, cable), open_pool(far.settings(), name="t") as pool:
            claims, settlements, beats = kinds = [KeptConnection(pool) for _ in range(3)]
            for kept in kinds:
                kept.steady = True
                await ask(kept)
            cable.freeze()
            with pytest.raises(psycopg.OperationalError, match="no answer within"):
                await ask(claims)
            for kept in (claims, settlements, beats):
                await ask(kept)
                await kept.hang_up()

    async def test_of_a_connection_without_a_pool_is_an_error_of_the_database(
        self, db: Database
    ) -> None:
        async with behind_a_cable(db) as (far, cable):
            async with await connect_direct(far.url, name="test") as connection:
                connection.answer_within = 0.2
                cable.freeze()

                with pytest.raises(psycopg.OperationalError, match="no answer within"):
                    await connection.execute("select 1")

    async def test_of_a_connection_that_has_rested_is_found_out_in_two_seconds(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with behind_a_cable(db) as (far, cable):
            async with open_pool(far.settings(), name="test") as pool:
                async with pool.connection() as connection:
                    await connection.execute("select 1")
                monkeypatch.setattr("c2s_enrich.database._REST_SECONDS", 0.0)
                cable.freeze()

                async with asyncio.timeout(8), pool.connection() as connection:
                    monkeypatch.setattr("c2s_enrich.database._REST_SECONDS", 30.0)
                    rows = await connection.execute("select 1")
                    assert await rows.fetchone() == (1,)


class TestTheCheck:
    async def test_that_was_ended_leaves_a_connection_as_patient_as_it_was(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_pool(db.settings(DATABASE_POOL_SIZE=1), name="test") as pool:
            async with pool.connection() as connection:
                usual = connection.answer_within
            monkeypatch.setattr("c2s_enrich.database._REST_SECONDS", 0.0)
            with monkeypatch.context() as once:

                async def ended(*_: object) -> None:
                    once.undo()
                    raise psycopg.errors.QueryCanceled

                once.setattr(Connection, "execute", ended)
                again = await pool.getconn()

            assert again is connection
            assert again.answer_within == usual
            await pool.putconn(again)

    async def test_costs_nothing_where_a_connection_was_just_used(self, db: Database) -> None:
        async with open_pool(db.settings(DATABASE_POOL_SIZE=1), name="test") as pool:
            async with pool.connection() as connection:
                pid = connection.info.backend_pid
                began = "select query_start from pg_stat_activity where pid = %s"
                await connection.execute("select 'the last one'")
            before = await db.value(began, [pid])

            async with pool.connection():
                assert await db.value(began, [pid]) == before
