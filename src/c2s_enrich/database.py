"""The door to Postgres: the SQL files, the connection pool, and which errors heal by themselves.

No statement is written here. SQL lives in `sql/`, and each statement has one caller, in the
`store.py` of its topic.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import Any, LiteralString, cast

from psycopg import AsyncConnection, Error, OperationalError, ProgrammingError, errors, sql
from psycopg.pq import PipelineStatus
from psycopg_pool import AsyncConnectionPool, PoolClosed

from c2s_enrich.options import Secret
from c2s_enrich.settings import Settings

Pool = AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]

# A notification of our own arrives within milliseconds.
_HEARS_SECONDS = 1.0
_NAME = re.compile(r"^-- name: (\w+)[ \t]*$", re.MULTILINE)


def sql_folder() -> Path:
    """The folder `sql/`: inside the package in a wheel, at the top of the repository in a checkout."""
    packed = Path(__file__).parent / "sql"
    return packed if packed.is_dir() else Path(__file__).parents[2] / "sql"


@cache
def statements(topic: str) -> Mapping[str, LiteralString]:
    """The statements of `sql/queries/<topic>.sql` by name. Raises ValueError on a name given twice."""
    text = (sql_folder() / "queries" / f"{topic}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    found: dict[str, LiteralString] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise ValueError(f"sql/queries/{topic}.sql defines {name} twice")
        # We vouch for it: the text comes from our own files and no value is ever spliced into it.
        found[name] = cast(LiteralString, statement.strip())
    return MappingProxyType(found)


@asynccontextmanager
async def open_pool(settings: Settings, *, name: str) -> AsyncIterator[Pool]:
    """A pool of autocommit connections to DATABASE_URL, shown in pg_stat_activity as `c2s-enrich
    <name>`.

    Opening does not wait for the database: a process that starts while Postgres is away comes up
    and finds it later.
    """
    async with make_pool(settings, name=name) as pool:
        yield pool


def make_pool(settings: Settings, *, name: str) -> Pool:
    """The same, not yet open: for what is built before there is an event loop. The owner opens it
    with `async with`.
    """
    return AsyncConnectionPool(
        settings.database_url.reveal(),
        min_size=min(2, settings.database_pool_size),
        max_size=settings.database_pool_size,
        kwargs=_parameters(name),
        configure=_fitted(settings),
        reset=_refuse_an_open_pipeline,
        # A suspended or restarted server leaves dead connections behind. One cheap round trip finds
        # them before the caller does.
        check=AsyncConnectionPool.check_connection,
        # Shorter than the five idle minutes after which Neon suspends and cuts connections;
        # psycopg's default is longer.
        max_idle=120,
        name=name,
        open=False,
    )


async def connect_direct(settings: Settings, *, name: str) -> AsyncConnection[tuple[Any, ...]]:
    """One autocommit connection that passes by any pooler, for LISTEN. Keepalives find a silently
    cut line within a minute.
    """
    return await AsyncConnection.connect(settings.direct_url.reveal(), **_parameters(name))


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed a little later: connection trouble, shutdown,
    fail-over, deadlock, a full pool.
    """
    if isinstance(error, PoolClosed) or not isinstance(error, Error):
        return False
    if isinstance(error, errors.ReadOnlySqlTransaction | errors.IdleInTransactionSessionTimeout):
        return True
    # psycopg also files wrong credentials (28) and broken size limits (54) under OperationalError:
    # those stay as they are.
    return isinstance(error, OperationalError) and (error.sqlstate or "")[:2] not in ("28", "54")


def _parameters(name: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "application_name": f"c2s-enrich {name}",
        "connect_timeout": 10,
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        # Keepalives stay away while an answer is awaited; this ends a connection whose bytes nobody
        # acknowledges.
        "tcp_user_timeout": 30_000,
    }


def _fitted(settings: Settings) -> Callable[[AsyncConnection[Any]], Awaitable[None]]:
    """Fits each new connection to what DATABASE_URL is: a server, or a transaction pooler, which
    the first connection finds out.
    """
    pooled: bool | None = None
    one_at_a_time = asyncio.Lock()

    async def fit(connection: AsyncConnection[Any]) -> None:
        nonlocal pooled
        async with one_at_a_time:
            if pooled is None:
                pooled = await is_pooled(connection, settings.database_url)
        if pooled:
            # The next statement may reach a session that has not prepared it.
            connection.prepare_threshold = None
        else:
            # One transaction left open holds back vacuum in the whole database, and claims slow
            # down. (A pooler would hand the setting to whichever client comes next.)
            await connection.execute("set idle_in_transaction_session_timeout = '60s'")

    return fit


async def is_pooled(connection: AsyncConnection[Any], address: Secret) -> bool:
    """Whether a transaction pooler stands between: by Neon's host name, else by listening. Behind a
    pooler LISTEN does not fail, it hears nothing.
    """
    if "-pooler." in connection.info.host:
        return True
    channel = f"c2s_{token_hex(8)}"
    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
    # From another session: what this one sends could come back with its own answer.
    async with await AsyncConnection.connect(address.reveal(), **_parameters("probe")) as other:
        await other.execute("select pg_notify(%s, '')", (channel,))
    heard = [each async for each in connection.notifies(timeout=_HEARS_SECONDS, stop_after=1)]
    await connection.execute(sql.SQL("unlisten {}").format(sql.Identifier(channel)))
    return not heard


async def _refuse_an_open_pipeline(connection: AsyncConnection[Any]) -> None:
    # A task that is cancelled while it enters or leaves a pipeline can leave the connection in
    # pipeline mode (seen with psycopg 3.3). Whoever got it next would send statements that are not
    # committed until some later one is. Refused here, the pool closes it.
    if connection.pgconn.pipeline_status != PipelineStatus.OFF:
        raise ProgrammingError("returned in pipeline mode")
