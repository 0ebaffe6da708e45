"""The way to Postgres: the pool, a topic's statements, and which errors heal by themselves."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from psycopg import Error, OperationalError, errors
from psycopg.pq import TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from c2s_enrich import sessions
from c2s_enrich.connection import ANSWER_SECONDS, COMMAND_SECONDS, Connection
from c2s_enrich.connection import sql_folder as sql_folder
from c2s_enrich.connection import statements as statements
from c2s_enrich.connection import wire_statements as wire_statements
from c2s_enrich.settings import Settings

T = TypeVar("T")

# Whoever rested longer is checked: Neon, for one, suspends and cuts after five idle minutes.
_REST_SECONDS, _CHECK_SECONDS = 30.0, 2.0
# Before the next try, where a connection that was just made is dead as well.
_PAUSE_SECONDS = 0.5
# At the end, for who is still connecting.
_LAST_SECONDS = 0.5


class Pool(AsyncConnectionPool[Connection]):
    """psycopg's pool with a cheap way in and out. Its own lock, queue and bookkeeping, which were a
    tenth of a poller's CPU, are left to what is new, broken or has rested.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, connection_class=Connection, **named)
        # Nobody stands in psycopg's queue but who waits for a new connection.
        self._places = asyncio.Semaphore(self.max_size)
        self._in_line = 0

    async def getconn(
        self,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Connection:
        """One that answers. After a fail-over all that rest are dead, and psycopg's own check waits
        for longer and longer between two of them.
        """
        began, seconds = time.monotonic(), timeout or self.timeout
        if self._places.locked():
            await self._stand_in_line(seconds)
        else:
            await self._places.acquire()
        try:
            while True:
                left = began + seconds - time.monotonic()
                connection = self._last_returned() or await super().getconn(left)
                try:
                    rested = began - connection.used_at > _REST_SECONDS
                    if rested or connection.has_something_to_say():
                        connection.answer_within, usual = _CHECK_SECONDS, connection.answer_within
                        try:
                            await connection.execute("")
                        finally:
                            connection.answer_within = usual
                    return connection
                except BaseException as error:
                    await super().putconn(connection)
                    if not isinstance(error, Error):
                        raise
                if connection._created_at > began:
                    await asyncio.sleep(_PAUSE_SECONDS)
        except BaseException:
            self._places.release()
            raise

    async def _stand_in_line(self, seconds: float) -> None:
        self._in_line += 1
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise PoolTimeout(f"couldn't get a connection after {seconds:.2f} sec") from None
        finally:
            self._in_line -= 1

    def _last_returned(self) -> Connection | None:
        if self._closed or not self._pool:
            return None
        connection = self._pool.pop()
        self._nconns_min = min(self._nconns_min, len(self._pool))
        connection._pool = self
        return connection

    async def putconn(self, conn: Connection) -> None:
        conn.used_at = time.monotonic()
        well = (
            conn.pgconn.transaction_status == TransactionStatus.IDLE
            and conn._expire_at > conn.used_at
            and not self.has_outlived(conn)
        )
        try:
            if well and not self._waiting and not self._closed:
                conn._pool = None
                self._pool.append(conn)
            else:
                await super().putconn(conn)
        finally:
            self._places.release()

    async def close(self, timeout: float = _LAST_SECONDS) -> None:  # noqa: ASYNC109
        await super().close(timeout)
        for _ in range(self._in_line):
            self._places.release()  # the closed pool says so to each of them

    def get_stats(self) -> dict[str, int]:
        stats = super().get_stats()
        stats["requests_waiting"] += self._in_line
        return stats

    def has_outlived(self, connection: Connection) -> bool:
        """Whether it is from before a silence: then nobody waits for it to be silent, too."""
        return bool(connection._created_at <= self._drained_at)


class Statements:
    """The statements of one topic by name, each on a connection of the pool, or all on the one
    connection whose transaction they belong to. Sets and tuples are given to them as arrays.
    """

    def __init__(self, door: Pool | Connection, topic: str, *, prepare: bool = True) -> None:
        """`prepare` False: the values of each call decide about its plan."""
        self._door = door
        self._sql = wire_statements(topic)
        self._prepare = prepare

    async def rows(self, name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        """All rows; none of a statement that answers nothing."""
        return (await self._ask(name, params))[1]

    async def read(self, kind: type[T], name: str, /, **params: Any) -> list[T]:
        """All rows as `kind`, which takes the columns by their names; `dict` does, too."""
        result, rows = await self._ask(name, params)
        columns = [(result.fname(n) or b"").decode() for n in range(result.nfields)]
        return [kind(**dict(zip(columns, row, strict=True))) for row in rows]

    async def one(self, kind: type[T], name: str, /, **params: Any) -> T | None:
        """The first row as `kind`; None where there is none."""
        found = await self.read(kind, name, **params)
        return found[0] if found else None

    async def touch(self, name: str, /, **params: Any) -> int:
        """How many rows it changed."""
        result, rows = await self._ask(name, params)
        return result.command_tuples or len(rows)

    async def _ask(
        self, name: str, params: Mapping[str, Any]
    ) -> tuple[PGresult, list[tuple[Any, ...]]]:
        door = self._door
        if isinstance(door, Connection):
            return await door.ask(self._sql[name], params, prepare=self._prepare)
        connection = await door.getconn()
        try:
            return await connection.ask(self._sql[name], params, prepare=self._prepare)
        finally:
            await door.putconn(connection)


def open_pool(settings: Settings, *, name: str) -> Pool:
    """A pool of autocommit connections to DATABASE_URL, shown in pg_stat_activity as `c2s-enrich
    <name>`. `async with` opens it, without waiting for the database.
    """
    return Pool(
        settings.database_url.reveal(),
        min_size=min(2, settings.database_pool_size),
        max_size=settings.database_pool_size,
        kwargs=sessions.session_parameters(name),
        configure=_fitted(settings, name),
        timeout=ANSWER_SECONDS,
        # Shorter than the five idle minutes after which Neon suspends; psycopg's is longer.
        max_idle=120,
        name=name,
        open=False,
    )


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later: lost connection, fail-over, deadlock."""
    if isinstance(error, PoolClosed) or not isinstance(error, Error):
        return False
    if isinstance(error, errors.ReadOnlySqlTransaction | errors.IdleInTransactionSessionTimeout):
        return True
    # Wrong credentials (28) and broken limits (54) are OperationalErrors, too: they stay.
    return isinstance(error, OperationalError) and (error.sqlstate or "")[:2] not in ("28", "54")


def _fitted(settings: Settings, name: str) -> Callable[[Connection], Awaitable[None]]:
    """Fits each new connection to a server or a transaction pooler, as the first finds out."""
    pooled: bool | None = None
    one_at_a_time = asyncio.Lock()

    async def fit(connection: Connection) -> None:
        nonlocal pooled
        async with one_at_a_time:
            if pooled is None:
                pooled = await sessions.is_pooled(connection, settings.database_url)
        if pooled:
            # The next statement may reach a session that has not prepared it.
            connection.prepare_threshold = None
            await sessions.configure_login(connection)
        else:
            more = {} if name == "command" else sessions.TRANSACTION_TIMEOUT
            patience = {"statement_timeout": "2s"} if name == "console" else {}
            await sessions.apply_settings(connection, sessions.SESSION | more | patience)
        connection.answer_within = COMMAND_SECONDS if name == "command" else ANSWER_SECONDS
        connection.used_at = time.monotonic()

    return fit
