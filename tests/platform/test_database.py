"""The pool, the statements and the errors that heal by themselves."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from c2s_enrich import connection as connections
from c2s_enrich.connection import Silence, Statement
from c2s_enrich.database import is_transient, open_pool
from c2s_enrich.sessions import connect_direct


class TestStatements:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
        (tmp_path / "queries").mkdir()
        monkeypatch.setattr(connections, "sql_folder", lambda: tmp_path)
        connections.statements.cache_clear()
        yield tmp_path / "queries"
        connections.statements.cache_clear()

    def test_are_found_by_name_without_their_description(self, folder: Any) -> None:
        (folder / "topic.sql").write_text(
            "-- The topic.\n\n-- name: first\n-- What it does.\nselect 1;\n\n-- name:"
            " second\nselect 2;\n"
        )

        found = connections.statements("topic")

        assert dict(found) == {"first": "select 1;", "second": "select 2;"}

    def test_refuse_a_name_given_twice(self, folder: Any) -> None:
        (folder / "topic.sql").write_text("-- name: same\nselect 1;\n-- name: same\nselect 2;\n")

        with pytest.raises(ValueError, match="defines same twice"):
            connections.statements("topic")

    def test_cannot_be_changed_by_a_caller(self, folder: Any) -> None:
        (folder / "topic.sql").write_text("-- name: one\nselect 1;\n")

        with pytest.raises(TypeError):
            connections.statements("topic")["one"] = "select 2"  # type: ignore[index]


class TestPool:
    async def test_gives_autocommit_connections_that_say_whose_they_are(
        self, db: Any, pool: Any
    ) -> None:
        async with pool.connection() as connection:
            await connection.execute("insert into pollers (name, concurrency) values ('p', 1)")
            rows = await connection.execute("select current_setting('application_name')")

            assert await db.value("select count(*) from pollers") == 1
            assert await rows.fetchone() == ("c2s-enrich test",)

    async def test_opens_while_the_database_is_away(self, db: Any) -> None:
        settings = db.settings(DATABASE_URL="postgresql://postgres@127.0.0.1:9/nowhere")

        async with open_pool(settings, name="test") as pool:
            with pytest.raises(psycopg.OperationalError) as caught:
                async with pool.connection(timeout=0.1):
                    pass

        assert is_transient(caught.value)

    async def test_replaces_a_connection_that_the_server_cut(self, db: Any, pool: Any) -> None:
        async with pool.connection() as connection:
            pid = connection.info.backend_pid
        await db.execute("select pg_terminate_backend(%s, 5000)", [pid])

        for _ in range(3):
            async with pool.connection() as connection:
                rows = await connection.execute("select 1")

                assert await rows.fetchone() == (1,)

    async def test_gives_sound_connections_while_tasks_are_cancelled_in_the_middle_of_anything(
        self, pool: Any
    ) -> None:
        chance = random.Random(1)
        statement = Statement("select %(number)s::integer")
        unsound: list[str] = []

        async def ask(number: int) -> None:
            async with pool.connection() as connection, connection.transaction():
                _, answer = await connection.ask(statement, {"number": number})
                await connection.execute("select 1")
                if answer != [(number,)]:
                    unsound.append(f"{number} was answered {answer}")

        async def ask_and_cancel() -> None:
            for number in range(60):
                task = asyncio.create_task(ask(number))
                await asyncio.sleep(chance.random() * 0.004)
                task.cancel()
                await asyncio.wait([task])

        await asyncio.gather(*(ask_and_cancel() for _ in range(6)))

        assert unsound == []

    async def test_gives_what_comes_back_to_who_waits_longest_and_loses_none(self, db: Any) -> None:
        async with open_pool(db.settings(DATABASE_POOL_SIZE="2"), name="test") as pool:
            first, second = await pool.getconn(), await pool.getconn()
            waiting = [asyncio.create_task(pool.getconn()) for _ in range(3)]
            await asyncio.sleep(0)
            assert pool.get_stats()["requests_waiting"] == 3

            await pool.putconn(first)
            waiting[0].cancel()  # at the moment when it was given one
            given = await waiting[1]
            await pool.putconn(second)

            assert {given, await waiting[2]} == {first, second}
            with pytest.raises(PoolTimeout):
                await pool.getconn(timeout=0.01)
            late = asyncio.create_task(pool.getconn())
            await asyncio.sleep(0)
        with pytest.raises(PoolClosed):
            await late

    async def test_tells_the_next_one_what_it_told_who_has_left(self, db: Any) -> None:
        async with open_pool(db.settings(DATABASE_POOL_SIZE="1"), name="test") as pool:
            only = await pool.getconn()
            waiting = [asyncio.create_task(pool.getconn()) for _ in range(2)]
            await asyncio.sleep(0)

            await only.close()
            await pool.putconn(only)
            waiting[0].cancel()  # at the moment when it was told to ask for another

            async with asyncio.timeout(5):
                await pool.putconn(await waiting[1])

    async def test_whose_sessions_were_all_ended_gives_a_new_one_at_once(self, db: Any) -> None:
        async with open_pool(db.settings(DATABASE_POOL_SIZE="6"), name="ended") as pool:
            for connection in [await pool.getconn() for _ in range(6)]:
                await connection.close()  # psycopg's pool makes another one, which rests
                await pool.putconn(connection)
            while pool.get_stats()["pool_available"] < 6:
                await asyncio.sleep(0.01)
            await db.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where application_name = 'c2s-enrich ended'"
            )

            async with asyncio.timeout(0.9), pool.connection() as connection:
                await connection.execute("select 1")

    async def test_takes_a_server_for_a_server(self, pool: Any) -> None:
        async with pool.connection() as connection:
            assert connection.prepare_threshold is not None

    async def test_ends_a_forgotten_transaction(self, pool: Any) -> None:
        async with pool.connection() as connection:
            rows = await connection.execute("show idle_in_transaction_session_timeout")

            assert await rows.fetchone() == ("1min",)


class TestAStatement:
    @pytest.mark.parametrize("prepare", [True, False])
    async def test_whose_commit_fails_behind_its_rows_has_failed(
        self, db: Any, prepare: bool
    ) -> None:
        await db.execute("create table kept (x integer)")
        await db.execute(
            "create function full_disk() returns trigger language plpgsql as"
            " $$ begin raise disk_full; end $$"
        )
        await db.execute(
            "create constraint trigger at_commit after insert on kept deferrable"
            " initially deferred for each row execute function full_disk()"
        )
        connection = await connect_direct(db.url, name="test")

        async with connection:
            with pytest.raises(errors.DiskFull):
                await connection.ask(
                    Statement("insert into kept values (1) returning x"), {}, prepare=prepare
                )
            assert (await connection.ask(Statement("select 2"), {}, prepare=prepare))[1] == [(2,)]
        await db.execute("drop table kept; drop function full_disk")


class TestAWatchedConnection:
    @pytest.mark.parametrize("prepare", [True, False])
    async def test_takes_what_does_not_fit_into_one_packet(self, db: Any, prepare: bool) -> None:
        """A record of a megabyte is sent in parts, and an answer of that size arrives in parts."""
        statement = Statement("select length(%(text)s::text), repeat('x', length(%(text)s::text))")

        async with await connect_direct(db.url, name="test") as connection:
            for size in (3_000_000, 10, 100_000):
                given = {"text": "y" * size}
                _, [(length, answer)] = await connection.ask(statement, given, prepare=prepare)
                assert (length, len(answer)) == (size, size)

    async def test_can_be_used_after_a_large_question_was_cancelled(self, db: Any) -> None:
        late = Statement("select length(%(text)s::text), pg_sleep(30)")
        async with await connect_direct(db.url, name="test") as connection:
            await connection.ask(Statement("select 1"), {})
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await connection.ask(late, {"text": "y" * 3_000_000})
            assert (await connection.ask(Statement("select 2"), {}))[1] == [(2,)]

    @pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
    async def test_may_be_cut_and_its_sockets_number_comes_again(self, db: Any, loop: Any) -> None:
        async def scenario() -> None:
            for _ in range(3):
                one = await connect_direct(db.url, name="one")
                pid = (await one.ask(Statement("select pg_backend_pid()"), {}))[1][0][0]
                async with await connect_direct(db.url, name="two") as two:
                    await two.ask(Statement("select pg_terminate_backend(%(pid)s)"), {"pid": pid})
                    while not one.has_something_to_say():
                        await asyncio.sleep(0.001)
                    with pytest.raises(psycopg.OperationalError):
                        await one.ask(Statement("select 1"), {})
                    assert (await two.ask(Statement("select 2"), {}))[1] == [(2,)]
                await one.close()

        def run() -> None:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(scenario())

        await asyncio.to_thread(run)

    async def test_can_be_used_after_a_question_was_cancelled_or_asked_otherwise(
        self, db: Any
    ) -> None:
        async with await connect_direct(db.url, name="test") as connection:
            slow = asyncio.create_task(connection.ask(Statement("select pg_sleep(60)"), {}))
            sleeping = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            while not await db.value(sleeping):
                await asyncio.sleep(0.01)

            slow.cancel()
            with pytest.raises(asyncio.CancelledError):
                await slow
            await connection.execute("select 1")

            assert (await connection.ask(Statement("select 2"), {}))[1] == [(2,)]

    async def test_ends_a_silence(self, db: Any) -> None:
        async with await connect_direct(db.url, name="test") as connection:
            connection.answer_within = 0.05
            with pytest.raises(Silence):
                await connection.ask(Statement("select pg_sleep(60)"), {}, prepare=False)

            assert connection.closed


class TestDirectConnection:
    async def test_goes_to_the_direct_address(self, db: Any) -> None:
        settings = db.settings(
            DATABASE_URL="postgresql://postgres@127.0.0.1:9/pooler", DATABASE_URL_DIRECT=db.url
        )

        async with await connect_direct(
            settings.direct_url.reveal(), name="listener"
        ) as connection:
            rows = await connection.execute("select current_setting('application_name')")

            assert await rows.fetchone() == ("c2s-enrich listener",)
            assert connection.autocommit


class TestTransient:
    @pytest.mark.parametrize(
        "error",
        [
            errors.AdminShutdown(),
            errors.CannotConnectNow(),
            errors.SerializationFailure(),
            errors.DeadlockDetected(),
            errors.TooManyConnections(),
            errors.ReadOnlySqlTransaction(),
            errors.QueryCanceled(),
            psycopg.OperationalError("the connection is closed"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_errors_that_heal(self, error: Exception) -> None:
        assert is_transient(error)

    @pytest.mark.parametrize(
        "error",
        [
            errors.InvalidPassword(),
            errors.UniqueViolation(),
            errors.UndefinedTable(),
            errors.CheckViolation(),
            errors.ProgramLimitExceeded(),
            ValueError(),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_errors_that_stay(self, error: Exception) -> None:
        assert not is_transient(error)
