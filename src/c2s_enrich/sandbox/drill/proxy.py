"""Between every process and Postgres: a proxy of our own that can swallow answers, or say nothing.

It knows nothing of the protocol. What a client asked is passed on first, so a swallowed answer is
that of a statement which was carried out, its COMMIT included.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

_PORT = 5432
_CHUNK = 64 * 1024
# Often enough to hit, seldom enough that work goes on between the hits.
_SWALLOWED = 0.05


class Proxy:
    """A unix socket in `folder` that leads to `target`, an address of a server of ours. Use it as
    an async context manager.
    """

    def __init__(self, folder: Path, target: str, seed: int) -> None:
        self.target = target
        self.swallowed = 0
        self._folder = folder
        self._chance = Random(f"proxy {seed}")  # noqa: S311 invented trouble
        self._swallowing = False
        self._speaking = asyncio.Event()
        self._speaking.set()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """Address of the database `postgres` through the proxy."""
        folder = quote(str(self._folder), safe="")
        return f"postgresql://postgres@/postgres?host={folder}&port={_PORT}"

    async def __aenter__(self) -> Self:
        path = self._folder / f".s.PGSQL.{_PORT}"
        self._server = await asyncio.start_unix_server(self._serve, path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection."""
        for writer in list(self._open):
            writer.transport.abort()

    async def swallow(self, seconds: float) -> None:
        """Loses one answer in twenty, and the connection with it."""
        self._swallowing = True
        try:
            await asyncio.sleep(seconds)
        finally:
            self._swallowing = False

    async def be_silent(self, seconds: float) -> None:
        """Passes nothing on and closes nothing; then the connections that were silent are gone."""
        self._speaking.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.cut()
            self._speaking.set()

    async def _serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._open.add(back)
        try:
            server, forth = await asyncio.open_unix_connection(_socket_of(self.target))
            self._open.add(forth)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(client, forth, back, answers=False))
                    group.create_task(self._pass_on(server, back, forth, answers=True))
            finally:
                self._open.discard(forth)
                forth.transport.abort()
        except* (OSError, EOFError):
            pass
        except* asyncio.CancelledError:
            pass  # the drill is over; asyncio's streams would print it
        finally:
            self._open.discard(back)
            back.transport.abort()

    async def _pass_on(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        *,
        answers: bool,
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(_CHUNK):
                await self._speaking.wait()
                if answers and self._swallowing and self._chance.random() < _SWALLOWED:
                    self.swallowed += 1
                    break
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
        other.transport.abort()


def _socket_of(url: str) -> str:
    query = parse_qs(urlsplit(url).query)
    return f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
