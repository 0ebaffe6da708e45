"""Lists in Postgres' binary form: what the database reads is what was put in."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import DatatypeMismatch

from c2s_enrich.database import Pool
from c2s_enrich.intake.fast.arrays import (
    BinaryArray,
    jsonb_array,
    take_arrays,
    text_array,
    timestamptz_array,
    uuid_array,
)

TIMES = [
    datetime(2025, 6, 1, 10, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-3))),
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
]


async def read(pool: Pool, kind: str, array: BinaryArray) -> Any:
    async with pool.connection() as connection:
        take_arrays(connection)
        [value] = await (
            await connection.execute(f"select %s::{kind}[]".encode(), [array])
        ).fetchone() or [None]
        return value


class TestAnArray:
    async def test_of_uuids(self, pool: Pool) -> None:
        ids = [UUID(int=1), UUID(int=2**128 - 1)]

        assert await read(pool, "uuid", uuid_array(ids)) == ids

    async def test_of_texts(self, pool: Pool) -> None:
        texts = ["", "null", "NULL", 'a "quoted" \\ {x,y}', "Conceição 📞", "x" * 100_000]

        assert await read(pool, "text", text_array(texts)) == texts

    async def test_of_times_to_the_microsecond_in_any_zone(self, pool: Pool) -> None:
        assert await read(pool, "timestamptz", timestamptz_array(TIMES)) == TIMES

    async def test_of_json(self, pool: Pool) -> None:
        assert await read(
            pool, "jsonb", jsonb_array([b'{"a": [1, "\xc3\xa9"]}', b"null", b"7"])
        ) == [{"a": [1, "é"]}, None, 7]

    @pytest.mark.parametrize("kind", ["uuid", "text", "timestamptz", "jsonb"])
    async def test_that_is_empty(self, pool: Pool, kind: str) -> None:
        arrays = {
            "uuid": uuid_array,
            "text": text_array,
            "timestamptz": timestamptz_array,
            "jsonb": jsonb_array,
        }

        assert await read(pool, kind, arrays[kind]([])) == []  # type: ignore[operator]

    async def test_of_another_type_than_the_statement_says_is_refused(self, pool: Pool) -> None:
        with pytest.raises(DatatypeMismatch):
            await read(pool, "uuid", text_array(["a"]))
