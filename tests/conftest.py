"""What every test may ask for: a migrated database of its own, emptied before each test. Real
Postgres always.

Which server, best first: TEST_DATABASE_URL; the programs in the folder TEST_POSTGRES_PROGRAMS;
Docker (testcontainers), where a daemon answers and the image can be had; the embedded one. The
header of the run says which it took and why.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import secrets
import sys
import threading
import warnings
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import psycopg
import pytest
from psycopg import AsyncConnection, Connection, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row
from tests.kept_sessions import KeptSessions, keep_sessions

from c2s_enrich.database import Pool, open_pool
from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres, postgres_programs
from c2s_enrich.settings import Process, Settings
from c2s_enrich.telemetry.lines import Level, Logger, event_names

IMAGE = "postgres:17-alpine"

# The whole environment of a test's settings. Port 9 (discard): whatever a test does not simulate
# answers "connection refused".
ENVIRONMENT = {
    "WEBHOOK_SECRET": "a-webhook-secret",
    "ADMIN_TOKEN": "an-admin-token",
    "HASH_KEY": "a-hash-key-of-at-least-32-characters",
    "HOST": "127.0.0.1",
    "C2S_BASE_URL": "http://127.0.0.1:9/c2s",
    "C2S_TOKEN": "a-c2s-token",
    "C2S_MIN_INTERVAL": "0",
    "DIRETRIX_BASE_URL": "http://127.0.0.1:9/diretrix",
    "DIRETRIX_USER": "a-user",
    "DIRETRIX_PASS": "a-password",
    "WORK_API_BASE_URL": "http://127.0.0.1:9/work_api",
    "WORK_API_TOKEN": "a-work-token",
    "WORK_API_MIN_INTERVAL": "0",
}


class Server(NamedTuple):
    """Where the tests' databases live: its name, why it was taken, and how to start it (yields a
    superuser's address).
    """

    name: str
    why: str
    start: Callable[[ExitStack], str]


def pytest_configure(config: pytest.Config) -> None:
    # No test may pick up the developer's own settings or server.
    with warnings.catch_warnings():
        # A Docker client that finds no daemon forgets to close its socket.
        warnings.simplefilter("ignore", ResourceWarning)
        config.stash[_SERVER] = _choose_server(config, os.environ)
        gc.collect()
    # A test judges what happens, not how long it takes on a busy machine.
    hypothesis.settings.register_profile("untimed", deadline=None)
    hypothesis.settings.load_profile("untimed")
    config.addinivalue_line("markers", "database: the test needs a database; set by its fixtures")
    if config.option.order is None:
        # Processes that share a run must agree on the order: one draws it and hands it on.
        config.option.order = getattr(config, "workerinput", {}).get("order") or random.randrange(
            1, 1_000_000
        )
    for name in [
        *ENVIRONMENT,
        "DATABASE_URL",
        "DATABASE_URL_DIRECT",
        "C2S_GATEWAY_URL",
        *(n for n in os.environ if n.startswith("PG")),
    ]:
        os.environ.pop(name, None)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Called by pytest-xdist for each process that it starts: all of them share one server."""
    node.workerinput["order"] = node.config.option.order
    config: pytest.Config = node.config
    with suppress(
        postgres_programs.EmbeddedError
    ):  # each process says it again, as its tests' result
        if _SHARED not in config.stash:
            stack = ExitStack()
            config.add_cleanup(stack.close)
            config.stash[_SHARED] = config.stash[_SERVER].start(stack)
        node.workerinput["server_url"] = config.stash[_SHARED]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--order",
        type=int,
        default=None,
        help="seed of the tests' random order; 0 keeps the written order",
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    server = config.stash[_SERVER]
    return [
        f"database: {server.name} ({server.why})",
        f"order: repeat this run's with --order={config.option.order}",
    ]


