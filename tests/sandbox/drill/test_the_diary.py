"""What the audit reads of an event: a reset that the drill wrote down is accounted for, and nothing
else is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.conftest import Database
from tests.queue.conftest import COMPLETED, FAILED, Queue, settle

from c2s_enrich.database import Pool
from c2s_enrich.sandbox.drill.store import DrillStore


@pytest.fixture
def queue(db: Database, pool: Pool) -> Queue:
    return Queue(db, pool)


@pytest.fixture
async def operator(db: Database) -> AsyncIterator[DrillStore]:
    store = DrillStore(db.url)
    await store.keep_diary()
    yield store
    await db.execute("drop table drill_resets")


async def audited(operator: DrillStore) -> tuple[int, int]:
    """Completions and unaccounted raises of the token of the only event."""
    [row] = await operator.events()
    return row.completions, row.unaccounted


class TestAnEvent:
    async def test_that_was_completed_is_so_once(self, queue: Queue, operator: DrillStore) -> None:
        await queue.accept()
        worker = queue.worker()
        await settle(worker, await queue.claim(worker), COMPLETED)

        assert await audited(operator) == (1, 0)

    async def test_loses_its_completion_by_a_reset_and_wins_it_back(
        self, queue: Queue, operator: DrillStore
    ) -> None:
        await queue.accept()
        worker = queue.worker()
        await settle(worker, await queue.claim(worker), COMPLETED)

        assert await operator.reset(None) == 1
        assert await audited(operator) == (0, 0)

        worker.sweep()
        await settle(worker, await queue.claim(worker), COMPLETED)
        assert await audited(operator) == (1, 0)

    async def test_may_be_reset_while_it_waits_while_it_is_worked_on_and_when_it_has_failed(
        self, queue: Queue, operator: DrillStore
    ) -> None:
        await queue.accept()
        worker = queue.worker()
        await operator.reset(None)
        lost = await queue.claim(worker)
        await operator.reset(1)
        assert await settle(worker, lost, COMPLETED) == "lost"
        worker.sweep()
        await settle(worker, await queue.claim(worker), FAILED)
        await operator.reset(None)

        assert await audited(operator) == (0, 0)


class TestWhatNobodyWroteDown:
    async def test_a_reset_shows_and_the_second_completion_too(
        self, queue: Queue, operator: DrillStore
    ) -> None:
        event_id = await queue.accept()
        worker = queue.worker()
        for _ in range(2):
            await settle(worker, await queue.claim(worker), COMPLETED)
            await queue.reset(event_id)
            worker.sweep()

        assert await audited(operator) == (2, 2)

    async def test_a_claim_that_left_no_line_shows(
        self, queue: Queue, db: Database, operator: DrillStore
    ) -> None:
        await queue.accept()
        worker = queue.worker()
        await settle(worker, await queue.claim(worker), COMPLETED)

        await db.execute("update webhook_events set lease_token = lease_token + 2")

        assert await audited(operator) == (1, 2)
