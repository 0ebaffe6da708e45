"""The operators' door to the database: each statement of `sql/queries/ops.sql` has its one caller
here.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import errors
from psycopg.rows import class_row

from c2s_enrich.database import Pool, statements


@dataclass(frozen=True)
class QueueHealth:
    """Seconds since the oldest due event became due (None: nothing is due), pollers by their last
    beat, sends without an answer.
    """

    oldest_due_seconds: float | None
    pollers_beating: int
    pollers_silent: int
    messages_unclear: int


@dataclass(frozen=True)
class UpstreamHealth:
    """One upstream; `paused_seconds` is what is left of its pause."""

    name: str
    paused_seconds: float | None
    reason: str | None
    budget_spent: bool


class OpsStore:
    """Short reads on the pool's connections; each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("ops")

    async def health(self) -> tuple[QueueHealth, list[UpstreamHealth]]:
        """The narrow views: numbers and upstreams, no lead and no person."""
        async with self._pool.connection() as connection:
            queue = await connection.cursor(row_factory=class_row(QueueHealth)).execute(
                self._sql["health_queue"]
            )
            [numbers] = await queue.fetchall()
            upstreams = await connection.cursor(row_factory=class_row(UpstreamHealth)).execute(
                self._sql["health_upstreams"]
            )
            return numbers, await upstreams.fetchall()

    async def newest_migration(self) -> int:
        """The version that the database is at; 0 before the first."""
        async with self._pool.connection() as connection:
            try:
                cursor = await connection.execute(self._sql["newest_migration"])
            except errors.UndefinedTable:
                return 0
            [(version,)] = await cursor.fetchall()
            return int(version or 0)
