"""A session on Postgres: its parameters, the settings that we rest on, waits that end."""

import re
from collections.abc import Mapping
from secrets import token_hex
from select import POLLIN, poll
from typing import Any, TypeVar

from psycopg import AsyncConnection, OperationalError, abc, errors, sql
from psycopg.adapt import PyFormat, Transformer
from psycopg.generators import execute
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool

from c2s_enrich.options import Secret
from c2s_enrich.telemetry.lines import get_logger

T = TypeVar("T")

_log = get_logger("c2s_enrich.database")

# No statement of a process takes a tenth of it: a silence this long means a server, a pooler or a
# cable that is gone without a word. A person's command may read every row.
ANSWER_SECONDS, COMMAND_SECONDS = 10.0, 600.0
# A notification of our own arrives within milliseconds.
_HEARS_SECONDS = 1.0
# What statements, their readers and the promises rest on, whatever the database, the role or the
# environment say: psycopg reads one style of dates and intervals, and with array_nulls off a null
# in an array is the word "NULL".
SESSION = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    # One transaction left open holds back vacuum in the whole database, and claims slow down.
    "idle_in_transaction_session_timeout": "1min",
    # The server's own: it notices a machine that vanished without closing its connections.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "15s",
    "client_connection_check_interval": "10s",
    "synchronous_commit": "on",
    "plan_cache_mode": "auto",
    "jit": "off",
    # What pg_dump sets for itself; as a default it forbids every view.
    "restrict_nonsystem_relation_kind": "",
}
# Frees the rows of a process that is stopped in the middle of a transaction; from Postgres 17 on.
TRANSACTION_TIMEOUT = {"transaction_timeout": "1min"}
_SET = """
select set_config(name, wanted, false)
  from unnest(%s::text[], %s::text[]) as w (name, wanted)
 where current_setting(name, true) is not null
   and (name, current_setting(name)) <> ('synchronous_commit', 'remote_apply')
"""


_PARAMETER = re.compile(r"%\((\w+)\)s|%%")


class Statement:
    """One of our statements as the server takes it: `$1` stands for psycopg's `%(name)s`."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self.text = _PARAMETER.sub(self._place, text).encode()
        self.formats = [PyFormat.TEXT] * len(self.names)

    def _place(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "%"
        if name not in self.names:
            self.names.append(name)
        return f"${self.names.index(name) + 1}"


class Silence(OperationalError):
    """The server, or what stands between, said nothing for too long; the connection is closed."""


class Indirect(OperationalError):
    """Behind a transaction pooler LISTEN hears nothing, and a session is nobody's pulse."""


