"""The questions of `sql/runbook/`: one SELECT each, read-only, with a time limit."""

from pathlib import Path
from typing import Any

from psycopg.rows import dict_row

from c2s_enrich.database import Pool, sql_folder


def questions() -> dict[str, str]:
    """Every file's name with its question."""
    found = sorted((sql_folder() / "runbook").glob("*.sql"))
    return {path.stem: _text(path).split("\n", 1)[0].removeprefix("-- ") for path in found}


async def answer(pool: Pool, name: str) -> list[dict[str, Any]]:
    """The rows of one question, by column. Raises KeyError where there is no such file."""
    if name not in questions():
        raise KeyError(name)
    text = _text(sql_folder() / "runbook" / f"{name}.sql")
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("set local transaction read only")
        await connection.execute("set local statement_timeout = '10s'")
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(text.encode())
        return await cursor.fetchall()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
