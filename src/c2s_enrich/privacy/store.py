"""Forgetting's door to the database: each statement of `sql/queries/privacy.sql` has its one caller
here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from c2s_enrich.database import Pool, statements

_TEXTS_AT_ONCE = 200


@dataclass(frozen=True)
class StoredEvent:
    """An event that is about to be emptied; `payload` is its JSON text."""

    id: UUID
    lead_id: str
    hook_action: str | None
    payload: str = field(repr=False)


@dataclass(frozen=True)
class StoredReject:
    """A delivery that could not be read; `lead_id` where at least that could."""

    id: UUID
    lead_id: str | None
    raw: bytes = field(repr=False)


class ErasureStore:
    """The statements of one erasure, on the connection whose transaction it is. Each returns how
    many rows it touched.
    """

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._sql = statements("privacy")

    async def leads_of_person(self, cpf: str, question: str) -> set[str]:
        return {row[0] for row in await self._all("leads_of_person", cpf=cpf, question=question)}

    async def contacts_of_person(self, cpf: str) -> dict[str, bool]:
        """Each with whether it leads to somebody else too."""
        return dict(await self._all("contacts_of_person", cpf=cpf))

    async def texts_naming(self, needles: Sequence[str]) -> AsyncIterator[tuple[str, str]]:
        """Lead id and text of whatever may name what is searched for, a few in memory at a time."""
        async with self._connection.cursor(name="texts") as cursor:
            cursor.itersize = _TEXTS_AT_ONCE
            await cursor.execute(self._sql["texts_naming"], {"needles": list(needles)})
            async for lead_id, text in cursor:
                yield lead_id, text

    async def export(self, cpf: str, lead_ids: Sequence[str]) -> dict[str, Any]:
        """What is held on a person, by what it is."""
        [(held,)] = await self._all("export_person", cpf=cpf, lead_ids=lead_ids)
        return dict(held)

    async def known_subjects(self) -> AsyncIterator[tuple[str, str]]:
        """Every lead id and CPF that is stored, as ("lead", id) and ("cpf", digits)."""
        async with self._connection.cursor(name="subjects") as cursor:
            cursor.itersize = _TEXTS_AT_ONCE
            await cursor.execute(self._sql["known_subjects"])
            async for kind, value in cursor:
                yield kind, value

    async def lock_events(self, lead_ids: Sequence[str]) -> list[StoredEvent]:
        return [StoredEvent(*row) for row in await self._all("lock_events", lead_ids=lead_ids)]

    async def lock_leads(self, lead_ids: Sequence[str]) -> list[tuple[Any, ...]]:
        """Lead id, name, phone and e-mail texts."""
        return await self._all("lock_leads", lead_ids=lead_ids)

    async def told_of_leads(self, lead_ids: Sequence[str]) -> set[str]:
        return {
            contact
            for (contacts,) in await self._all("told_of_leads", lead_ids=lead_ids)
            for contact in contacts
        }

    async def people_to_erase(
        self, lead_ids: Sequence[str], contacts: Sequence[str], cpf: str | None
    ) -> list[str]:
        return sorted(
            row[0]
            for row in await self._all(
                "people_to_erase", lead_ids=lead_ids, contacts=contacts, cpf=cpf
            )
        )

    async def contacts_of_people(self, cpfs: Sequence[str]) -> set[str]:
        return {row[0] for row in await self._all("contacts_of_people", cpfs=cpfs)}

    async def delete_people(self, cpfs: Sequence[str]) -> dict[str, int]:
        """Counts by table."""
        cursor = await self._connection.execute(self._sql["delete_people"], {"cpfs": list(cpfs)})
        [counts] = await cursor.fetchall()
        return {
            column.name: count
            for column, count in zip(cursor.description or (), counts, strict=True)
        }

    async def rejects(self) -> AsyncIterator[StoredReject]:
        """All that still have their bytes, a few in memory at a time."""
        async with self._connection.cursor(name="rejects") as cursor:
            cursor.itersize = _TEXTS_AT_ONCE
            await cursor.execute(self._sql["rejects"])
            async for row in cursor:
                yield StoredReject(row[0], row[1], bytes(row[2]))

    async def write_receipt(
        self, asked_by: str, counts: Mapping[str, int]
    ) -> tuple[UUID, datetime]:
        [(receipt_id, erased_at)] = await self._all(
            "write_receipt", asked_by=asked_by, counts=msgspec.json.encode(counts).decode()
        )
        return receipt_id, erased_at

    async def _all(self, statement: str, /, **params: Any) -> list[tuple[Any, ...]]:
        return await (
            await self._connection.execute(self._sql[statement], _lists(params))
        ).fetchall()

    async def run(self, statement: str, /, **params: Any) -> int:
        """Runs a statement that answers nothing; how many rows it touched."""
        return (await self._connection.execute(self._sql[statement], _lists(params))).rowcount


@dataclass(frozen=True)
class Suppression:
    """An entry of the list of who must not be processed; it names nobody."""

    hash: str
    kind: str
    created_at: datetime


class SuppressionStore:
    """The list of who must not be processed."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("privacy")

    async def add(self, kind: str, hashed: str) -> bool:
        """False where it stands there already."""
        async with self._pool.connection() as connection:
            params = {"hash": hashed, "kind": kind}
            return (await connection.execute(self._sql["suppress"], params)).rowcount == 1

    async def remove(self, hashes: Sequence[str]) -> int:
        async with self._pool.connection() as connection:
            params = {"hashes": list(hashes)}
            return (await connection.execute(self._sql["unsuppress"], params)).rowcount

    async def all(self) -> list[Suppression]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(self._sql["suppressions"])).fetchall()
            return [Suppression(*row) for row in rows]

    async def sharing(self, contact: str) -> int:
        """How many people the contact leads to, as far as is known."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(self._sql["sharing"], {"contact": contact})
            [(count,)] = await cursor.fetchall()
            return int(count)


# What comes of age, in this order, each with its statement.
AGEING = {
    "payloads": "age_payloads",
    "messages": "age_messages",
    "rejects": "age_rejects",
    "leads": "age_leads",
    "lookups": "age_lookups",
    "people": "age_people",
    "events": "age_events",
    "attempts": "age_attempts",
    "outbox": "age_outbox",
    "reject_rows": "age_reject_rows",
    "paid": "age_paid",
}


class RetentionStore:
    """What has come of age. `now` is for tests that stand on a boundary; in production the
    database's clock counts.
    """

    def __init__(self, pool: Pool, *, batch: int, now: datetime | None = None) -> None:
        self._pool = pool
        self._sql = statements("privacy")
        self._params = {"batch": batch, "now": now}

    async def remove(self, kind: str, age: timedelta) -> int:
        """Handles one batch older than `age` in a transaction of its own; returns how many rows."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(self._sql[AGEING[kind]], self._params | {"age": age})
            if cursor.description is None:
                return cursor.rowcount
            [(count,)] = await cursor.fetchall()
            return int(count)


def _lists(params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple | set | frozenset) else value
        for name, value in params.items()
    }
