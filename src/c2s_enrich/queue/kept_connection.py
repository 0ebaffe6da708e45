"""A connection for one kind of statement: taken from the pool once and kept, so that a statement
costs one round trip.

It also keeps the queue alive while the handlers hold every other connection: a heartbeat never
stands in line behind them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString

from psycopg import Error
from psycopg.pq import TransactionStatus

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, is_transient

# After such a rest the connection goes back and a checked one is taken: Neon, for one, suspends and
# cuts after five minutes.
_REST_SECONDS = 30.0


class KeptConnection:
    """One statement at a time. Steady, it keeps its connection for as long as it works; otherwise
    it gives it back each time. The connection itself ends a silence.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()
        self._kept: Connection | None = None
        self._used_at = 0.0
        self.steady = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for what happens inside."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            rested = loop.time() - self._used_at > _REST_SECONDS
            if self._kept and (rested or self._pool.has_outlived(self._kept)):
                await self.hang_up()
            fresh = self._kept is None
            kept = self._kept = self._kept or await self._pool.getconn()
            try:
                if fresh:
                    await self._plan(kept, "force_generic_plan")
                yield kept
            except BaseException as error:
                in_doubt = _in_doubt(kept, error)
                if in_doubt and self.steady:
                    await kept.close()
                if in_doubt or not self.steady:
                    await self.hang_up()
                raise
            self._used_at = loop.time()
            if not self.steady:
                await self.hang_up()

    async def hang_up(self) -> None:
        """Gives the connection back; the pool throws away a broken one."""
        connection, self._kept = self._kept, None
        if connection is not None:
            if self._pool.has_outlived(connection):
                await connection.close()
            try:
                await self._plan(connection, "auto")
            except Error:
                await connection.close()
            await self._pool.putconn(connection)

    async def _plan(self, connection: Connection, mode: LiteralString) -> None:
        # The claim would be planned for each call, which takes as long as it runs. Not through a
        # pooler: there the setting would be somebody else's.
        if self.steady and not connection.closed and connection.prepare_threshold is not None:
            await connection.execute(f"set plan_cache_mode = {mode}")


def _in_doubt(connection: Connection, error: BaseException) -> bool:
    # A refused statement leaves a good connection. Transient errors also come from one that still
    # stands, but to a server that is shutting down or has become a replica.
    refused = isinstance(error, Exception) and not is_transient(error)
    return not refused or connection.info.transaction_status is not TransactionStatus.IDLE
