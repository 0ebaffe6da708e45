"""A session on Postgres: its parameters, the settings that we rest on, waits that end."""

from collections.abc import Mapping
from contextlib import aclosing
from secrets import token_hex
from typing import Any

from psycopg import AsyncConnection, OperationalError, sql

from c2s_enrich.connection import Connection
from c2s_enrich.options import Secret
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger("c2s_enrich.database")

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
    "transaction_timeout": "0",
    "exit_on_error": "off",
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


class Indirect(OperationalError):
    """Behind a transaction pooler LISTEN hears nothing, and a session is nobody's pulse."""


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
        # Of several hosts, never a standby; read-write would ask for a default that we set anyway.
        "target_session_attrs": "primary",
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
    heard = False
    async with aclosing(connection.notifies(timeout=_HEARS_SECONDS)) as notifications:
        async for each in notifications:
            # A pooler's session has listened for others too, and tells whoever has it now.
            if heard := each.channel == channel:
                break
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
