"""Wake-up: LISTEN on a direct connection. A hint only: listeners die silently, so the poll behind
it is always armed.

The same connection is the poller's pulse: when the server has seen it end, others take over what
the poller held.
"""

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from c2s_enrich.sessions import Indirect
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger("c2s_enrich.queue")

Connect = Callable[[], Awaitable[psycopg.AsyncConnection[Any]]]

# Keepalives notice a cut cable within a minute, and polling finds events meanwhile. This query is
# for what keepalives do not see; at rest each one counts.
_CHECK_SECONDS = 300.0
_ANSWER_SECONDS = 10.0
# The first retry comes before others take a lost connection for a dead poller.
_RETRY_AT_FIRST, _RETRY_AT_MOST = 0.2, 30.0


class Listener:
    """Calls back for each notification and after each (re)connection, since hints sent meanwhile
    are gone. `connected` says whether the connection stands.
    """

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._session: psycopg.AsyncConnection[Any] | None = None
        self.connected = False

    def pulse(self) -> Callable[[], bool]:
        """What tells whether the session of this moment still stands: without waiting, and without
        a clock. A hang-up that came while the process was stopped is seen at once.
        """
        session = self._session if self.connected else None

        def stands() -> bool:
            if session is None:
                return True  # there is no session that could be ended
            if not self.connected or session is not self._session or session.closed:
                return False
            hung_up = select.poll()
            hung_up.register(session.pgconn.socket, getattr(select, "POLLRDHUP", select.POLLHUP))
            return not hung_up.poll(0)

        return stands

    async def run(self, wake: Callable[[], None], reconnected: Callable[[], None]) -> None:
        """Never returns."""
        wait, first = _RETRY_AT_FIRST, True
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute("listen webhook_events")
                    if not first:
                        reconnected()
                    wait, first, self.connected = _RETRY_AT_FIRST, False, True
                    self._session = connection
                    wake()
                    while True:
                        async for _ in connection.notifies(timeout=_CHECK_SECONDS):
                            wake()
                        # A query on this very connection, in time: the only proof that it hears.
                        async with asyncio.timeout(_ANSWER_SECONDS):
                            await connection.execute("select 1")
            except (psycopg.Error, OSError, TimeoutError) as error:
                self.connected = False
                if isinstance(error, Indirect):
                    wait = _CHECK_SECONDS
                _log.warning("listener_reconnects", error=type(error).__name__, wait_seconds=wait)
                await asyncio.sleep(wait)
                wait = min(wait * 2, _RETRY_AT_MOST)
