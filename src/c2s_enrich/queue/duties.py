"""Whose turn is it? Every poller has the same duties, and one of them does each."""

from datetime import timedelta

from c2s_enrich.database import Pool, statements


async def take_turn(pool: Pool, duty: str, every: timedelta) -> bool:
    """Whether this process does it now; then nobody does again before `every` has passed."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            statements("duties")["take_turn"], {"name": duty, "every": every}
        )
        return await cursor.fetchone() is not None