# Their classes share a server of their own.
WHOLE = ("tests/ops/test_doctor_for_production.py", "tests/sql/test_owners_and_schemas.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each class goes to one process, and these files as a whole."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    def scope(test: str) -> str:
        file = test.partition("::")[0]
        return file if file in WHOLE else str(by_class(test))

    scheduling = LoadScopeScheduling(config, log)
    by_class, scheduling._split_scope = scheduling._split_scope, scope
    return scheduling


# Begun last, one of them would keep a single process busy when all others have ended: whole
# processes, checks of the whole repository, large tables.
LONG = (
    *(f"tests/{room}/" for room in ("architecture", "sandbox", "promises", "mutants", "ship")),
    "tests/console/test_in_a_browser",
    "tests/intake/test_fuzz",
    "tests/ops/test_alerts",
    "tests/ops/test_doctor_for_production",
    "tests/ops/test_large_table",
    "tests/platform/test_sessions",
    "tests/queue/test_by_hand",
    "tests/queue/test_plans",
)


def pytest_collection(session: pytest.Session) -> None:
    """On a fresh machine each process that shares the run begins to compile in another room, and
    finds the others' work when it gets there.
    """
    config = session.config
    paths: list[str] = config.getini("testpaths")
    worker = getattr(config, "workerinput", None)
    # What is named is collected although it is to be ignored.
    if worker and config.option.order and config.args == paths and not config.option.ignore:
        rooms = sorted(
            str(path)
            for root in paths
            for path in (config.rootpath / root).iterdir()
            if (path.is_dir() and path.name != "__pycache__") or path.match("test_*.py")
        )
        first = len(rooms) * int(worker["workerid"].removeprefix("gw")) // worker["workercount"]
        config.args = rooms[first:] + rooms[:first]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files in random order, the long ones first, and the tests within each file: what depends on
    an order breaks soon. Seeded, so it can be repeated.
    """
    for item in items:
        if "server_url" in getattr(item, "fixturenames", ()):
            item.add_marker("database")
    seed = config.option.order
    if seed:

        def place(item: pytest.Item) -> tuple[bool, int, int]:
            file, _, test = item.nodeid.partition("::")
            return (
                not file.startswith(LONG),
                zlib.crc32(f"{seed}{file}".encode()),
                zlib.crc32(f"{seed}{test}".encode()),
            )

        items.sort(key=place)


def pytest_collection_finish() -> None:
    """The modules and tests stay until the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


_SERVER = pytest.StashKey[Server]()
_SHARED = pytest.StashKey[str]()


def _choose_server(config: pytest.Config, env: Mapping[str, str]) -> Server:
    if shared := getattr(config, "workerinput", {}).get("server_url"):
        return Server("the server of this run", "its processes share it", lambda _: shared)
    if url := env.get("TEST_DATABASE_URL"):
        return Server("TEST_DATABASE_URL", "it is set", lambda _: url)
    if programs := env.get("TEST_POSTGRES_PROGRAMS"):
        return Server(programs, "TEST_POSTGRES_PROGRAMS is set", _start_embedded(Path(programs)))
    problem = _docker_problem()
    if problem is None:
        return Server(
            f"testcontainers, {IMAGE}",
            "TEST_DATABASE_URL is not set and Docker answers",
            _start_container,
        )
    return Server(
        "embedded Postgres",
        f"TEST_DATABASE_URL is not set, and no Docker: {problem}",
        _start_embedded(None),
    )


def _docker_problem() -> str | None:
    """Why Docker cannot give us a Postgres; None when it can (the image is there after this)."""
    usual = Path("/var/run/docker.sock")
    # Its client takes a second to import.
    if os.name == "posix" and not os.environ.get("DOCKER_HOST") and not usual.exists():
        return f"there is no {usual}"
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.from_env(timeout=5)
    except DockerException as error:
        return type(error.__cause__ or error).__name__ + " when asked for its version"
    try:
        try:
            client.images.get(IMAGE)
        except ImageNotFound:
            client.images.pull(IMAGE)
    except (DockerException, OSError) as error:
        return f"{IMAGE} is neither there nor to be pulled ({type(error).__name__})"
    finally:
        client.close()
    return None


def _start_container(stack: ExitStack) -> str:
    from testcontainers.postgres import PostgresContainer

    container = stack.enter_context(
        PostgresContainer(IMAGE, driver=None).with_command(
            "postgres -c fsync=off -c max_connections=400"
        )
    )
    return str(container.get_connection_url())


def _start_embedded(programs: Path | None) -> Callable[[ExitStack], str]:
    settings = {"max_connections": "400"}
    return lambda stack: (
        stack.enter_context(postgres.start_throwaway(settings=settings, programs=programs)).url
    )


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a server on which databases may be created. Only its absence makes tests skip, and
    in CI not even that.
    """
    with ExitStack() as stack:
        try:
            url = request.config.stash[_SERVER].start(stack)
        except postgres_programs.EmbeddedError as error:
            if os.environ.get("CI"):
                pytest.fail(f"no database for the tests: {error}")
            pytest.skip(f"no database for the tests: {error}")
        yield url


@pytest.fixture(scope="session")
def create_database(server_url: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database and returns its address; all of them are dropped at the end."""
    made: list[str] = []

    def create() -> str:
        name = f"c2s_test_{os.getpid()}_{secrets.token_hex(3)}"
        with psycopg.connect(server_url, autocommit=True) as connection:
            # Through the log, which is usual from 15 on, it takes 250 ms in place of 30.
            copy = "strategy file_copy" if connection.info.server_version >= 150000 else ""
            connection.execute(
                sql.SQL("create database {} template template0 {}").format(
                    sql.Identifier(name), sql.SQL(copy)
                )
            )
        made.append(name)
        return make_conninfo_url(server_url, name)

    yield create
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in made:
            connection.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


@pytest.fixture(scope="session")
def kept_sessions(create_database: Callable[[], str]) -> Iterator[KeptSessions]:
    """This process's migrated database, and its sessions that rest between two tests."""
    url = create_database()
    asyncio.run(migrate(url))
    with keep_sessions(url) as kept:
        yield kept


@pytest.fixture(scope="session")
def database_url(kept_sessions: KeptSessions) -> str:
    """Address of this process's migrated database. Most tests want `db`, which is the same one,
    empty.
    """
    return kept_sessions.url


@pytest.fixture
def new_sessions(kept_sessions: KeptSessions) -> Iterator[None]:
    """For tests that change what a session begins with: each connection opens one of its own."""
    kept_sessions.end()
    kept_sessions.paused = True
    yield
    kept_sessions.paused = False


def make_conninfo_url(server: str, database: str) -> str:
    """The same server and user, another database."""
    if "://" not in server:
        return make_conninfo(server, dbname=database)
    scheme, _, rest = server.partition("://")
    authority, _, tail = rest.partition("/")
    _, mark, query = tail.partition("?")
    return f"{scheme}://{authority}/{database}{mark}{query}"


@dataclass(frozen=True)
class Database:
    """A migrated, empty database, and short ways to look into it."""

    url: str
    connection: AsyncConnection[Any]

    def settings(self, process: Process = "tool", **overrides: Any) -> Settings:
        """Settings for tests. UPPER_CASE overrides are environment variables, lower_case ones are
        fields (not cross-checked).
        """
        env = (
            ENVIRONMENT
            | {"DATABASE_URL": self.url}
            | {name: str(value) for name, value in overrides.items() if name.isupper()}
        )
        return replace(
            Settings.load(env, process),
            **{name: value for name, value in overrides.items() if not name.isupper()},
        )

    async def fetch(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> list[Any]:
        """All rows, as named tuples."""
        cursor = await self.connection.execute(query.encode(), params)
        return await cursor.fetchall()

    async def value(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Any:
        """The only column of the only row."""
        [[value]] = await self.fetch(query, params)
        return value

    async def until_blocked(self, count: int = 1) -> None:
        """Returns when this many of its sessions wait for a lock."""
        # A transaction sees the activity of its first look until it asks for a new one.
        query = (
            "select count(*) from pg_stat_clear_snapshot(), pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with asyncio.timeout(20):
            while await self.value(query) < count:
                await asyncio.sleep(0.01)

    async def execute(
        self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> int:
        """Runs a statement and returns the number of rows that it touched."""
        return (await self.connection.execute(query.encode(), params)).rowcount


@pytest.fixture(autouse=True)
def no_logs_left_behind() -> Iterator[None]:
    """A command that ran inside a test has sent this process's logs to a stream that is gone."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before = list(root.handlers)
    yield
    # Whoever put the handlers back by itself still leaves the rest.
    root.handlers[:] = before
    Logger.write = None
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = hooks


@contextmanager
def told() -> Iterator[list[dict[str, Any]]]:
    """The lines that our loggers write meanwhile."""
    lines: list[dict[str, Any]] = []

    def keep(_: str, level: Level, event: str, facts: Mapping[str, Any], searched: bool) -> None:
        lines.append({**event_names(), **facts, "event": event, "level": level})

    before, Logger.write = Logger.write, keep
    try:
        yield lines
    finally:
        Logger.write = before


@pytest.fixture(scope="module")
def empty(database_url: str) -> Iterator[Callable[[], None]]:
    """Empties this process's database, through a connection that knows the tables by now."""
    with ExitStack() as stack:

        def connect() -> Connection[Any]:
            kept = stack.enter_context(psycopg.connect(database_url, autocommit=True))
            # A connection that an earlier test left with open locks must not hang this one.
            return kept.execute("set lock_timeout = '10s'").connection

        connection = connect()

        def empty() -> None:
            nonlocal connection
            try:
                _remove_all_rows(connection)
            except psycopg.OperationalError:
                if not connection.closed:
                    raise
                # A test has ended every session.
                connection = connect()
                _remove_all_rows(connection)

        yield empty


def _remove_all_rows(connection: Connection[Any]) -> None:
    """Rows of `upstreams` are as the migration made them."""
    tables = connection.execute(
        "select oid::regclass::text, pg_table_size(oid) > 400000 from pg_class where relkind = 'r'"
        " and relnamespace = 'public'::regnamespace and relname <> 'schema_migrations'"
        " and pg_relation_size(oid) > 0"
    ).fetchall()
    # 1 ms of the server's CPU. TRUNCATE takes 20, as it makes every index again: it is for what
    # has grown.
    steps = ["set session_replication_role = replica"]
    steps += [f"delete from {name}" for name, large in tables if not large]
    steps += [f"truncate {name} cascade" for name, large in tables if large]
    steps += ["insert into upstreams (name) values ('c2s'), ('diretrix'), ('work_api')"]
    connection.execute("; ".join(steps).encode())


@pytest.fixture
async def db(database_url: str, empty: Callable[[], None]) -> AsyncIterator[Database]:
    """This process's database, emptied. The rows of `upstreams` are as the migration made them."""
    empty()
    async with await AsyncConnection.connect(
        database_url, autocommit=True, row_factory=namedtuple_row
    ) as connection:
        yield Database(database_url, connection)


@pytest.fixture
async def pool(db: Database) -> AsyncIterator[Pool]:
    """A pool on the same database, as the processes have it."""
    async with open_pool(db.settings(), name="test") as opened:
        yield opened
