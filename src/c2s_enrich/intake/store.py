"""An event on its way into its row, and the writer's statements, each a transaction of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
import psycopg
from msgspec import Raw, Struct
from psycopg.types.json import Jsonb

from c2s_enrich.database import Statements
from c2s_enrich.intake.payload import Rejection

EventVerdict = Literal["stored", "duplicate", "same_key_other_body", "not_storable"]
Reject = tuple[UUID, Rejection, dict[str, str]]
"""Its id, what to keep, and what the delivery said outside its body."""


class EventRow(Struct):
    """One event. The statements read all rows of a batch as one JSON array, by these names; the
    payload stands in it as it arrived.
    """

    # Chosen once: so a repeated INSERT knows its own success.
    id: UUID
    lead_id: str
    # As delivered, or a little later where another body has that time.
    updated_at: datetime
    hook_action: str
    payload: Raw
    request_id: str
    delivered_at: datetime
    index: int
    verdict: EventVerdict | None = None


async def insert_events(sql: Statements, rows: Sequence[EventRow]) -> None:
    """Marks what is new as stored. A row without a verdict met another one of its key."""
    inserted = {row_id for (row_id,) in await sql.rows("insert_events", rows=_json(rows))}
    for row in rows:
        if row.id in inserted:
            row.verdict = "stored"


async def compare_with_stored(sql: Statements, rows: Sequence[EventRow]) -> None:
    """For rows whose key exists. One without a verdict even now is to be inserted again."""
    told = await sql.rows("compare_with_stored", rows=_json(rows))
    found = {row_id: (verdict, at) for row_id, verdict, at in told}
    for row in rows:
        verdict, at = found.get(row.id, ("new_body", row.delivered_at))
        if verdict == "new_body":
            row.updated_at = at
        else:
            row.verdict = cast(EventVerdict, verdict)


async def takes_values(sql: Statements, row: EventRow) -> bool:
    """Whether the database takes this row's values at all, wherever they were to go."""
    try:
        await sql.rows("read_values", rows=_json([row]))
    except psycopg.Error as error:
        if not may_be_about_a_value(error):
            raise
        return False
    return True


def may_be_about_a_value(error: psycopg.Error) -> bool:
    """Data (22), and limits (54), which may also be those of a full NOTIFY queue."""
    return (error.sqlstate or "")[:2] in ("22", "54")


async def keep_rejected(sql: Statements, rejects: Sequence[Reject]) -> bool:
    """Keeps what could not be stored as an event. False: there is no room for more."""
    [(kept,)] = await sql.rows(
        "keep_rejected",
        ids=[row_id for row_id, _, _ in rejects],
        raws=[reject.raw for _, reject, _ in rejects],
        reasons=[reject.reason for _, reject, _ in rejects],
        details=[reject.detail for _, reject, _ in rejects],
        lead_ids=[reject.lead_id for _, reject, _ in rejects],
        headers=[Jsonb(origin, msgspec.json.encode) for _, _, origin in rejects],
    )
    return bool(kept)


def _json(rows: Sequence[EventRow]) -> Any:
    return Jsonb(rows, msgspec.json.encode)
