"""A poller at work: full slots, a polite end, hanging tasks, lost leases, suspects. Real table,
handlers of three lines.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Database, told
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

from c2s_enrich import errors
from c2s_enrich.queue.claim import Claim, Done, Journal, Lease

LONG_AGO = timedelta(hours=1)


class TestRunning:
    async def test_works_everything_off(self, queue: Queue) -> None:
        await queue.accept_many(300, leads=120)
        metrics = Recorded()

        await make_poller(queue.worker(), complete_at_once, metrics=metrics, concurrency=20).drain()

        assert await queue.statuses() == {"completed": 300}
        assert metrics.transitions == {"claimed": 300, "completed": 300}

    async def test_never_claims_more_than_its_free_slots(self, queue: Queue) -> None:
        await queue.accept_many(10)
        stage = Stage()

        async with running(make_poller(queue.worker(), stage, concurrency=3)) as _:
            await stage.has(3)
            assert await queue.statuses() == {"processing": 3, "received": 7}
            stage.open.set()
            await until(lambda: _all_completed(queue, 10))

    async def test_settles_and_claims_again_while_others_are_still_at_work(
        self, queue: Queue
    ) -> None:
        await queue.accept_many(5)
        stage = Stage()
        slow: list[Claim] = []

        async def handler(claim: Claim, lease: Lease, journal: Journal) -> Done:
            if not slow:
                slow.append(claim)
                return await stage(claim, lease, journal)
            return Done("enriched")

        async with running(make_poller(queue.worker(), handler, concurrency=2)):
            await until(lambda: _all_completed(queue, 4))
            assert (await queue.row(slow[0].event_id)).status == "processing"
            stage.open.set()

    async def test_wakes_up_for_the_next_due_time(self, queue: Queue, db: Database) -> None:
        await queue.accept(due=await db.value("select now() + interval '0.7 s'"))

        async with running(
            make_poller(queue.worker(now=None), complete_at_once, idle_poll=timedelta(seconds=60))
        ):
            await until(lambda: _all_completed(queue, 1), within=3)

        lateness = await db.value(
            "select started_at - available_at from event_attempts, webhook_events"
        )
        assert lateness >= timedelta()

    async def test_at_rest_each_look_is_one_statement_and_one_event_takes_four_claims(
        self, queue: Queue, db: Database
    ) -> None:
        poller = make_poller(
            queue.worker(now=None), complete_at_once, idle_poll=timedelta(seconds=0.3)
        )
        asked: list[str] = []
        claim, every = poller.store.claim, poller.store._rows

        async def counted_claim(*args: Any) -> Any:
            asked.append("claim")
            return await claim(*args)

        async def counted(statement: str, /, **params: object) -> Any:
            asked.append(statement)
            return await every(statement, **params)

        poller.store.claim = counted_claim  # type: ignore[method-assign, assignment]
        poller.store._rows = counted
        async with running(poller):
            await until(lambda: _truth(asked.count("beat") == 6))
            at_rest = Counter(asked)
            await queue.accept(due=await db.value("select now()"))
            await until(lambda: _all_completed(queue, 1))
            looks = asked.count("beat")
            await until(lambda: _truth(asked.count("beat") > looks))

        # The last once in five minutes.
        assert at_rest == {"claim": 1, "beat": 6, "catch_up": 1}
        # The event; what is due behind it, then before it; and what its lead has next.
        assert asked.count("claim") - at_rest["claim"] <= 4

    async def test_polling_alone_finds_new_events(self, queue: Queue, db: Database) -> None:
        async with running(
            make_poller(queue.worker(now=None), complete_at_once, idle_poll=timedelta(seconds=0.5))
        ):
            await asyncio.sleep(1)
            await db.execute("alter table webhook_events disable trigger user")
            try:
                await queue.accept(due=await db.value("select now()"))
            finally:
                await db.execute("alter table webhook_events enable trigger user")
            await until(lambda: _all_completed(queue, 1), within=2)

    async def test_keeps_a_row_in_the_table_of_pollers_while_it_lives(
        self, queue: Queue, db: Database
    ) -> None:
        poller = make_poller(queue.worker("ana"), complete_at_once, concurrency=3)

        async with running(poller):
            await until(lambda: _present(db))
            assert await db.fetch("select name, in_flight, concurrency from pollers") == [
                ("ana", 0, 3)
            ]

        assert await db.fetch("select name from pollers") == []

    async def test_a_failing_duty_of_the_house_stops_nothing(self, queue: Queue) -> None:
        asked = asyncio.Event()

        async def duty() -> None:
            asked.set()
            raise errors.Unavailable("c2s", "HTTP 500")

        poller = make_poller(queue.worker(), complete_at_once, duties=(duty,))
        async with running(poller):
            await asked.wait()
            await queue.accept()
            poller.wake()
            await until(lambda: _all_completed(queue, 1))

    async def test_an_error_in_a_duty_of_the_queue_ends_the_process(self, queue: Queue) -> None:
        # A supervisor restarts it. Worse would be a process that looks healthy and has lost one of
        # its loops.
        stage = Stage()
        poller = make_poller(queue.worker(), stage, lease=SHORT)

        async def broken(_: object) -> dict[object, bool]:
            raise ZeroDivisionError

        poller.store.extend_leases = broken  # type: ignore[method-assign, assignment]
        await queue.accept()

        with pytest.raises(ExceptionGroup) as died:
            async with asyncio.timeout(10):
                await poller.run()
        assert died.group_contains(ZeroDivisionError)


class TestOldBacklogs:
    async def test_a_lead_that_arrives_now_does_not_wait_behind_an_hour_of_outage(
        self, queue: Queue, db: Database
    ) -> None:
        now = await db.value("select now()")
        await queue.accept_many(60, due=now - LONG_AGO)
        fresh = [await queue.accept(f"fresh-{n}", due=now) for n in range(2)]
        order: list[Claim] = []

        async def handler(claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            order.append(claim)
            return Done("enriched")

        await make_poller(queue.worker(now=None), handler, concurrency=2).drain()

        places = [place for place, claim in enumerate(order) if claim.event_id in fresh]
        assert max(places) < 20
        assert len(order) == 62


class TestEndings:
    async def test_an_error_ends_the_attempt_as_the_policy_says(self, queue: Queue) -> None:
        trouble = {
            "retried": errors.Unavailable("diretrix", "HTTP 500"),
            "postponed": errors.Paused("c2s", timedelta(minutes=1), "HTTP 500"),
            "failed": errors.LeadNotFound(),
        }
        events = {await queue.accept(result): result for result in trouble}
        metrics = Recorded()

        async def handler(claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            raise trouble[claim.lead_id]

        await make_poller(queue.worker(), handler, metrics=metrics).drain()

        for event_id, result in events.items():
            [attempt] = await queue.history(event_id)
            assert attempt.result == result
        assert metrics.transitions == {"claimed": 3} | dict.fromkeys(trouble, 1)

    async def test_an_attempt_is_given_back_when_the_event_is_postponed(self, queue: Queue) -> None:
        event_id = await queue.accept()

        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            raise errors.Throttled("c2s", timedelta(minutes=1))

        await make_poller(queue.worker(), handler).drain()

        row = await queue.row(event_id)
        assert (row.status, row.attempts, row.waiting_for) == ("received", 0, "c2s")

    async def test_a_result_that_the_database_refuses_is_that_events_bug_alone(
        self, queue: Queue
    ) -> None:
        good, bad, worse = [await queue.accept(lead) for lead in ("good", "bad", "worse")]
        both_in = asyncio.Barrier(3)

        async def handler(claim: Claim, _lease: Lease, journal: Journal) -> Done:
            await both_in.wait()
            if claim.lead_id == "worse":
                journal.detail["word"] = "\x00"
            return Done("no such outcome" if claim.lead_id == "bad" else "enriched")

        await make_poller(queue.worker(), handler).drain()

        assert (await queue.row(good)).status == "completed"
        for event_id in (bad, worse):
            row = await queue.row(event_id)
            assert (row.status, row.error_kind) == ("received", "bug")

    async def test_a_fact_commits_with_the_end(self, queue: Queue, db: Database) -> None:
        await queue.accept()
        fact = {"cpf": "00000000191"}

        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            return Done("enriched", fact=fact)

        await make_poller(queue.worker(), handler).drain()

        assert await db.value("select count(*) from people") == 1

    async def test_a_cancellation_from_within_is_a_bug_and_not_an_end_of_the_poller(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()

        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            raise asyncio.CancelledError

        await make_poller(queue.worker(), handler).drain()

        assert (await queue.row(event_id)).error_kind == "bug"

    async def test_a_timeout_of_the_handlers_own_is_not_taken_for_the_deadline(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()

        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            async with asyncio.timeout(0):
                await asyncio.sleep(1)
            raise AssertionError

        await make_poller(queue.worker(), handler).drain()

        assert "deadline" not in (await queue.row(event_id)).error_message

    async def test_a_task_that_hangs_is_freed_at_its_deadline_and_the_attempt_is_spent(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()
        stage = Stage()

        poller = make_poller(
            queue.worker(now=None), stage, lease=SHORT, attempt_deadline=timedelta(seconds=2)
        )
        await queue.db.execute(
            "update webhook_events set available_at = now(), received_at = now()"
        )
        async with running(poller):
            await stage.has(1)
            await until(lambda: _received(queue))

        row = await queue.row(event_id)
        assert (row.attempts, row.error_kind, row.suspect) == (1, "bug", False)
        assert "deadline" in row.error_message
        assert len(stage.cancelled) == 1

    async def test_a_task_that_nothing_can_end_is_reclaimed_at_its_deadline(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()
        await queue.db.execute(
            "update webhook_events set available_at = now(), received_at = now()"
        )
        release = asyncio.Event()

        async def handler(_claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            return Done("enriched")

        worker = queue.worker(now=None, lease=SHORT, deadline=timedelta(seconds=2))
        poller = make_poller(worker, handler, lease=SHORT, attempt_deadline=timedelta(seconds=2))
        async with running(poller):
            await until(lambda: _lost(queue))
            row = await queue.row(event_id)
            poller.stop()
            release.set()

        assert (row.error_kind, row.losses, row.suspect) == ("worker_lost", 1, False)


class TestLosingALease:
    async def test_the_heartbeat_cancels_what_was_taken_away(self, queue: Queue) -> None:
        event_id = await queue.accept()
        stage, metrics = Stage(), Recorded()

        async with running(make_poller(queue.worker(), stage, metrics=metrics, lease=SHORT)):
            await stage.has(1)
            await queue.db.execute("UPDATE webhook_events SET status = 'failed'")
            await until(lambda: _truth(bool(stage.cancelled)))

        assert (await queue.row(event_id)).status == "failed"
        assert metrics.transitions == {"claimed": 1, "lease_lost": 1}

    async def test_an_event_that_was_reset_comes_back_and_only_the_new_claim_counts(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()
        stage, metrics = Stage(), Recorded()
        poller = make_poller(queue.worker(), stage, metrics=metrics)

        async with running(poller):
            await stage.has(1)
            await queue.reset(event_id)
            poller.wake()
            await stage.has(2)
            await until(lambda: _truth(len(stage.cancelled) == 1))
            stage.open.set()
            await until(lambda: _all_completed(queue, 1))

        assert [attempt.result for attempt in await queue.history(event_id)] == [
            "taken_away",
            "completed",
        ]
        assert metrics.transitions == {"claimed": 2, "lease_lost": 1, "completed": 1}
        assert poller.in_flight == {}

    async def test_a_handler_that_notices_first_spends_the_attempt(self, queue: Queue) -> None:
        event_id = await queue.accept()

        async def handler(_claim: Claim, lease: Lease, _journal: Journal) -> Done:
            lease.must_outlast(timedelta(days=1))
            raise AssertionError

        await make_poller(queue.worker(), handler).drain()

        row = await queue.row(event_id)
        assert (row.status, row.attempts, row.error_kind) == ("received", 1, "worker_lost")


class TestStopping:
    async def test_claims_no_more_and_finishes_what_is_in_flight(self, queue: Queue) -> None:
        await queue.accept_many(5)
        stage = Stage()
        poller = make_poller(queue.worker(), stage, concurrency=2)

        async with running(poller) as task:
            await stage.has(2)
            poller.stop()
            stage.open.set()
            await task

        assert await queue.statuses() == {"completed": 2, "received": 3}

    async def test_gives_back_what_outlasts_the_grace_time_without_spending_the_attempt(
        self, queue: Queue
    ) -> None:
        event_id = await queue.accept()
        stage, metrics = Stage(), Recorded()
        poller = make_poller(queue.worker(), stage, metrics=metrics, grace=timedelta(seconds=0.2))

        async with running(poller) as task:
            await stage.has(1)
            poller.stop()
            await task

        row = await queue.row(event_id)
        assert (row.status, row.attempts, row.error_kind) == ("received", 0, None)
        assert [attempt.result for attempt in await queue.history(event_id)] == ["released"]
        assert metrics.transitions == {"claimed": 1, "postponed": 1}

    async def test_a_second_stop_gives_everything_back_at_once(self, queue: Queue) -> None:
        await queue.accept_many(3)
        stage = Stage()
        poller = make_poller(queue.worker(), stage, grace=timedelta(minutes=5))

        async with running(poller) as task:
            await stage.has(3)
            poller.stop()
            poller.stop()
            async with asyncio.timeout(15):
                await task

        assert await queue.statuses() == {"received": 3}

    async def test_a_task_that_has_not_begun_is_given_back_too(self, queue: Queue) -> None:
        # Stopped twice between the claim and the task's first step: a task cancelled then would
        # never run its clean-up.
        event_id = await queue.accept()
        poller = make_poller(queue.worker(), Stage())
        claim = poller.store.claim

        async def claim_and_stop(*args: Any) -> Any:
            claims = await claim(*args)
            asyncio.get_running_loop().call_soon(poller.stop)
            asyncio.get_running_loop().call_soon(poller.stop)
            return claims

        poller.store.claim = claim_and_stop  # type: ignore[method-assign, assignment]
        async with asyncio.timeout(15):
            await poller.run()

        row = await queue.row(event_id)
        assert (row.status, row.attempts) == ("received", 0)

    async def test_ends_although_a_duty_loses_its_first_cancellation(self, queue: Queue) -> None:
        lost: list[BaseException] = []
        begun = asyncio.Event()

        async def duty() -> None:
            # What asyncio.wait_for of Python 3.11 does when the cancellation and its answer come
            # together.
            begun.set()
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError as error:
                    if lost:
                        raise
                    lost.append(error)

        async with running(make_poller(queue.worker(), Stage(), duties=(duty,))):
            await begun.wait()

        assert len(lost) == 1

    async def test_a_busy_row_does_not_hold_up_the_others(self, queue: Queue) -> None:
        await queue.accept_many(4)
        stage = Stage()

        async with running(make_poller(queue.worker(), stage)):
            await stage.has(4)
            async with queue.someone_holds(stage.entered[0].event_id):
                stage.open.set()
                await until(lambda: _all_completed(queue, 3))
            await until(lambda: _all_completed(queue, 4))


class TestSuspects:
    async def test_are_left_to_a_process_of_their_own_while_everything_else_goes_on(
        self, queue: Queue, tmp_path: Path
    ) -> None:
        started = tmp_path / "started"
        command = (
            sys.executable,
            "-c",
            f"import sys; open({str(started)!r}, 'a').write(sys.argv[1]); sys.stdin.read()",
        )
        stage = Stage()
        suspect = await queue.accept("suspect", suspect=True)

        poller = make_poller(queue.worker("ana"), stage, suspects=command)
        async with running(poller):
            await until(lambda: _truth(started.exists() and started.read_text() == "ana.1"))
            await queue.accept("other")
            poller.wake()
            await stage.has(1)
            assert (await queue.row(suspect)).status == "received"
            stage.open.set()
            await until(lambda: _all_completed(queue, 1))

        assert [claim.lead_id for claim in stage.entered] == ["other"]

    async def test_run_one_at_a_time_in_that_process_and_nothing_else_does(
        self, queue: Queue
    ) -> None:
        for n in range(3):
            await queue.accept(f"suspect-{n}", suspect=True)
        await queue.accept_many(2)
        together: list[int] = []
        inside: set[str] = set()

        async def handler(claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            inside.add(claim.lead_id)
            together.append(len(inside))
            await asyncio.sleep(0.01)
            inside.discard(claim.lead_id)
            return Done("enriched")

        await make_poller(queue.worker(), handler, concurrency=1, suspects=None).drain()

        assert together == [1, 1, 1]
        assert await queue.statuses() == {"completed": 3, "received": 2}

    async def test_that_took_their_process_along_are_given_back_at_once(self, queue: Queue) -> None:
        command = (sys.executable, "-c", "import os, sys; sys.stdin.readline(); os._exit(139)")
        await queue.accept(suspect=True, max_attempts=1)
        poller = make_poller(queue.worker("ana"), complete_at_once, suspects=command)

        async with running(poller):
            await until(lambda: _truth(poller._suspects.running))
            # What the other process does: it claims under the name that it was given, and dies.
            [_] = await queue.worker("ana.1").claim(1, "suspect")
            poller._suspects._process.stdin.write(b"\n")  # type: ignore[union-attr]
            await until(lambda: _failed(queue))

        [attempt] = await queue.db.fetch("select worker, result from event_attempts")
        assert attempt == ("ana.1", "worker_lost")

    async def test_wait_and_take_nobody_along_where_no_process_can_be_started(
        self, queue: Queue
    ) -> None:
        await queue.accept("suspect", suspect=True)
        poller = make_poller(queue.worker(), complete_at_once, suspects=("/nothing/is/here",))

        async with running(poller):
            await until(lambda: _truth(poller._suspects._started > 1))
            await queue.accept("other")
            poller.wake()
            await until(lambda: _all_completed(queue, 1))

        assert await queue.statuses() == {"completed": 1, "received": 1}

    async def test_do_not_wait_behind_a_process_that_is_frozen(
        self, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("c2s_enrich.queue.suspects._MOST_IDLE_SECONDS", 0.5)
        started = tmp_path / "started"
        freezes = (
            "import os, signal, sys; open(sys.argv[1], 'a').write(sys.argv[2] + ' ');"
            " os.kill(os.getpid(), signal.SIGSTOP)"
        )
        await queue.accept(suspect=True)
        command = (sys.executable, "-c", freezes, str(started))
        grace = timedelta(seconds=0.1)
        poller = make_poller(queue.worker("ana"), complete_at_once, suspects=command, grace=grace)

        with told() as lines:
            async with running(poller):
                await until(lambda: _truth(started.exists() and "ana.2" in started.read_text()))

        assert "suspect_process_stuck" in [line["event"] for line in lines]

    async def test_in_flight_are_given_up_when_the_poller_ends(self, queue: Queue) -> None:
        deaf = (sys.executable, "-c", "import time; time.sleep(600)")
        await queue.accept(suspect=True)
        grace = timedelta(seconds=0.1)
        poller = make_poller(queue.worker(), complete_at_once, suspects=deaf, grace=grace)

        async with running(poller):
            await until(lambda: _truth(poller._suspects.running))

        assert not poller._suspects.running


class TestSlots:
    async def test_are_not_taken_by_what_only_waits_for_its_settlement(self, queue: Queue) -> None:
        await queue.accept_many(9)
        entered: list[Claim] = []

        async def handler(claim: Claim, _lease: Lease, _journal: Journal) -> Done:
            entered.append(claim)
            return Done("enriched")

        poller = make_poller(queue.worker(), handler, concurrency=3)
        settling, answered = asyncio.Event(), asyncio.Event()
        settle = poller.store.settle

        async def slow(*args: Any) -> Any:
            settling.set()
            await answered.wait()
            return await settle(*args)

        poller.store.settle = slow  # type: ignore[method-assign, assignment]
        async with running(poller):
            await settling.wait()
            await until(lambda: _truth(len(entered) == 6))
            # Twice the slots, and no more: a slow database is not flooded.
            assert await queue.statuses() == {"processing": 6, "received": 3}
            answered.set()
            await until(lambda: _all_completed(queue, 9))


class TestNamedPoints:
    async def test_an_event_passes_them_in_this_order(self, queue: Queue) -> None:
        await queue.accept()
        passed: list[str] = []

        async def boundary(point: str) -> None:
            passed.append(point)

        async def handler(_claim: Claim, _lease: Lease, journal: Journal) -> Done:
            async with journal.step("lookup"):
                pass
            return Done("enriched")

        await make_poller(queue.worker(), handler, boundary=boundary).drain()

        assert passed == ["claimed", "lookup", "lookup:done", "settle", "settled"]


async def _all_completed(queue: Queue, count: int) -> bool:
    return (await queue.statuses())["completed"] == count


async def _lost(queue: Queue) -> bool:
    return bool(await queue.db.value("select bool_and(losses > 0) from webhook_events"))


async def _received(queue: Queue) -> bool:
    return (await queue.statuses())["received"] == 1


async def _failed(queue: Queue) -> bool:
    return (await queue.statuses())["failed"] == 1


async def _present(db: Database) -> bool:
    return bool(await db.value("select count(*) from pollers"))


async def _truth(value: bool) -> bool:
    return value
