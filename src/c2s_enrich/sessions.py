"""A session on Postgres: its parameters, the settings that we rest on, waits that end."""

from collections.abc import Mapping
from contextlib import aclosing
from secrets import token_hex
from typing import Any

from psycopg import OperationalError

from c2s_enrich.connection import Connection, wire_statements
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
# The first is what we would set ourselves.
_NEEDED = {
    "session_replication_role": ("origin",),
    "synchronous_commit": ("on", "remote_apply"),
    "default_transaction_isolation": ("read committed",),
}


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


async def is_pooled(connection: Connection, address: Secret) -> bool:
    """By Neon's host name, else by listening: behind a pooler LISTEN hears nothing."""
    if "-pooler." in connection.info.host:
        return True
    channel = f"c2s_{token_hex(8)}"
    await connection.execute(f"listen {channel}".encode())
    # From another session: what this one sends could come back with its own answer.
    async with await Connection.connect(address.reveal(), **session_parameters("probe")) as other:
        await other.execute("select pg_notify(%s, '')", (channel,))
    heard = False
    async with aclosing(connection.notifies(timeout=_HEARS_SECONDS)) as notifications:
        async for each in notifications:
            # A pooler's session has listened for others too, and tells whoever has it now.
            if heard := each.channel == channel:
                break
    await connection.execute(f"unlisten {channel}".encode())
    return not heard


async def apply_settings(connection: Connection, session: Mapping[str, str]) -> None:
    await _rows(connection, "apply", **_arrays(session))


async def configure_login(connection: Connection) -> None:
    """SET would reach whoever comes next behind a pooler: the login carries the settings."""
    async with connection.transaction():
        # The database's default may be read-only, and ALTER ROLE is refused there.
        await connection.execute("set transaction read write")
        await _rows(connection, "lock_login")
        missing = dict(await _rows(connection, "missing", **_arrays(SESSION)))
        for alter in missing.values():
            await connection.execute(alter.encode())
        if not missing:
            # Within the transaction: the next statement may be another session's.
            await _rows(connection, "end_old_session")
    if missing:
        _log.warning("login_configured", settings=sorted(missing))
        await _rows(connection, "end_sessions_before_the_change")


async def session_problem(connection: Connection) -> str | None:
    """What makes this database unfit for us, in one sentence; None when nothing does."""
    [[encoding, schema, *values]] = await _rows(connection, "facts")
    if encoding != "UTF8":
        return (
            f"The database's encoding is {encoding}, UTF8 is needed: create it again with"
            " `create database … encoding 'UTF8' template template0`."
        )
    if schema is None:
        return "The search_path of this login names no schema that exists: set it to ours."
    for (name, wanted), value in zip(_NEEDED.items(), values, strict=True):
        if value not in wanted:
            return f"This login's sessions have {name} = {value}, {wanted[0]} is needed."
    return None


def _arrays(session: Mapping[str, str]) -> dict[str, list[str]]:
    return {"names": list(session), "wanted": list(session.values())}


async def _rows(connection: Connection, name: str, **params: Any) -> list[tuple[Any, ...]]:
    return (await connection.ask(wire_statements("sessions")[name], params, prepare=False))[1]
