"""Forgets personal data at RETENTION_PAYLOAD, the rows themselves at RETENTION_METADATA.

In between an event says when it came and how it ended, and keeps the hash of its contacts, without
which the seller would be told the same again. What waits keeps what it needs.
"""

from collections import Counter
from datetime import datetime, timedelta

from c2s_enrich.database import Pool, Statements
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

# Rows in one statement (locks that last for milliseconds), and batches of one kind in one pass: a
# backlog of years takes hours and is in nobody's way.
BATCH, MOST_BATCHES = 500, 20
# Often enough that each pass is small.
EVERY = timedelta(minutes=1)
# Statements in their order: personal data at the first age, rows at the second.
_BY_CONTENT = (
    "age_payloads", "age_messages", "age_rejects", "age_leads", "age_lookups", "age_people",
)  # fmt: skip
_BY_ROW = ("age_events", "age_attempts", "age_outbox", "age_reject_rows", "age_paid")

_log = get_logger("c2s_enrich.retention")


async def retention_pass(
    pool: Pool, settings: Settings, *, now: datetime | None = None, batch: int = BATCH
) -> Counter[str]:
    """Removes up to MOST_BATCHES batches of each kind and counts the rows. Several may run at once.
    `now` is for tests; in production the database's clock counts.
    """
    sql, removed = Statements(pool, "privacy"), Counter[str]()
    ages = dict.fromkeys(_BY_CONTENT, settings.retention_payload)
    for statement, age in {**ages, **dict.fromkeys(_BY_ROW, settings.retention_metadata)}.items():
        for _ in range(MOST_BATCHES):
            count = await sql.touch(statement, batch=batch, now=now, age=age)
            removed[statement.removeprefix("age_")] += count
            if count < batch:
                break
    return removed


async def retention_duty(pool: Pool, settings: Settings) -> None:
    """A duty of the poller: a pass when its turn has come. One poller does it for all."""
    if await take_turn(pool, "retention", EVERY):
        counts = await retention_pass(pool, settings)
        if counts.total():
            _log.info("retention", **counts)
