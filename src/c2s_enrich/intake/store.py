"""Intake's statements, on a connection that the caller holds, each in a transaction of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString, cast
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from c2s_enrich.connection import Connection
from c2s_enrich.database import statements
from c2s_enrich.intake.fast.arrays import jsonb_array, text_array, timestamptz_array, uuid_array
from c2s_enrich.intake.job import EventRow, EventVerdict, Job
from c2s_enrich.intake.payload import Rejection


def _sql(name: str) -> LiteralString:
    return statements("intake")[name]


async def insert_events(connection: Connection, rows: Sequence[EventRow]) -> None:
    """Marks what is new as stored. A row without a verdict met another one of its key."""
    cursor = await connection.execute(
        _sql("insert_events"),
        {
            **_values(rows),
            "request_ids": text_array(row.request_id for row in rows),
            "updated_ats": timestamptz_array(row.updated_at for row in rows),
        },
        binary=True,
    )
    whole = cursor.rowcount == len(rows)
    inserted = set() if whole else {row_id for (row_id,) in await cursor.fetchall()}
    for row in rows:
        if whole or row.row_id in inserted:
            row.verdict = "stored"


async def compare_with_stored(connection: Connection, rows: Sequence[EventRow]) -> None:
    """For rows whose key exists. One without a verdict even now is to be inserted again."""
    cursor = await connection.execute(_sql("compare_with_stored"), _values(rows))
    found = {row_id: (verdict, at) for row_id, verdict, at in await cursor.fetchall()}
    for row in rows:
        verdict, at = found.get(row.row_id, ("new_body", row.event.updated_at))
        if verdict == "new_body":
            row.updated_at = at
        else:
            row.verdict = cast(EventVerdict, verdict)


async def takes_values(connection: Connection, rows: Sequence[EventRow]) -> bool:
    """Whether the database takes these rows' values at all, wherever they were to go."""
    try:
        await connection.execute(_sql("read_values"), _values(rows), binary=True)
    except (
        psycopg.DataError,
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.StatementTooComplex,
    ):
        return False
    return True


async def known_leads(connection: Connection, lead_ids: Sequence[str]) -> list[str]:
    """Those of the ids that events were stored for."""
    cursor = await connection.execute(_sql("known_leads"), {"lead_ids": list(lead_ids)})
    return [lead_id for (lead_id,) in await cursor.fetchall()]


async def keep_rejected(
    connection: Connection, rejects: Sequence[tuple[Job, UUID, Rejection]]
) -> bool:
    """Keeps what could not be stored as an event. False: there is no room for more."""
    cursor = await connection.execute(
        _sql("keep_rejected"),
        {
            "ids": [row_id for _, row_id, _ in rejects],
            "raws": [reject.raw for _, _, reject in rejects],
            "reasons": [reject.reason for _, _, reject in rejects],
            "details": [reject.detail for _, _, reject in rejects],
            "lead_ids": [reject.lead_id for _, _, reject in rejects],
            "headers": [Jsonb(job.origin, msgspec.json.encode) for job, _, _ in rejects],
        },
    )
    [(kept,)] = await cursor.fetchall()
    return bool(kept)


async def count_intake(connection: Connection, counts: Mapping[str, int]) -> None:
    """Adds delivered, duplicates, refused and rejected to the current minute."""
    await connection.execute(_sql("count_intake"), counts)


def _values(rows: Sequence[EventRow]) -> dict[str, Any]:
    return {
        "ids": uuid_array(row.row_id for row in rows),
        "lead_ids": text_array(row.event.lead_id for row in rows),
        "updated_ats": timestamptz_array(row.event.updated_at for row in rows),
        "hook_actions": text_array(row.event.hook_action for row in rows),
        "payloads": jsonb_array(row.event.payload for row in rows),
    }
