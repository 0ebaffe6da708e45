"""A closed session of the tests' database is kept, emptied, for whoever connects next in the same
way: a new one costs the server 7 ms before its first answer, and a test opens two to eight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock

import psycopg
from psycopg import AsyncConnection, generators, pq
from psycopg.conninfo import conninfo_to_dict

# What decides whose session it is; the rest may differ from one connection to the next.
_PLACE = ("host", "port", "dbname", "user", "password", "options")


class KeptSessions:
    """The idle sessions of one database, by all their connection parameters."""

    def __init__(self, url: str) -> None:
        self._place = self._place_of(url)
        self._idle: defaultdict[str, list[pq.abc.PGconn]] = defaultdict(list)
        self._ours: dict[pq.abc.PGconn, str] = {}
        # Stands in for a session that has gone back: psycopg sees that it is closed.
        self._gone = pq.PGconn.connect_start(b"host=/nowhere")
        self._gone.finish()
        self.paused = False

    def take(self, conninfo: str) -> pq.abc.PGconn | None:
        """One that still lives, as new; None where none is left."""
        idle = self._idle[conninfo]
        while idle and not self.paused:
            session = idle.pop()
            if self._done(session, b"reset application_name"):
                while session.notifies():
                    pass
                return session
            session.finish()
        return None

    def began(self, conninfo: str, session: pq.abc.PGconn) -> None:
        """A new session may come back later, if it is one of this database."""
        if not self.paused and self._place_of(conninfo) == self._place:
            self._ours[session] = conninfo

    def gives_back(self, connection: AsyncConnection[Any]) -> bool:
        """Whether the session is kept: it is if it rests between two statements."""
        session = connection.pgconn
        conninfo = self._ours.get(session)
        if (
            conninfo is None
            or self.paused
            or connection.lock.locked()
            or session.transaction_status != pq.TransactionStatus.IDLE
            or session.pipeline_status != pq.PipelineStatus.OFF
            # By its name nobody takes it for one of the product: a poller lives as long as its own.
            or not self._done(session, b"discard all")
            or not self._done(session, b"set application_name = 'kept'")
        ):
            self._ours.pop(session, None)
            return False
        connection._closed = True
        connection.pgconn = self._gone
        self._idle[conninfo].append(session)
        return True

    def end(self) -> None:
        """Ends all that rest here."""
        for idle in self._idle.values():
            while idle:
                idle.pop().finish()

    def _place_of(self, conninfo: str) -> list[Any]:
        parts = conninfo_to_dict(conninfo)
        return [parts.get(name) for name in _PLACE]

    def _done(self, session: pq.abc.PGconn, command: bytes) -> bool:
        with suppress(psycopg.Error):
            return session.exec_(command).status == pq.ExecStatus.COMMAND_OK
        return False


@contextmanager
def keep_sessions(url: str) -> Iterator[KeptSessions]:
    """Until the end of the block, asynchronous connections to `url` share their sessions."""
    kept = KeptSessions(url)
    close = AsyncConnection.close

    def connect(cls: type[AsyncConnection[Any]], conninfo: str = "") -> Generator[Any, Any, Any]:
        session = kept.take(conninfo)
        if session is None:
            session = yield from generators.connect(conninfo)
            kept.began(conninfo, session)
        return cls(session)

    async def give_back(connection: AsyncConnection[Any]) -> None:
        if not connection.closed and not kept.gives_back(connection):
            await close(connection)

    with (
        mock.patch.object(AsyncConnection, "_connect_gen", classmethod(connect)),
        mock.patch.object(AsyncConnection, "close", give_back),
    ):
        try:
            yield kept
        finally:
            kept.end()
