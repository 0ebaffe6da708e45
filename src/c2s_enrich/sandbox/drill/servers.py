"""The database server under fire: stopped, replaced by its standby, put back to a copy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from c2s_enrich.sandbox.drill.proxy import Proxy
from c2s_enrich.sandbox.drill.store import DrillStore
from c2s_enrich.sandbox.postgres import EmbeddedServer, start_throwaway
from c2s_enrich.sandbox.postgres_leftovers import StopMode


class Servers:
    """One server at a time. `busy` is held by whoever stops, replaces or copies it."""

    def __init__(self, first: EmbeddedServer, store: DrillStore, proxy: Proxy) -> None:
        self.busy = asyncio.Lock()
        self._first = self._current = first
        self._store = store
        self._proxy = proxy

    async def stop_for(self, mode: StopMode, seconds: float) -> None:
        async with self.busy:
            await asyncio.to_thread(self._current.stop, mode)
            try:
                await asyncio.sleep(seconds)
            finally:
                await asyncio.to_thread(self._current.start)

    async def promote_a_standby(self) -> None:
        """The standby has every COMMIT."""
        async with self.busy:
            standby = await self._copy(standby=True)
            await self._store.commit_on_standby()
            await self._replace_by(standby)
            await self._store.promote()
            self._proxy.cut()

    async def put_back_a_copy(
        self,
        age: float,
        before: Callable[[], Awaitable[None]],
        after: Callable[[], Awaitable[None]],
    ) -> None:
        """A copy, so many seconds of work that it does not have, and then it is the database.
        `before` and `after` it is put back, nobody else touches the server.
        """
        async with self.busy:
            copy = await self._copy(standby=False)
        await asyncio.sleep(age)
        async with self.busy:
            await before()
            await self._replace_by(copy)
            self._proxy.cut()
            await after()

    def close(self) -> None:
        """Stops what took the first server's place; that one belongs to the caller."""
        if self._current is not self._first:
            self._current.close()

    async def _copy(self, *, standby: bool) -> EmbeddedServer:
        return await asyncio.to_thread(
            start_throwaway,
            durable=True,
            settings={"wal_retrieve_retry_interval": "200ms"},
            copy_of=self._current,
            standby=standby,
        )

    async def _replace_by(self, following: EmbeddedServer) -> None:
        await asyncio.to_thread(self._current.close)
        self._current = following
        self._store.url = self._proxy.target = following.url
