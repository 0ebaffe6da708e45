"""The queue behind a transaction pooler: a real PgBouncer, where each statement may run on another
session than the one before.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from tests.conftest import Database, make_conninfo_url
from tests.queue.conftest import (
    COMPLETED,
    NOON,
    RETRIED,
    SHORT,
    Queue,
    Recorded,
    at,
    complete_at_once,
    ended,
    make_poller,
    running,
    settle,
    until,
)

from c2s_enrich.database import open_pool
from c2s_enrich.options import Secret
from c2s_enrich.queue.claim import Done, Ending
from c2s_enrich.queue.wakeup import Listener
from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.sessions import SESSION, Indirect, connect_direct, is_pooled

# Two sessions for all clients together: what clung to a session would be found out at once.
CONFIGURATION = """
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
"""
PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"


@pytest.fixture(scope="session")
def pooler_url(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of this process's test database through PgBouncer in transaction mode."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:{PLACES}")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("pgbouncer is not installed, and .ci/run should have done it")
        pytest.skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
    folder, port = tmp_path_factory.mktemp("pgbouncer"), free_port()
    parts = {
        name: value
        for name, value in conninfo_to_dict(database_url).items()
        if name in ("host", "port", "user", "password", "dbname")
    }
    server = " ".join(f"{name}={value}" for name, value in parts.items())
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(CONFIGURATION.format(server=server, port=port))
    configuration.chmod(0o600)
    command = [*_as_someone(str(parts.get("host", "")), program), str(configuration)]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
    try:
        url = f"postgresql://anyone@127.0.0.1:{port}/{parts['dbname']}"
        _wait_for(process, url, folder)
        yield url
    finally:
        process.kill()
        process.wait()


def _as_someone(host: str, program: str) -> list[str]:
    """PgBouncer refuses to run as root, as Postgres does, and whoever runs it must be let in at the
    embedded server's socket.

    In a user namespace root has another number and keeps its files; where namespaces are forbidden
    that server runs as nobody.
    """
    if os.geteuid() != 0:
        return [program]
    if host.startswith("/") and Path(host).stat().st_uid == 0:
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000", program]
    return [program, "-u", "nobody"]


def _wait_for(process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
    until_when = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until_when:
                pytest.fail(
                    "pgbouncer did not come up: "
                    + (folder / "said").read_text(errors="replace")[-1000:]
                )
            time.sleep(0.05)
        else:
            return


@pytest.fixture
async def pooled(db: Database, pooler_url: str) -> AsyncIterator[Queue]:
    """The queue whose workers reach the database through the pooler only; `db` looks at it
    directly.
    """
    settings = db.settings(DATABASE_URL=pooler_url, DATABASE_URL_DIRECT=db.url)
    async with open_pool(settings, name="test") as pool:
        yield Queue(db, pool)


class TestTheLogin:
    @pytest.mark.parametrize("sessions", ["that it has", "that are new"])
    async def test_carries_our_settings_whatever_the_database_says(
        self, db: Database, pooler_url: str, sessions: str
    ) -> None:
        name = sql.Identifier(db.connection.info.dbname)
        hostile = {
            "synchronous_commit": "off",
            "IntervalStyle": "iso_8601",
            "default_transaction_isolation": "serializable",
            "default_transaction_read_only": "on",
            "array_nulls": "off",
        }
        role = sql.SQL("alter role session_user in database {} reset all").format(name)
        await db.connection.execute(role)
        for setting, value in hostile.items():
            await db.connection.execute(
                sql.SQL("alter database {} set {} = {}").format(
                    name, sql.Identifier(setting), sql.Literal(value)
                )
            )
        if sessions == "that are new":
            await db.connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        try:
            settings = db.settings(DATABASE_URL=pooler_url, DATABASE_URL_DIRECT=db.url)
            async with open_pool(settings, name="test") as pool:
                for _ in range(20):
                    async with pool.connection() as connection:
                        rows = await connection.execute(
                            "select name, current_setting(name) from unnest(%s::text[]) n (name)",
                            [list(hostile)],
                        )
                        assert dict(await rows.fetchall()) == {
                            name: SESSION[name] for name in hostile
                        }
        finally:
            await db.connection.execute("set default_transaction_read_only = off")
            await db.connection.execute(sql.SQL("alter database {} reset all").format(name))


class TestBehindAPooler:
    async def test_sessions_are_really_shared(self, pooled: Queue) -> None:
        async def session() -> int:
            async with pooled.pool.connection() as connection:
                [(pid,)] = await (
                    await connection.execute("select pg_backend_pid() from pg_sleep(0.01)")
                ).fetchall()
                return int(pid)

        assert len(set(await asyncio.gather(*(session() for _ in range(8))))) <= 2

    async def test_nobody_has_to_say_that_it_is_there(self, pooled: Queue) -> None:
        async with pooled.pool.connection() as connection:
            assert connection.prepare_threshold is None

    async def test_an_event_is_claimed_extended_and_settled(self, pooled: Queue) -> None:
        event_id = await pooled.accept()
        worker = pooled.worker()

        claim = await pooled.claim(worker)
        worker.now = at(10)
        assert await worker.extend_leases([claim]) == {claim.key: True}
        assert await settle(worker, claim) == "settled"

        assert (await pooled.row(event_id)).status == "completed"
        assert [line.result for line in await pooled.history(event_id)] == ["completed"]

    async def test_the_fence_holds(self, pooled: Queue) -> None:
        event_id = await pooled.accept()
        zombie, other = pooled.worker("zombie"), pooled.worker("other", now=at(60))
        old = await pooled.claim(zombie)
        assert await other.reclaim() == (1, 0)
        [new] = await other.claim(1)

        assert await settle(zombie, old) == "lost"
        assert await settle(other, new) == "settled"
        assert [line.result for line in await pooled.history(event_id)] == [
            "worker_lost",
            "completed",
        ]

    async def test_the_same_statements_again_and_again_prepare_nothing(
        self, pooled: Queue, db: Database
    ) -> None:
        # psycopg prepares from the fifth time on, unless it was told not to; the next session would
        # not know the statement.
        await pooled.accept_many(40)
        worker = pooled.worker(now=at(1))

        for _ in range(20):
            claims = await worker.claim(2)
            assert await worker.settle([ended(claim) for claim in claims]) == ["settled", "settled"]

        assert await pooled.statuses() == {"completed": 40}
        async with pooled.pool.connection() as connection:
            assert (
                await (
                    await connection.execute("select name from pg_prepared_statements")
                ).fetchall()
                == []
            )

    async def test_a_fact_commits_with_the_end_in_one_transaction(
        self, pooled: Queue, db: Database
    ) -> None:
        event_id = await pooled.accept("lead-1")
        worker = pooled.worker()
        claim = await pooled.claim(worker)
        fact = {"cpf": "00000000191"}

        assert (
            await settle(worker, claim, Ending("completed", *Done("enriched", fact=fact)))
            == "settled"
        )

        assert await db.value("select count(*) from people") == 1
        assert (await pooled.row(event_id)).status == "completed"

    async def test_the_claims_patience_stays_in_its_own_transaction(self, pooled: Queue) -> None:
        await pooled.accept_many(4)
        worker = pooled.worker(now=at(1))
        for _ in range(4):
            await worker.claim(1)

        async def patience() -> str:
            async with pooled.pool.connection() as connection:
                [(value,)] = await (
                    await connection.execute(
                        "select current_setting('lock_timeout') from pg_sleep(0.01)"
                    )
                ).fetchall()
                return str(value)

        assert set(await asyncio.gather(*(patience() for _ in range(4)))) == {"0"}

    async def test_several_at_once_share_the_work_out(self, pooled: Queue) -> None:
        await pooled.accept_many(200, leads=50)
        metrics = Recorded()
        pollers = [
            make_poller(pooled.worker(name), complete_at_once, metrics=metrics)
            for name in ("ana", "bruno")
        ]

        await asyncio.gather(*(poller.drain() for poller in pollers))

        assert await pooled.statuses() == {"completed": 200}
        assert metrics.transitions["completed"] == 200

    async def test_a_poller_that_has_no_direct_connection_is_not_taken_for_dead(
        self, pooled: Queue, pooler_url: str
    ) -> None:
        # Its session is anybody's a moment later, and others would take its events away.
        listener = Listener(partial(connect_direct, pooler_url, name="pulse ana", straight=True))
        listening = asyncio.create_task(listener.run(lambda: None, lambda: None))
        with pytest.raises(Indirect):
            await connect_direct(pooler_url, name="pulse bruno", straight=True)
        assert not listener.connected
        listening.cancel()

        async with await connect_direct(
            pooled.db.url, name="pulse ana", straight=True
        ) as connection:
            assert not connection.closed

    async def test_what_others_are_told_is_no_sign_of_a_direct_connection(
        self, db: Database
    ) -> None:
        """A pooler's session has listened for one poller and tells another. Here it is a session
        of this database that hears it, while its own call goes to a database of another name.
        """
        elsewhere = Secret(make_conninfo_url(db.url, "postgres"))
        async with await connect_direct(db.url, name="test") as connection:
            await connection.execute("listen webhook_events")
            await db.execute("notify webhook_events")

            assert await is_pooled(connection, elsewhere)
            assert not await is_pooled(connection, Secret(db.url))

    async def test_polling_alone_finds_what_comes(self, pooled: Queue) -> None:
        poller = make_poller(pooled.worker(now=None), complete_at_once, idle_poll=SHORT)

        async with running(poller):
            await pooled.db.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw) values ('lead-1',"
                " now(), '{}')"
            )
            await until(lambda: _completed(pooled))

    async def test_a_retry_comes_back_when_it_is_due(self, pooled: Queue) -> None:
        worker = pooled.worker()
        event_id = await pooled.accept(due=NOON)
        await settle(worker, await pooled.claim(worker), RETRIED)

        worker.sweep()
        assert await worker.claim(1) == []
        worker.now = at(40)
        assert await settle(worker, await pooled.claim(worker), COMPLETED) == "settled"

        assert [line.result for line in await pooled.history(event_id)] == ["retried", "completed"]


async def _completed(queue: Queue) -> bool:
    return await queue.statuses() == {"completed": 1}
