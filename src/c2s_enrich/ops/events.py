"""What an operator asks of events and messages, and a person's verdict on a delivery."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from c2s_enrich.database import Pool, Statements
from c2s_enrich.ops.filters import Filter

# So many events are read within a page's time to find those that match.
SEARCHED = 50_000


@dataclass(frozen=True)
class EventLine:
    """One event as a list shows it: no payload, nothing personal."""

    event_id: UUID
    lead_id: str
    hook_action: str | None
    status: str
    outcome: str | None
    attempts: int
    max_attempts: int
    received_at: datetime
    processed_at: datetime | None
    available_at: datetime
    waiting_for: str | None
    waiting_reason: str | None
    error_kind: str | None
    error_message: str | None
    error_group: str | None


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
class ErrorGroup:
    """Events with one error, its ids and numbers left out. `still_failing`: one waits with it, or
    failed within 15 minutes. `over_time` counts twelve equal parts of the time that all groups
    cover.
    """

    error_group: str
    error_kind: str
    error_upstream: str | None
    error_step: str | None
    events: int
    leads: int
    first_at: datetime
    newest_at: datetime
    newest_message: str | None
    newest_event: UUID
    still_failing: bool
    muted_since: datetime | None
    over_time: list[int]


class EventsDesk:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = Statements(pool, "events", prepare=False)

    async def events(
        self, chosen: Filter, limit: int, after: UUID | None = None, floor: datetime | None = None
    ) -> list[EventLine]:
        """Newest first, from behind the event `after`, which ends the page before."""
        return await self._sql.read(
            EventLine, "list_events", filter=chosen.parameter, limit=limit, after=after, floor=floor
        )

    async def floor(
        self, chosen: Filter, after: UUID | None = None
    ) -> tuple[datetime | None, UUID | None]:
        """Where a search stops that no index helps, SEARCHED events behind `after`: the last event
        that it looks at, and when that was received.
        """
        rows = chosen.is_unindexed and await self._sql.rows(
            "search_floor", after=after, most=SEARCHED
        )
        return rows[0] if rows else (None, None)

    async def count(self, chosen: Filter, most: int, floor: datetime | None = None) -> int:
        """How many match; `most` + 1 where there are more."""
        [(count,)] = await self._sql.rows(
            "count_events", filter=chosen.parameter, most=most, floor=floor
        )
        return int(count)

    async def refs(self, event_ids: Sequence[UUID]) -> dict[UUID, tuple[str, str]]:
        rows = await self._sql.rows("refs_of_events", events=list(event_ids))
        return {event: (ref, status) for event, ref, status in rows}

    async def history(self, event_id: UUID) -> list[AttemptLine]:
        """Every ended claim, oldest first."""
        return await self._sql.read(AttemptLine, "event_history", event_id=event_id)

    async def errors(self, chosen: Filter) -> list[ErrorGroup]:
        """The newest 10,000 matching events that have an error, in groups, largest first."""
        return await self._sql.read(ErrorGroup, "error_groups", filter=chosen.parameter)

    async def mute(self, error: str, verb: Literal["mute", "unmute"] = "mute") -> bool:
        """For a week or until it is fixed. False: no event has it, or it was not muted."""
        return await self._sql.touch(verb, error=error) > 0

    async def open_messages(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Oldest first, with the event that waits for each; None: all of them."""
        return await self._sql.read(dict, "open_messages", limit=limit)

    async def judge(self, message_id: UUID, *, delivered: bool) -> bool:
        """A person's verdict; the events that it held up go on. False: no such open message."""
        verdict = "judge_delivered" if delivered else "judge_not_delivered"
        async with self._pool.connection() as connection, connection.transaction():
            sql = Statements(connection, "events")
            found = await sql.touch(verdict, message_id=message_id)
            if found:
                await sql.touch("receive_again", message_id=message_id)
        return bool(found)
