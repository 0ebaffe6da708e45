"""Is this the database that we know, and has it gone back in time?

A database that was restored, or whose standby was promoted, has forgotten what was sent since. Then
every message that waits may have been sent already, and so may any that is composed for a lead from
before: each of them is looked up in C2S before its first send (`sql/queries/history.sql`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from c2s_enrich.database import Pool, statements
from c2s_enrich.errors import SettingsError
from c2s_enrich.hashing import HashKeys
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger(__name__)


class Seen(NamedTuple):
    """What the database says of itself: `identity` names server, timeline and tables, `log_end` is
    how far its log goes (None where it does not say), `known` the identity that was remembered.
    """

    identity: str
    log_end: int | None
    known: str | None


class DatabaseHistory:
    """What this process has seen of its database. One for each process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = statements("history")
        self.furthest = 0

    async def check_key(self, keys: HashKeys) -> None:
        """Raises SettingsError where the database's hashes were made with another key."""
        ours = list(keys.hashes("key", "check"))
        if not await self._run("check_key", current=ours[0], ours=ours):
            raise SettingsError(
                [
                    f"HASH_KEY (id {keys.ids[0]}) is not the key with which this database's hashes "
                    "were made; after a change, the old one belongs into HASH_KEY_PREVIOUS"
                ]
            )

    async def compare(self, seen: Seen, furthest: int) -> None:
        """Notices a restore: the database is another one than was remembered, or its log is shorter
        than `furthest`, which this process had seen before it asked.
        """
        log_end = seen.log_end or 0
        if seen.identity == seen.known and log_end >= furthest:
            self.furthest = max(self.furthest, log_end)
            return
        self.furthest = log_end
        why = (
            "counter"
            if seen.identity == seen.known
            else "first_start"
            if seen.known is None
            else "identity"
        )
        await self._notice(why, seen.identity, None)

    async def restored(self, since: datetime) -> int:
        """A person says so; returns how many waiting messages are looked up before they go."""
        return await self._notice("person", None, since)

    async def _notice(self, why: str, identity: str | None, since: datetime | None) -> int:
        [(noticed, messages)] = await self._run(
            "notice_restore", why=why, identity=identity, since=since
        )
        if noticed and why != "first_start":
            _log.warning("restore_noticed", why=why, messages=messages)
        return int(messages)

    async def _run(self, statement: str, **params: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(self._sql[statement], params)).fetchall()
