"""The operators' door to the database: each statement of `sql/queries/ops.sql` has its one caller here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from c2s_enrich.database import Pool, statements


@dataclass(frozen=True)
class QueueHealth:
    """Seconds since the oldest due event became due (None: nothing is due), pollers by their last beat, sends without an answer."""

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


@dataclass(frozen=True)
class Reject:
    """A rejected delivery as a list shows it; `size` in bytes."""

    id: UUID
    received_at: datetime
    reason: str
    detail: str | None
    lead_id: str | None
    size: int
    replayed_at: datetime | None


@dataclass(frozen=True)
class WholeReject(Reject):
    """With its bytes, and with what its request said beside them."""

    raw: bytes
    headers: dict[str, Any]


class OpsStore:
    """Short reads on the pool's connections; each method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("ops")

    async def health(self) -> tuple[QueueHealth, list[UpstreamHealth]]:
        """The narrow views: numbers and upstreams, no lead and no person."""
        async with self._pool.connection() as connection:
            queue = await connection.cursor(row_factory=class_row(QueueHealth)).execute(self._sql["health_queue"])
            [numbers] = await queue.fetchall()
            upstreams = await connection.cursor(row_factory=class_row(UpstreamHealth)).execute(self._sql["health_upstreams"])
            return numbers, await upstreams.fetchall()

    async def newest_migration(self) -> int:
        """The version that the database is at; 0 before the first. Raises UndefinedTable on an empty database."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(self._sql["newest_migration"])
            [(version,)] = await cursor.fetchall()
            return int(version or 0)

    async def list_rejects(self, *, waiting_only: bool, reason: str | None, limit: int) -> list[Reject]:
        """Newest first."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Reject))
            await cursor.execute(self._sql["list_rejects"], {"waiting_only": waiting_only, "reason": reason, "limit": limit})
            return await cursor.fetchall()

    async def get_rejects(self, ids: Sequence[UUID]) -> list[WholeReject]:
        """Those of `ids` that exist, oldest first."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(self._sql["get_rejects"], {"ids": list(ids)})
            return [WholeReject(**row | {"raw": bytes(row["raw"])}) for row in await cursor.fetchall()]

    async def mark_replayed(self, reject_id: UUID) -> bool:
        """False where an earlier replay was marked already."""
        async with self._pool.connection() as connection:
            return (await connection.execute(self._sql["mark_replayed"], {"id": reject_id})).rowcount == 1