class Connection(AsyncConnection[tuple[Any, ...]]):
    """No wait is without an end. After a silence the pool's older connections are closed too."""

    answer_within = ANSWER_SECONDS
    used_at = 0.0
    _transformer: abc.Transformer | None = None

    def has_something_to_say(self) -> bool:
        """Between two statements that is mostly that it was closed."""
        told = poll()
        told.register(self.fileno(), POLLIN)
        return bool(told.poll(0))

    async def ask(
        self,
        statement: Statement,
        params: Mapping[str, Any],
        *,
        prepare: bool = True,
        binary: bool = False,
    ) -> tuple[PGresult, list[tuple[Any, ...]]]:
        """One statement's answer and rows, at a third of the CPU of psycopg's cursors."""
        if (transformer := self._transformer) is None:
            transformer = self._transformer = Transformer(self)
            self._names: dict[Statement, bytes] = {}
            self._named = 0
        given = [
            list(value) if isinstance(value := params[name], tuple | set | frozenset) else value
            for name in statement.names
        ]
        async with self.lock:
            # As text of no type: the casts in the statement say what each is.
            values = transformer.dump_sequence(given, statement.formats)
            if not prepare or self.prepare_threshold is None:
                self.pgconn.send_query_params(statement.text, values, result_format=binary)
            else:
                name = self._names.get(statement) or await self._name(statement)
                self.pgconn.send_query_prepared(name, values, result_format=binary)
            result = await self._result()
            transformer.set_pgresult(result)
            return result, transformer.load_rows(0, result.ntuples, tuple)

    async def _name(self, statement: Statement) -> bytes:
        # A name is never used again: whether one that was cancelled stands is not known.
        self._named += 1
        name = b"ours_%d" % self._named
        self.pgconn.send_prepare(name, statement.text)
        await self._result()
        self._names[statement] = name
        return name

    async def _result(self) -> PGresult:
        results: list[PGresult] = await self.wait(execute(self.pgconn))
        for result in results:
            # A server that ends says why, and libpq adds that it is gone.
            if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                raise errors.error_from_result(result)
        return results[0]

    async def wait(
        self,
        gen: abc.PQGen[T],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> T:
        """psycopg's own wait, with a limit. Raises Silence."""
        try:
            return await super().wait(gen, interval, timeout or self.answer_within)
        except errors._WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()
            # Only a pool gives its connections this attribute.
            pool: AsyncConnectionPool[Any] | None = getattr(self, "_pool", None)
            if pool is not None and self._created_at > pool._drained_at:
                await pool.drain()
            raise Silence(f"no answer within {self.answer_within:.0f} s") from None


async def connect_direct(url: str, *, name: str, straight: bool = False) -> Connection:
    """One autocommit connection to a server: for LISTEN and migrations. Raises Indirect where it
    must be `straight` and a pooler is between.
    """
    connection = await Connection.connect(url, **session_parameters(name))
    try:
        await apply_settings(connection, SESSION)
        if straight and await is_pooled(connection, Secret(url)):
            raise Indirect("DATABASE_URL_DIRECT leads to a pooler")
    except BaseException:
        await connection.close()
        raise
    return connection


def session_parameters(name: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "application_name": f"c2s-enrich {name}",
        "client_encoding": "UTF8",
        "connect_timeout": 8,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        # Keepalives stay away while an answer is awaited; this ends unacknowledged bytes.
        "tcp_user_timeout": 10_000,
    }


async def is_pooled(connection: AsyncConnection[Any], address: Secret) -> bool:
    """By Neon's host name, else by listening: behind a pooler LISTEN hears nothing."""
    if "-pooler." in connection.info.host:
        return True
    channel = f"c2s_{token_hex(8)}"
    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
    # From another session: what this one sends could come back with its own answer.
    async with await Connection.connect(address.reveal(), **session_parameters("probe")) as other:
        await other.execute("select pg_notify(%s, '')", (channel,))
    heard = [each async for each in connection.notifies(timeout=_HEARS_SECONDS, stop_after=1)]
    await connection.execute(sql.SQL("unlisten {}").format(sql.Identifier(channel)))
    return not heard


async def apply_settings(connection: AsyncConnection[Any], session: Mapping[str, str]) -> None:
    """Sets what this server knows of it, in one round trip. A stronger synchronous_commit stays."""
    await connection.execute(_SET, [list(session), list(session.values())])


async def configure_login(connection: AsyncConnection[tuple[Any, ...]]) -> None:
    """SET would reach whoever comes next behind a pooler: the login carries the settings."""
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(4210777002)")
        rows = await connection.execute(
            "select unnest(setconfig) from pg_db_role_setting s join pg_database d on"
            " d.oid = setdatabase where datname = current_database()"
            " and setrole = session_user::regrole"
        )
        there = dict(row[0].split("=", 1) for row in await rows.fetchall())
        rows = await connection.execute(
            "select name, current_setting(name, true) from unnest(%s::text[]) as s (name)",
            [list(SESSION)],
        )
        now = dict(await rows.fetchall())
        wanted = {name: value for name, value in SESSION.items() if now[name] is not None}
        if "remote_apply" in (now["synchronous_commit"], there.get("synchronous_commit")):
            wanted["synchronous_commit"] = "remote_apply"
        missing = {name: value for name, value in wanted.items() if there.get(name) != value}
        for name, value in missing.items():
            await connection.execute(
                sql.SQL("alter role session_user in database {} set {} = {}").format(
                    sql.Identifier(connection.info.dbname), sql.Identifier(name), sql.Literal(value)
                )
            )
    if missing:
        _log.warning("login_configured", settings=sorted(missing))
        # Sessions that the pooler has open keep what they began with. This one ends too; the pool
        # tries again. A pulse is a direct session, and its end would mean a dead poller.
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = session_user"
            " and datname = current_database() and starts_with(application_name, 'c2s-enrich')"
            " and not starts_with(application_name, 'c2s-enrich pulse')"
            " and (state = 'idle' or pid = pg_backend_pid())"
        )
    # A session that was busy meanwhile began before the login had its settings: it ends now.
    await connection.execute(
        "select pg_terminate_backend(pg_backend_pid()) from pg_settings"
        " where name = 'synchronous_commit' and source <> 'database user'"
    )


async def session_problem(connection: AsyncConnection[Any]) -> str | None:
    """What makes this database unfit for us, in one sentence; None when nothing does."""
    rows = await connection.execute(
        "select current_setting('server_encoding') as encoding, current_schema() as schema,"
        " current_setting('session_replication_role') as replication,"
        " current_setting('synchronous_commit') as commit,"
        " current_setting('default_transaction_isolation') as isolation"
    )
    [[encoding, schema, replication, commit, isolation]] = await rows.fetchall()
    if encoding != "UTF8":
        return (
            f"The database's encoding is {encoding}, UTF8 is needed: create it again with"
            " `create database … encoding 'UTF8' template template0`."
        )
    if schema is None:
        return "The search_path of this login names no schema that exists: set it to ours."
    for name, value, wanted in (
        ("session_replication_role", replication, ("origin",)),
        ("synchronous_commit", commit, ("on", "remote_apply")),
        ("default_transaction_isolation", isolation, ("read committed",)),
    ):
        if value not in wanted:
            return f"This login's sessions have {name} = {value}, {wanted[0]} is needed."
    return None
