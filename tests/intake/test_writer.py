"""The coalescing writer: few statements for many deliveries, an answer only after COMMIT, bounded
in memory and in time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from tests.conftest import Database
from tests.intake.conftest import Kept, an_event, kept, open_web

from c2s_enrich.database import Pool, open_pool
from c2s_enrich.errors import NotStored
from c2s_enrich.intake import store as statements
from c2s_enrich.intake import writer as store_module
from c2s_enrich.intake.payload import read_delivery
from c2s_enrich.intake.writer import DeliveryReceipt, Writer


def delivery(*events: Any) -> Any:
    return read_delivery(json.dumps(list(events)).encode(), None, 1000)


async def store(writer: Writer, *events: Any) -> DeliveryReceipt:
    return await writer.store(delivery(*events), {})


@asynccontextmanager
async def writer_on(
    db: Database, *, lanes: int = 2, **settings: Any
) -> AsyncIterator[tuple[Writer, Pool]]:
    loaded = db.settings("web", **settings)
    async with (
        open_pool(loaded, name="test") as pool,
        Writer(pool, loaded, lanes=lanes) as writer,
    ):
        yield writer, pool


@asynccontextmanager
async def locked(
    db: Database, table: str = "webhook_events"
) -> AsyncIterator[AsyncConnection[Any]]:
    """Nobody else can write to the table meanwhile."""
    async with await AsyncConnection.connect(db.url) as other:
        await other.execute(f"lock table {table} in exclusive mode".encode())
        yield other
        await other.rollback()


@contextmanager
def counting_inserts() -> Iterator[list[int]]:
    """Rows of each INSERT that the writer sent, in order. The statements themselves run as ever."""
    sizes: list[int] = []
    original = statements.insert_events

    async def counted(sql: Any, rows: Any) -> None:
        sizes.append(len(rows))
        await original(sql, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statements, "insert_events", counted)
        yield sizes


class TestManyDeliveriesAtOnce:
    async def test_share_few_transactions(self, db: Database) -> None:
        async with writer_on(db) as (writer, _):
            async with locked(db):
                first = [
                    asyncio.create_task(store(writer, an_event(f"first-{n}"))) for n in range(2)
                ]
                await db.until_blocked()
                others = [asyncio.create_task(store(writer, an_event(n))) for n in range(200)]
                await asyncio.sleep(0)
            receipts = await asyncio.gather(*first, *others)

        # xmin is the transaction that wrote a row: what arrived while the lanes were busy went
        # along together.
        transactions = await db.value("select count(distinct xmin::text) from webhook_events")
        assert {receipt.processed for receipt in receipts} == {1}
        assert await kept(db) == Kept(202, 0)
        assert transactions <= 4

    async def test_ring_once_a_transaction(self, db: Database) -> None:
        async with (
            writer_on(db) as (writer, _),
            await AsyncConnection.connect(db.url, autocommit=True) as listener,
        ):
            await listener.execute("listen webhook_events")
            async with locked(db):
                tasks = [asyncio.create_task(store(writer, an_event(n))) for n in range(100)]
                await db.until_blocked()
            await asyncio.gather(*tasks)
            rings = [notify async for notify in listener.notifies(timeout=0.5)]

        assert len(rings) == await db.value("select count(distinct xmin::text) from webhook_events")
        assert len(rings) <= 4

    async def test_of_the_same_event_store_it_once(self, db: Database) -> None:
        event = an_event("same")
        async with writer_on(db) as (writer, _):
            receipts = await asyncio.gather(*(store(writer, event) for _ in range(50)))

        assert sorted((receipt.processed, receipt.duplicates) for receipt in receipts) == [
            (0, 1)
        ] * 49 + [(1, 0)]
        assert await kept(db) == Kept(1, 0)

    async def test_of_shared_keys_in_any_order_do_not_deadlock(self, db: Database) -> None:
        events = [an_event(n) for n in range(40)]
        async with writer_on(db, lanes=4) as (writer, _):
            receipts = await asyncio.gather(
                *(store(writer, *(events if n % 2 else events[::-1])) for n in range(12))
            )

        assert sum(receipt.processed for receipt in receipts) == 40
        assert sum(receipt.duplicates for receipt in receipts) == 11 * 40

    async def test_that_only_the_database_refuses_fail_alone(self, db: Database) -> None:
        bad = b'{"id":"bad","x":1e200000,"updated_at":"2025-06-01T10:00:00Z"}'
        async with writer_on(db, lanes=1) as (writer, _):
            async with locked(db):
                first = asyncio.create_task(store(writer, an_event("first")))
                await db.until_blocked()
                good = [asyncio.create_task(store(writer, an_event(n))) for n in range(30)]
                refused = asyncio.create_task(writer.store(read_delivery(bad, None, 1000), {}))
                await asyncio.sleep(0)
            receipts = await asyncio.gather(first, *good)

        assert {receipt.processed for receipt in receipts} == {1}
        assert [problem.reason for problem in (await refused).problems] == ["not_storable"]
        assert await kept(db) == Kept(31, 1)


class TestAnIdleWriter:
    async def test_sends_one_statement_for_one_delivery(self, db: Database) -> None:
        async with writer_on(db) as (writer, _):
            with counting_inserts() as sizes:
                await store(writer, an_event())
                await store(writer, an_event("a"), an_event("b"), an_event("c"))

        assert sizes == [1, 3]

    async def test_takes_no_more_than_a_statements_share(self, db: Database) -> None:
        async with writer_on(db, lanes=1) as (writer, _):
            with counting_inserts() as sizes:
                await asyncio.gather(*(store(writer, an_event(n)) for n in range(1200)))

        assert sum(sizes) == 1200
        assert max(sizes) <= store_module._BATCH_ROWS


class TestWhatIsStored:
    TIMES = (
        "2025-06-01T10:00:00.123456-03:00",
        "2099-12-31T23:59:59.999999Z",
        "2000-01-01T00:00:00Z",
    )

    @pytest.mark.parametrize("at", TIMES)
    @pytest.mark.parametrize("text", ["null", "NULL", 'a "quoted" \\ {x,y}', "Conceição 📞"])
    async def test_is_what_was_delivered(self, db: Database, at: str, text: str) -> None:
        event = {"id": text, "updated_at": at, "hook_action": text, "x": [1, "é", None, 1.5]}
        raw = json.dumps(event, ensure_ascii=False).encode()
        async with writer_on(db) as (writer, _):
            await writer.store(read_delivery(b" " + raw + b"\n", None, 1000), {"request_id": text})

        [row] = await db.fetch(
            "select lead_id, hook_action, request_id, payload_raw, updated_at = "
            f"'{at}'::timestamptz as same_time from webhook_events"
        )
        assert tuple(row) == (text, text, text, event, True)

    async def test_of_a_large_payload_is_every_byte(self, db: Database) -> None:
        event = an_event("large", x="x" * 500_000)
        async with writer_on(db) as (writer, _):
            await store(writer, event)

        assert await db.value("select payload_raw from webhook_events") == event


class TestADatabaseThatIsAway:
    async def test_is_not_stored_and_never_a_receipt(self, db: Database) -> None:
        async with writer_on(
            db, STORE_TIMEOUT="0.2", DATABASE_URL="postgresql://127.0.0.1:9/none"
        ) as (writer, _):
            results = await asyncio.gather(
                *(store(writer, an_event(n)) for n in range(20)), return_exceptions=True
            )

        assert {type(result) for result in results} == {NotStored}

    async def test_that_hangs_keeps_nobody_waiting_beyond_the_timeout(self, db: Database) -> None:
        async with writer_on(db, STORE_TIMEOUT="0.3") as (writer, _), locked(db):
            results = await asyncio.gather(
                *(store(writer, an_event(n)) for n in range(20)), return_exceptions=True
            )

        assert {type(result) for result in results} == {NotStored}

    async def test_that_comes_back_within_the_timeout_is_not_noticed(self, db: Database) -> None:
        async with writer_on(db) as (writer, _):
            await store(writer, an_event("before"))
            await db.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'c2s-enrich test'"
            )
            receipts = await asyncio.gather(*(store(writer, an_event(n)) for n in range(20)))

        assert {receipt.processed for receipt in receipts} == {1}
        assert await kept(db) == Kept(21, 0)

    async def test_that_refuses_for_good_is_told_at_once(self, db: Database) -> None:
        await db.execute("alter table webhook_events rename to hidden")
        try:
            async with writer_on(db, STORE_TIMEOUT="60") as (writer, _):
                with pytest.raises(NotStored, match="refused"):
                    await store(writer, an_event())
        finally:
            await db.execute("alter table hidden rename to webhook_events")

    async def test_never_gets_a_200_without_a_row_through_the_app(self, db: Database) -> None:
        async with open_web(db.settings("web")) as web:
            answers: dict[str, Any] = {}
            for _ in range(6):
                tasks = {
                    f"lead-{n}": asyncio.create_task(web.deliver(an_event(f"lead-{n}")))
                    for n in range(len(answers), len(answers) + 15)
                }
                for _ in range(3):
                    await asyncio.sleep(0)
                await db.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'c2s-enrich web'"
                )
                answers |= {lead_id: await task for lead_id, task in tasks.items()}

        stored = {row.lead_id for row in await db.fetch("select lead_id from webhook_events")}
        assert {answer.status_code for answer in answers.values()} <= {200, 503}
        assert {
            lead_id for lead_id, answer in answers.items() if answer.status_code == 200
        } <= stored
        # Nobody else delivered: what is called a duplicate would be our own row, mistaken for
        # somebody's.
        assert all(
            answer.json()["processed"] == 1
            for answer in answers.values()
            if answer.status_code == 200
        )


class TestACommitWhoseAnswerIsLost:
    async def test_is_written_again_and_does_not_count_as_a_duplicate(self, db: Database) -> None:
        async with writer_on(db, lanes=1) as (writer, _):
            original = statements.insert_events
            lost: list[Any] = []

            async def losing_the_answer(sql: Any, rows: Any) -> None:
                await original(sql, rows)
                if not lost:
                    # The rows are committed by now; the caller never learns of it.
                    lost.append(len(rows))
                    for row in rows:
                        row.verdict = None
                    raise psycopg.OperationalError("the line broke before the answer")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(statements, "insert_events", losing_the_answer)
                receipt = await store(writer, an_event("a"), an_event("b"))

        assert lost == [2]
        assert (receipt.processed, receipt.duplicates, receipt.problems) == (2, 0, ())
        assert await kept(db) == Kept(2, 0)

    async def test_of_rejected_ones_keeps_them_once(self, db: Database) -> None:
        async with writer_on(db, lanes=1) as (writer, _):
            original = statements.keep_rejected
            lost: list[Any] = []

            async def losing_the_answer(sql: Any, rejects: Any) -> bool:
                done = await original(sql, rejects)
                if not lost:
                    lost.append(len(rejects))
                    raise psycopg.OperationalError("the line broke before the answer")
                return done

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(statements, "keep_rejected", losing_the_answer)
                receipt = await store(writer, an_event("a"), 7)

        assert (lost, receipt.processed, receipt.rejected) == ([1], 1, 1)
        assert await kept(db) == Kept(1, 1)


class TestTheQueue:
    async def test_has_a_bound_beyond_which_a_delivery_is_refused_at_once(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store_module, "_QUEUE_WEIGHT", 20_000)
        async with writer_on(db) as (writer, _):
            async with locked(db):
                tasks = [
                    asyncio.create_task(store(writer, an_event(n, x="a" * 1000)))
                    for n in range(100)
                ]
                done, waiting = await asyncio.wait(tasks, timeout=0.3)
                assert {str(task.exception()) for task in done} == {
                    "too much is waiting to be stored"
                }
            receipts = await asyncio.gather(*waiting)
            after = await store(writer, an_event("after"))

        assert 5 <= len(receipts) <= 12
        assert after.processed == 1
        assert await kept(db) == Kept(len(receipts) + 1, 0)
        assert writer._weight == 0

    async def test_is_written_before_the_writer_ends(self, db: Database) -> None:
        async with writer_on(db) as (writer, _):
            async with locked(db):
                tasks = [asyncio.create_task(store(writer, an_event(n))) for n in range(20)]
                await db.until_blocked()

        assert {receipt.processed for receipt in await asyncio.gather(*tasks)} == {1}
        assert await kept(db) == Kept(20, 0)

    async def test_of_a_writer_that_ended_takes_nothing(self, db: Database) -> None:
        async with writer_on(db) as (writer, _):
            await store(writer, an_event())

        with pytest.raises(NotStored):
            await store(writer, an_event())

    async def test_forgets_who_gave_up(self, db: Database) -> None:
        async with writer_on(db, lanes=1, store_timeout=timedelta(seconds=30)) as (writer, _):
            async with locked(db):
                first = asyncio.create_task(store(writer, an_event("first")))
                await db.until_blocked()
                gone = asyncio.create_task(store(writer, an_event("gone")))
                await asyncio.sleep(0)
                gone.cancel()
                await asyncio.wait([gone])
            await first

        assert await db.fetch("select lead_id from webhook_events") == [("first",)]
        assert writer._weight == 0
