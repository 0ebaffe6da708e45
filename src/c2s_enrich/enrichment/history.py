"""Is this the database that we know, and has it gone back in time?

One that was restored, or whose standby was promoted, has forgotten what was sent since. Then every
message for a lead from before is looked up in C2S before its first send (`history.sql`).
"""

import asyncio
from datetime import datetime
from typing import NamedTuple

from c2s_enrich.database import Pool, Statements
from c2s_enrich.errors import SettingsError
from c2s_enrich.hashing import HashKeys
from c2s_enrich.telemetry.lines import get_logger

_log = get_logger(__name__)


class Mark(NamedTuple):
    """How far this process has seen the log go, and how many restores it has noticed."""

    furthest: int
    notices: int


class DatabaseHistory:
    """What this process has seen of its database. One for each process."""

    def __init__(self, pool: Pool) -> None:
        self._sql = Statements(pool, "history")
        self._noticed: str | None = None
        self._noticing = asyncio.Lock()
        self.mark = Mark(0, 0)

    async def check_key(self, keys: HashKeys) -> None:
        """Raises SettingsError where the database's hashes were made with another key."""
        ours = list(keys.hashes("key", "check"))
        if not await self._sql.rows("check_key", current=ours[0], ours=ours):
            problem = (
                f"HASH_KEY (id {keys.ids[0]}) is not the key with which this database's hashes "
                "were made; after a change, the old one belongs into HASH_KEY_PREVIOUS"
            )
            raise SettingsError([problem])

    async def compare(
        self, identity: str, log_end: int | None, remembered: str | None, asked: Mark
    ) -> bool:
        """Notices a restore: the database (`identity` is server, timeline and tables) is another
        one than was remembered, or its log (it ends at `log_end`, where it says so) is shorter than
        what this process had seen before it asked; `asked` is the mark of that moment. Returns
        whether one was noticed since.
        """
        async with self._noticing:
            end, mark = log_end or 0, self.mark
            # Many ask at once; the first of them to come back has noticed it for the others.
            known = self._noticed if mark.notices > asked.notices else remembered
            if identity in (known, remembered) and end >= asked.furthest:
                self.mark = mark._replace(furthest=max(mark.furthest, end))
                return mark.notices > asked.notices
            why = "first_start" if remembered is None else "identity"
            why = "counter" if identity == remembered else why
            await self._notice(why, identity, None)
            self._noticed = identity
            self.mark = Mark(end, mark.notices + 1)
            return True

    async def restored(self, since: datetime) -> int:
        """A person says so; returns how many waiting messages are looked up before they go."""
        return await self._notice("person", None, since)

    async def _notice(self, why: str, identity: str | None, since: datetime | None) -> int:
        told = {"why": why, "identity": identity, "since": since}
        [(noticed, messages)] = await self._sql.rows("notice_restore", **told)
        if noticed and why != "first_start":
            _log.warning("restore_noticed", why=why, messages=messages)
        return int(messages)
