"""A closed session of the tests' database is kept, emptied, for whoever connects next: a new one
costs the server 7 ms before its first answer, and a test opens two to eight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection, generators, pq, sql
from psycopg.conninfo import conninfo_to_dict

# What a session keeps from its beginning. The rest is the client's, or is set again.
_FROM_THE_BEGINNING = ("host", "port", "dbname", "user", "password", "options", "client_encoding")

Beginning = tuple[Any, ...]


class KeptSessions:
    """The idle sessions of one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._ours = conninfo_to_dict(url)
        self._idle: defaultdict[Beginning, list[pq.abc.PGconn]] = defaultdict(list)
        self._lent: WeakKeyDictionary[AsyncConnection[Any], Beginning] = WeakKeyDictionary()
        # Stands in for a session that has gone back: psycopg sees that it is closed.
        self._gone = pq.PGconn.connect_start(b"host=/nowhere")
        self._gone.finish()
        self.paused = False

    def connect(
        self, kind: type[AsyncConnection[Any]], conninfo: str = ""
    ) -> Generator[Any, Any, AsyncConnection[Any]]:
        """A connection of that kind, with a kept session where one of that beginning still lives.
        Each wait is yielded, as psycopg's own does.
        """
        wanted = conninfo_to_dict(conninfo)
        beginning = tuple(wanted.get(name) for name in _FROM_THE_BEGINNING)
        name = sql.Literal(wanted.get("application_name") or "").as_bytes()
        idle = self._idle[beginning]
        while idle and not self.paused:
            session = idle.pop()
            if self._did(session, b"set application_name = " + name):
                while session.notifies():
                    pass
                break
            session.finish()
        else:
            session = yield from generators.connect(conninfo)
        connection = kind(session)
        if not self.paused and all(wanted.get(name) == self._ours[name] for name in self._ours):
            self._lent[connection] = beginning
        return connection

    def takes_back(self, connection: AsyncConnection[Any]) -> bool:
        """Keeps the session if it rests between two statements, and says whether it does."""
        session, beginning = connection.pgconn, self._lent.pop(connection, None)
        if (
            beginning is None
            or self.paused
            or connection.lock.locked()
            or session.transaction_status != pq.TransactionStatus.IDLE
            or session.pipeline_status != pq.PipelineStatus.OFF
            # By its name nobody takes it for one of the product: a poller lives as long as its own.
            or not self._did(session, b"discard all")
            or not self._did(session, b"set application_name = 'kept'")
        ):
            return False
        connection._closed = True
        connection.pgconn = self._gone
        self._idle[beginning].append(session)
        return True

    def end(self) -> None:
        """Ends all that rest here."""
        for idle in self._idle.values():
            while idle:
                idle.pop().finish()

    def _did(self, session: pq.abc.PGconn, command: bytes) -> bool:
        with suppress(psycopg.Error):
            return session.exec_(command).status == pq.ExecStatus.COMMAND_OK
        return False


@contextmanager
def keep_sessions(url: str) -> Iterator[KeptSessions]:
    """Until the end of the block, asynchronous connections to `url` share their sessions."""
    kept = KeptSessions(url)
    close = AsyncConnection.close

    def connect(cls: type[AsyncConnection[Any]], conninfo: str = "") -> Generator[Any, Any, Any]:
        return kept.connect(cls, conninfo)

    async def give_back(connection: AsyncConnection[Any]) -> None:
        if not connection.closed and not kept.takes_back(connection):
            await close(connection)

    with (
        mock.patch.object(AsyncConnection, "_connect_gen", classmethod(connect)),
        mock.patch.object(AsyncConnection, "close", give_back),
    ):
        try:
            yield kept
        finally:
            kept.end()
