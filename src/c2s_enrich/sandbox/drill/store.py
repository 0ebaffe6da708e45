"""The drill's own look at the database, and what it does there to others: cut connections, held
locks, an operator's resets.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import class_row

from c2s_enrich.database import Pool, sql_folder, statements
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.sandbox.drill.audit import OutboxRow, Row

# Received rows are rare while the pollers keep up: so long is one waited for, looking so often.
_WAIT_SECONDS, _LOOK_SECONDS = 5.0, 0.02
_TOLD_OF_A_LEAD = ("webhook_events", "event_attempts", "leads", "lead_messages", "restores")


class DrillStore:
    """One short connection for each question: the server comes and goes, and this one must not be
    among its victims.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._sql = statements("drill")

    async def keep_diary(self) -> None:
        """To be called once, after the migrations: the audit needs to know what was reset by
        hand.
        """
        await self._run("keep_diary")

    async def prepare_disk(self) -> None:
        """To be called once, after the migrations: from here on the disk can be full."""
        await self._run_script("full_disk")

    async def fill_disk(self, seconds: float) -> None:
        """For so long every statement that writes fails as it does on a full disk."""
        async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(self._sql["fill_disk"])
            await asyncio.sleep(seconds)

    async def commit_on_standby(self) -> None:
        """Every COMMIT waits for the standby from here on; returns when it has all earlier ones."""
        await self._run_script("follow")
        await self._run("reload")
        async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
            while not await (await connection.execute(self._sql["standby_has_all"])).fetchone():
                await asyncio.sleep(_LOOK_SECONDS)

    async def promote(self) -> None:
        await self._run("promote")

    async def _run_script(self, name: str) -> None:
        script = (sql_folder() / "drill" / f"{name}.sql").read_bytes()
        async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(script)

    async def cut_connections(self) -> None:
        await self._run("cut_connections")

    async def cut_listeners(self) -> None:
        await self._run("cut_listeners")

    async def reset(self, most: int | None) -> int:
        """So many rows at random, None for all of them; returns how many it were."""
        return await self._run("reset_some", most=most)

    async def hold(self, status: str, seconds: float) -> int:
        """Keeps a transaction open that has locked a few rows of this status, as soon as there are
        any; returns how many.
        """
        until = time.monotonic() + _WAIT_SECONDS
        held = 0
        async with await AsyncConnection.connect(self.url) as connection:
            while not held and time.monotonic() < until:
                await connection.rollback()
                held = (
                    await connection.execute(self._sql["hold_some"], {"status": status})
                ).rowcount
                await asyncio.sleep(seconds if held else _LOOK_SECONDS)
            await connection.rollback()
        return held

    async def refused_credentials(self) -> list[str]:
        """The upstreams that are paused because they refused our credential."""
        async with await AsyncConnection.connect(self.url) as connection:
            return [
                name
                for (name,) in await (
                    await connection.execute(self._sql["refused_credentials"])
                ).fetchall()
            ]

    async def count_open(self) -> int:
        """Events that have not ended."""
        return await self._count("count_open")

    async def reads_back(self) -> bool:
        """Whether a message was found on its lead."""
        return bool(await self._count("proven_read_backs"))

    async def _count(self, name: str) -> int:
        async with await AsyncConnection.connect(self.url) as connection:
            [count] = await (await connection.execute(self._sql[name])).fetchone() or [0]
            return int(count)

    async def judge_unclear(self, received: Mapping[str, Sequence[str]]) -> int:
        """As a person does with an unclear delivery: looks at the lead in C2S, and says so; returns
        how many.
        """
        judged = 0
        async with Pool(
            self.url,
            kwargs={"autocommit": True},
            min_size=1,
            open=False,
        ) as pool:
            desk = EventsDesk(pool)
            for message in await desk.open_messages():
                unclear = message["event_error_kind"] == "delivery_unclear"
                # One verdict sends all through that wait: the lead's next message may be at work.
                if not unclear or message["status"] != "sending":
                    continue
                lead_id, ref = message["lead_id"], message["ref"]
                if await self._run("note_reset", lead_id=lead_id):
                    there = any(ref in body for body in received.get(lead_id, ()))
                    judged += await desk.judge(message["id"], delivered=there)
        return judged

    async def send_through_again(self) -> int:
        """What by design waits for a person; returns how many events."""
        return await self._run("send_through_again")

    async def events(self) -> list[Row]:
        async with (
            await AsyncConnection.connect(self.url) as connection,
            connection.cursor(row_factory=class_row(Row)) as cursor,
        ):
            return await (await cursor.execute(self._sql["audited_events"])).fetchall()

    async def messages(self) -> list[OutboxRow]:
        async with (
            await AsyncConnection.connect(self.url) as connection,
            connection.cursor(row_factory=class_row(OutboxRow)) as cursor,
        ):
            return await (await cursor.execute(self._sql["audited_messages"])).fetchall()

    async def keep_tables(self, folder: Path) -> None:
        """What happened to a lead, as CSV, for whom the audit's sentences make ask why."""
        async with await AsyncConnection.connect(self.url) as connection:
            for table in _TOLD_OF_A_LEAD:
                query = sql.SQL("copy {} to stdout with (format csv, header)")
                with (folder / f"{table}.csv").open("wb") as file:
                    async with connection.cursor().copy(
                        query.format(sql.Identifier(table))
                    ) as rows:
                        async for row in rows:
                            file.write(row)

    async def _run(self, name: str, **parameters: object) -> int:
        connection: AsyncConnection[Any]
        async with await AsyncConnection.connect(self.url, autocommit=True) as connection:
            return (await connection.execute(self._sql[name], parameters)).rowcount
