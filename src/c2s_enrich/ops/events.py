"""What an operator does with events and messages: look, reprocess, judge an unclear delivery. One
place for CLI and console.

Reprocessing is the plain `UPDATE … SET status = 'received'` of the runbook; the trigger on the
table gives it its meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from c2s_enrich.database import Pool, statements


@dataclass(frozen=True)
class Filters:
    """Which events; None is not applied."""

    ids: tuple[UUID, ...] | None = None
    lead_id: str | None = None
    status: str | None = None
    error_kind: str | None = None
    since: timedelta | None = None

    def __bool__(self) -> bool:
        return any(
            value is not None
            for value in (self.ids, self.lead_id, self.status, self.error_kind, self.since)
        )


@dataclass(frozen=True)
class EventLine:
    """One event as a list shows it: no payload, nothing personal."""

    id: UUID
    lead_id: str
    status: str
    outcome: str | None
    attempts: int
    max_attempts: int
    hook_action: str | None
    received_at: datetime
    processed_at: datetime | None
    available_at: datetime
    waiting_for: str | None
    error_kind: str | None
    error_message: str | None


@dataclass(frozen=True)
class AttemptLine:
    """One ended claim. `steps` and `calls` in their order, with offsets and lengths in ms."""

    attempt: int
    worker: str
    started_at: datetime
    finished_at: datetime
    result: str
    outcome: str | None
    error_kind: str | None
    error_message: str | None
    steps: list[dict[str, Any]]
    calls: list[dict[str, Any]]


@dataclass(frozen=True)
class OpenMessage:
    """A message that is not proven to be delivered."""

    id: UUID
    lead_id: str
    ref: str
    status: str
    sends: int
    looks: int
    created_at: datetime
    sending_at: datetime | None
    event_id: UUID | None
    event_status: str | None
    event_error_kind: str | None


class EventsDesk:
    """The operators' statements on events and messages."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("events")

    async def events(self, filters: Filters, limit: int | None) -> list[EventLine]:
        """Newest first; None: all of them."""
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=class_row(EventLine)) as cursor,
        ):
            await cursor.execute(self._sql["list_events"], _params(filters) | {"limit": limit})
            return await cursor.fetchall()

    async def history(self, event_id: UUID) -> list[AttemptLine]:
        async with (
            self._pool.connection() as connection,
            connection.cursor(row_factory=class_row(AttemptLine)) as cursor,
        ):
            await cursor.execute(self._sql["event_history"], {"event_id": event_id})
            return await cursor.fetchall()

    async def reprocess(self, filters: Filters) -> list[str]:
        """Sends the events through again, in whatever state they are; returns their leads, one
        entry an event.
        """
        if not filters:
            raise ValueError("reprocessing needs at least one filter")
        async with self._pool.connection() as connection:
            rows = await (
                await connection.execute(self._sql["reprocess"], _params(filters))
            ).fetchall()
        return [row[0] for row in rows]

    async def open_messages(self) -> list[OpenMessage]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(self._sql["open_messages"])).fetchall()
        return [OpenMessage(*row) for row in rows]

    async def judge(self, message_id: UUID, *, delivered: bool) -> bool:
        """A person's verdict on an unclear delivery; its event goes on with it at once. False:
        there is no such open message.
        """
        statement = self._sql["judge_delivered" if delivered else "judge_not_delivered"]
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(statement, {"message_id": message_id})).fetchone()
            if row is None:
                return False
            await connection.execute(self._sql["reprocess"], _params(Filters(ids=(row[0],))))
        return True


def _params(filters: Filters) -> dict[str, Any]:
    ids: Sequence[UUID] | None = None if filters.ids is None else list(filters.ids)
    return {
        "ids": ids,
        "lead_id": filters.lead_id,
        "status": filters.status,
        "error_kind": filters.error_kind,
        "since": filters.since,
    }
