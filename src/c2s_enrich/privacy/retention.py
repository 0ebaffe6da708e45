"""Forgets everybody in time: content and personal data at RETENTION_PAYLOAD, the rows themselves at
RETENTION_METADATA.

After the first age an event still says when it came and how it ended, but not what was in it. The
fingerprint of its contacts stays until the second: it is a hash, and without it the seller would be
told the same again. Only settled events age; one that waits keeps what it needs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from c2s_enrich.database import Pool
from c2s_enrich.privacy.store import AGEING, RetentionStore
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# Rows in one statement: locks that last for milliseconds.
BATCH = 500
# Batches of one kind in one pass. A backlog of years is worked off over some hours, beside the
# pollers instead of in their way.
MOST_BATCHES = 20
# Often enough that each pass is small; by the database's clock, for all pollers together.
EVERY = timedelta(minutes=1)

# What holds somebody's data goes at the first age, the rows that are left at the second.
_BY_CONTENT = {"payloads", "messages", "rejects", "leads", "lookups", "people"}

_log = get_logger("c2s_enrich.retention")


@dataclass(frozen=True)
class Counts:
    """Rows that one pass emptied (the first three) or removed, by what they were."""

    payloads: int = 0
    messages: int = 0
    rejects: int = 0
    leads: int = 0
    lookups: int = 0
    people: int = 0
    events: int = 0
    attempts: int = 0
    outbox: int = 0
    reject_rows: int = 0
    paid: int = 0

    @property
    def total(self) -> int:
        return sum(vars(self).values())


async def retention_pass(
    pool: Pool, settings: Settings, *, now: datetime | None = None, batch: int = BATCH
) -> Counts:
    """Removes what has come of age, up to MOST_BATCHES batches of each kind. Several may run at
    once, next to everything else.
    """
    store = RetentionStore(pool, batch=batch, now=now)
    removed = {}
    for kind in AGEING:
        age = settings.retention_payload if kind in _BY_CONTENT else settings.retention_metadata
        removed[kind] = 0
        for _ in range(MOST_BATCHES):
            count = await store.remove(kind, age)
            removed[kind] += count
            if count < batch:
                break
    return Counts(**removed)


def retention_duty(pool: Pool, settings: Settings) -> Callable[[], Awaitable[None]]:
    """A duty for the poller's janitor: a pass when its turn has come, nothing otherwise. One poller
    does it for all.
    """

    async def duty() -> None:
        if await take_turn(pool, "retention", EVERY):
            counts = await retention_pass(pool, settings)
            if counts.total:
                _log.info("retention", **vars(counts))

    return duty
