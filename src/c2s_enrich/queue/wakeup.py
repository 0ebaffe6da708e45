"""Wake-up: LISTEN on a direct connection. A hint only: listeners die silently, so the poll behind
it is always armed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import structlog

_log = structlog.get_logger("c2s_enrich.queue")

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

# Often enough to notice a half-open connection (a cut cable, a suspended Neon compute) within a
# minute.
_CHECK_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_RETRY_AT_FIRST, _RETRY_AT_MOST = 0.5, 30.0


async def listen(
    connect: Connect, wake: Callable[[], None], reconnected: Callable[[], None]
) -> None:
    """Calls `wake` for each notification and after each (re)connection, since hints sent meanwhile
    are gone. Never returns.
    """
    wait, first = _RETRY_AT_FIRST, True
    while True:
        try:
            async with await connect() as connection:
                await connection.execute("listen webhook_events")
                if not first:
                    reconnected()
                wait, first = _RETRY_AT_FIRST, False
                wake()
                while True:
                    async for _ in connection.notifies(timeout=_CHECK_SECONDS):
                        wake()
                    # A query on this very connection, in time: the only proof that it still hears.
                    async with asyncio.timeout(_ANSWER_SECONDS):
                        await connection.execute("select 1")
        except (psycopg.Error, OSError, TimeoutError) as error:
            _log.warning("listener_reconnects", error=type(error).__name__, wait_seconds=wait)
            await asyncio.sleep(wait)
            wait = min(wait * 2, _RETRY_AT_MOST)
