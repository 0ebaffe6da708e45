"""Once a minute web writes what it counted, and compares refused leads with known ones."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.intake import store
from c2s_enrich.intake.metrics import IntakeMetrics
from c2s_enrich.intake.refusals import Refusals
from c2s_enrich.telemetry.lines import get_logger

_MINUTE = timedelta(minutes=1)
# A process that ends waits no longer for its last minute.
_LAST_SECONDS = 2.0

_log = get_logger(__name__)


@dataclass
class Minutes:
    pool: Pool
    metrics: IntakeMetrics
    refusals: Refusals
    clock: Clock
    written: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Does it every minute until the block ends, and once more then."""
        task = asyncio.create_task(self._run(), name="intake minutes")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SECONDS):
                    await self.turn()

    async def _run(self) -> None:
        while True:
            await self.clock.sleep(_MINUTE.total_seconds())
            await self.turn()

    async def turn(self) -> None:
        """Once. What could not be written goes with the next minute's."""
        try:
            async with self.pool.connection(timeout=_LAST_SECONDS) as connection:
                now = self.metrics.minute()
                if new := now - self.written:
                    await store.count_intake(connection, {key: new[key] for key in now})
                    self.written = now
                if ids := self.refusals.take_ids():
                    known = await store.known_leads(connection, ids)
                    self.refusals.about_known_leads(known)
        except (psycopg.Error, OSError) as error:
            _log.warning("minute_not_counted", error=type(error).__name__)
