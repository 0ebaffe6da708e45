"""The janitor at work: whatever took a poller away, another one finishes its events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import AsyncConnection, OperationalError
from tests.conftest import Database
from tests.queue.conftest import (
    SHORT,
    Queue,
    Recorded,
    Stage,
    complete_at_once,
    make_poller,
    running,
    until,
)

from c2s_enrich.wiring import _worker_name


class TestAPollerThatDied:
    async def test_with_a_pulse_loses_its_events_long_before_their_leases_end(
        self, queue: Queue, db: Database
    ) -> None:
        await queue.accept_many(20)
        # Its row says that it holds a direct connection, and there is none.
        await queue.worker("ana").store.beat(20, 20, pulse=True)
        await db.execute("update pollers set pulse = true")
        assert len(await queue.worker("ana").claim(20)) == 20
        stage, metrics = Stage(), Recorded()

        async with running(
            make_poller(queue.worker("bruno"), stage, concurrency=20, metrics=metrics)
        ):
            # All at once, in the ordinary lane.
            await stage.has(20)
            stage.open.set()
            await until(lambda: _completed(queue, 20))
            await until(lambda: _forgotten(db))

        assert metrics.transitions["reclaimed"] == 20
        assert (
            await db.value("select count(*) from event_attempts where result = 'worker_lost'") == 20
        )

    async def test_is_not_what_one_on_a_machine_with_an_accent_in_its_name_looks_like(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("socket.gethostname", lambda: "máquina do Zé\udcff")
        name = _worker_name()

        await db.execute("select set_config('application_name', %s, false)", [name])

        assert await db.value("select current_setting('application_name')") == name

    async def test_without_a_pulse_keeps_them_until_its_leases_end(self, queue: Queue) -> None:
        event_id = await queue.accept()
        ana = queue.worker("ana", now=None, lease=SHORT)
        await queue.db.execute("update webhook_events set available_at = now()")
        await ana.store.beat(1, 1, pulse=False)
        await ana.claim(1)

        async with running(
            make_poller(queue.worker("bruno", now=None), complete_at_once, lease=SHORT)
        ):
            await until(lambda: _completed(queue, 1))

        lost, done = await queue.history(event_id)
        assert (lost.worker, lost.result, done.worker) == ("ana", "worker_lost", "bruno")
        assert lost.finished_at - lost.started_at >= SHORT


class TestAPollerThatIsFrozen:
    async def test_in_a_transaction_has_its_sessions_ended_and_its_event_finished_by_another(
        self, queue: Queue, db: Database
    ) -> None:
        event_id = await queue.accept()
        ana = queue.worker("ana", now=None, lease=SHORT)
        await db.execute("update webhook_events set available_at = now()")
        await ana.claim(1)
        frozen = await AsyncConnection.connect(db.url, application_name="c2s-enrich pool ana")
        await frozen.execute("select from webhook_events where id = %s for share", (event_id,))

        bruno = make_poller(queue.worker("bruno", now=None), complete_at_once, lease=SHORT)
        async with running(bruno):
            await until(lambda: _completed(queue, 1))

        with pytest.raises(OperationalError):
            await frozen.execute("select 1")
        assert [line.result for line in await queue.history(event_id)] == [
            "worker_lost",
            "completed",
        ]

    async def test_is_not_taken_for_a_person_who_holds_a_row(self, queue: Queue) -> None:
        event_id = await queue.accept()
        ana = queue.worker("ana", now=None, lease=SHORT)
        await queue.db.execute("update webhook_events set available_at = now()")
        await ana.claim(1)

        bruno = make_poller(queue.worker("bruno", now=None), complete_at_once, lease=SHORT)
        async with running(bruno):
            async with queue.someone_holds(event_id) as person:
                await until(lambda: _tried(bruno._janitor._locked_since))
                await person.execute("select 1")
            await until(lambda: _completed(queue, 1))


async def _completed(queue: Queue, count: int) -> bool:
    return (await queue.statuses())["completed"] == count


async def _forgotten(db: Database) -> bool:
    return not await db.value("select count(*) from pollers where name = 'ana'")


async def _tried(locked_since: dict[str, float]) -> bool:
    return "ana" in locked_since


class TestADatabaseWhoseClockWasAhead:
    async def test_makes_no_event_wait_for_as_long_as_it_was_wrong(self, queue: Queue) -> None:
        now = datetime.now(UTC)
        later = now + timedelta(hours=1)
        await queue.accept("ahead", due=later)
        postponed = await queue.accept("postponed", due=later, received_at=now)

        async with running(make_poller(queue.worker("ana", now=None), complete_at_once)):
            await until(lambda: _completed(queue, 1))

        rows = await queue.db.fetch("select id from webhook_events where status = 'received'")
        assert [row.id for row in rows] == [postponed]
