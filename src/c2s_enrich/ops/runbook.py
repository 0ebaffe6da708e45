"""The questions of `sql/runbook/`: one SELECT each, read-only, with a time limit."""

from typing import Any

from psycopg.rows import dict_row

from c2s_enrich.database import Pool, sql_folder


def questions() -> dict[str, str]:
    """Every file's name with its question."""
    return {name: text.split("\n", 1)[0].removeprefix("-- ") for name, text in _texts().items()}


async def answer(pool: Pool, name: str) -> list[dict[str, Any]]:
    """The rows of one question, by column. Raises KeyError where there is no such file."""
    text = _texts()[name]
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("set local transaction read only")
        await connection.execute("set local statement_timeout = '10s'")
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(text.encode())
        return await cursor.fetchall()


def _texts() -> dict[str, str]:
    found = sorted((sql_folder() / "runbook").glob("*.sql"))
    return {path.stem: path.read_text(encoding="utf-8") for path in found}
