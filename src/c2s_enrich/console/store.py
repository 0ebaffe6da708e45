"""What only pages show: the statements of `sql/queries/console.sql`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from c2s_enrich.database import Pool, Statements


@dataclass(frozen=True)
class Minute:
    """One minute: webhooks that arrived, events that ended, failed ones among them."""

    minute: datetime
    arrived: int
    ended: int
    failed: int


@dataclass(frozen=True)
class Numbers:
    """`median` and `p95` in seconds, None where nobody was told within an hour; `failed_day` ends
    above COUNTED.
    """

    median: float | None
    p95: float | None
    failed_day: int
    slots: int


@dataclass(frozen=True)
class HourOfCalls:
    """An upstream's calls within an hour; `median` and `p95` in ms."""

    upstream: str
    calls: int
    failed: int
    median: float
    p95: float


class ConsoleStore:
    """Reads for pages."""

    def __init__(self, pool: Pool) -> None:
        self._sql = Statements(pool, "console")

    async def minutes(self) -> list[Minute]:
        """The last 60, oldest first."""
        return await self._sql.read(Minute, "minutes")

    async def numbers(self) -> Numbers:
        """What stands in the cards and is in no other place."""
        [found] = await self._sql.read(Numbers, "numbers")
        return found

    async def calls(self) -> dict[str, HourOfCalls]:
        """The last hour of each upstream that was called."""
        return {hour.upstream: hour for hour in await self._sql.read(HourOfCalls, "calls")}

    async def pollers(self) -> list[dict[str, Any]]:
        """The latest sign of life first; attempts of the last hour are counted."""
        return await self._sql.read(dict, "pollers")
