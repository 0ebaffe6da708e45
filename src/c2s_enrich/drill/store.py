"""The drill's own look at the database, and its way to cut other processes' connections."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row

from c2s_enrich.database import statements
from c2s_enrich.drill.audit import Row, Told


class DrillStore:
    """One short connection for each question: the server comes and goes, and this one must not be among its victims."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._sql = statements("drill")

    async def cut_connections(self) -> None:
        await self._run("cut_connections")

    async def cut_listeners(self) -> None:
        await self._run("cut_listeners")

    async def count_open(self) -> int:
        """Events that have not ended."""
        async with await AsyncConnection.connect(self._url) as connection:
            [count] = await (await connection.execute(self._sql["count_open"])).fetchone() or [0]
            return int(count)

    async def send_through_again(self) -> int:
        """What by design waits for a person; returns how many events."""
        return await self._run("send_through_again")

    async def events(self) -> list[Row]:
        async with await AsyncConnection.connect(self._url) as connection, connection.cursor(row_factory=class_row(Row)) as cursor:
            return await (await cursor.execute(self._sql["audited_events"])).fetchall()

    async def messages(self) -> list[Told]:
        async with await AsyncConnection.connect(self._url) as connection, connection.cursor(row_factory=class_row(Told)) as cursor:
            return await (await cursor.execute(self._sql["audited_messages"])).fetchall()

    async def _run(self, name: str) -> int:
        connection: AsyncConnection[Any]
        async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
            return (await connection.execute(self._sql[name])).rowcount
