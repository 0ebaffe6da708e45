"""What only pages show: the statements of `sql/queries/console.sql`."""

from typing import Any

from c2s_enrich.database import Pool, Statements

Row = dict[str, Any]


class ConsoleStore:
    def __init__(self, pool: Pool) -> None:
        self._sql = Statements(pool, "console")

    async def minutes(self) -> list[Row]:
        """The last 60, oldest first."""
        return await self._sql.read(dict, "minutes")

    async def numbers(self) -> Row:
        """What stands in the cards and is in no other place."""
        [found] = await self._sql.read(dict, "numbers")
        return found

    async def calls(self) -> dict[str, Row]:
        """The last hour of each upstream that was called."""
        return {hour["upstream"]: hour for hour in await self._sql.read(dict, "calls")}

    async def pollers(self) -> list[Row]:
        """The latest sign of life first; attempts of the last hour are counted."""
        return await self._sql.read(dict, "pollers")
