"""Wake-up: LISTEN on a direct connection. A hint only: listeners die silently, so the poll behind it is always armed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog

_log = structlog.get_logger("c2s_enrich.queue")

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

# Often enough to notice a half-open connection (a cut cable, a suspended Neon compute) within a minute.
_CHECK_SECONDS = 30.0


async def listen(connect: Connect, wake: Callable[[], None], reconnected: Callable[[], None]) -> None:
    """Calls `wake` for each notification and after each (re)connection, since hints sent meanwhile are gone. Never returns."""
    wait = 0.5
    while True:
        try:
            async with await connect() as connection:
                await connection.execute("listen webhook_events")
                wait = 0.5
                wake()
                while True:
                    async for _ in connection.notifies(timeout=_CHECK_SECONDS, stop_after=1):
                        wake()
                    # A query on this very connection, in time: the only proof that it still hears.
                    async with asyncio.timeout(10):
                        await connection.execute("select 1")
        except (psycopg.Error, OSError, TimeoutError) as error:
            _log.warning("listener_reconnects", error=type(error).__name__, wait_seconds=wait)
            reconnected()
            await asyncio.sleep(wait)
            wait = min(wait * 2, 30.0)
