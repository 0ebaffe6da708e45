"""Reconciliation's door to the database: each statement of `sql/queries/reconcile.sql` has its one
caller here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from c2s_enrich.database import Pool, statements


@dataclass(frozen=True)
class Known:
    """What we know of a lead that C2S lists. `has_event`: one of the listed time or a later one."""

    erased: bool
    has_event: bool
    name: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    email: str | None = field(repr=False)
    closed: bool
    told_fingerprint: str | None


class ReconcileStore:
    """Compares and inserts."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("reconcile")

    async def start_of(self, since: timedelta) -> datetime:
        """The database's time, `since` ago."""
        async with self._pool.connection() as connection:
            [(start,)] = await (
                await connection.execute(self._sql["start_of"], {"since": since})
            ).fetchall()
            moment: datetime = start
            return moment

    async def compare(self, leads: Sequence[tuple[str, datetime]]) -> dict[str, Known]:
        """By lead id, for each lead with the time at which C2S says it was changed."""
        params = {
            "lead_ids": [lead_id for lead_id, _ in leads],
            "updated_ats": [updated_at for _, updated_at in leads],
        }
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(self._sql["compare_leads"], params)).fetchall()
        return {row[0]: Known(*row[1:]) for row in rows}

    async def insert_missing(
        self, lead_id: str, updated_at: datetime, payload: str, max_attempts: int
    ) -> bool:
        """False where a webhook brought it meanwhile. Raises ValueError where the database does not
        take the JSON.
        """
        params = {
            "lead_id": lead_id,
            "updated_at": updated_at,
            "payload": payload,
            "max_attempts": max_attempts,
        }
        try:
            async with self._pool.connection() as connection:
                return (
                    await (await connection.execute(self._sql["insert_missing"], params)).fetchone()
                    is not None
                )
        except psycopg.DataError as error:
            raise ValueError("the database does not take this lead's JSON") from error
