"""Settling: what each ending leaves in the row, and one line of history for each ended claim."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg import AsyncConnection
from tests.conftest import Database
from tests.queue.conftest import (
    COMPLETED,
    EVERY_ENDING,
    FAILED,
    NOON,
    POSTPONED,
    RELEASED,
    RETRIED,
    Queue,
    at,
    ended,
    settle,
)

from c2s_enrich.clock import Clock
from c2s_enrich.queue.claim import Ending, Journal
from c2s_enrich.telemetry.lines import begin_attempt, tell_attempt


class TestSettling:
    async def test_completed_is_for_good(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept(error_kind="bug", error_message="last time", reprocess=True)
        claim = await queue.claim(worker)
        worker.now = at(7)

        assert await settle(worker, claim, COMPLETED) == "settled"

        row = await queue.row(event_id)
        assert (row.status, row.outcome, row.processed_at, row.fingerprint) == (
            "completed",
            "enriched",
            at(7),
            "a-fingerprint",
        )
        assert (row.error_kind, row.error_message, row.reprocess, row.attempts) == (
            None,
            None,
            False,
            1,
        )

    async def test_failed_is_for_a_person(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        await settle(worker, claim, FAILED)

        row = await queue.row(event_id)
        assert (row.status, row.outcome, row.processed_at) == ("failed", None, NOON)
        assert (row.error_kind, row.error_message) == ("lead_not_found", "Lead not found")

    async def test_an_endless_error_is_cut_in_the_row_and_in_the_history(
        self, queue: Queue, db: Database
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        ending = Ending("failed", error_kind="bug", error_message="é" * 1_000_000)

        assert await settle(worker, claim, ending) == "settled"

        assert (await queue.row(event_id)).error_message == "é" * 1000
        assert await db.value("select error_message from event_attempts") == "é" * 1000
        # By hand, too: error_group reads each text with a regular expression.
        with pytest.raises(psycopg.errors.CheckViolation):
            await db.execute("update webhook_events set error_message = repeat('x', 1001)")

    async def test_retried_is_due_after_its_delay_and_has_spent_the_attempt(
        self, queue: Queue
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        worker.now = at(3)

        await settle(worker, claim, RETRIED)

        row = await queue.row(event_id)
        assert (row.status, row.available_at, row.attempts, row.processed_at) == (
            "received",
            at(43),
            1,
            None,
        )
        assert (row.error_kind, row.error_message) == ("upstream_unavailable", "diretrix: HTTP 500")

    async def test_postponed_gives_the_attempt_back_and_says_for_whom_it_waits(
        self, queue: Queue
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        await settle(worker, claim, POSTPONED)

        row = await queue.row(event_id)
        assert (row.status, row.available_at, row.attempts, row.waiting_for) == (
            "received",
            at(60),
            0,
            "work_api",
        )

    async def test_postponed_is_due_at_once_when_its_upstream_has_recovered_since_the_claim(
        self, queue: Queue, db: Database
    ) -> None:
        # The recovery made due whatever waited; this event was in flight and would have been left
        # out.
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        await db.execute("update upstreams set changed_at = %s where name = 'work_api'", (at(1),))
        worker.now = at(2)

        await settle(worker, claim, POSTPONED)

        assert (await queue.row(event_id)).available_at == NOON

    async def test_postponed_while_its_upstream_recovers_does_not_sleep_through_it(
        self, queue: Queue, db: Database
    ) -> None:
        # The recovery's wake does not see this event yet, and this settlement not the recovery.
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        async with await AsyncConnection.connect(db.url) as recovering:
            await recovering.execute(
                "update upstreams set changed_at = now(), failures = 0 where name = 'work_api'"
            )
            await settle(worker, claim, POSTPONED)
            await recovering.commit()

        assert (await queue.row(event_id)).available_at <= at(1)

    async def test_postponed_just_before_its_upstream_recovers_holds_the_recovery_until_it_is_seen(
        self, queue: Queue, db: Database
    ) -> None:
        worker = queue.worker()
        await queue.accept()
        claim = await queue.claim(worker)
        await db.execute(
            "create function dawdle() returns trigger language plpgsql as"
            " $$ begin perform pg_advisory_xact_lock(7); return null; end $$"
        )
        await db.execute(
            "create trigger dawdle after update on webhook_events execute function dawdle()"
        )
        try:
            async with await AsyncConnection.connect(db.url) as holder:
                await holder.execute("select pg_advisory_lock(7)")
                settling = asyncio.create_task(settle(worker, claim, POSTPONED))
                await db.until_blocked()
                recovering = asyncio.create_task(
                    db.execute("update upstreams set failures = 0 where name = 'work_api'")
                )
                async with await AsyncConnection.connect(db.url, autocommit=True) as watching:
                    await replace(db, connection=watching).until_blocked(2)
                await holder.execute("select pg_advisory_unlock(7)")

            assert await settling == "settled"
            await recovering
        finally:
            await db.execute("drop function dawdle cascade")

    @pytest.mark.parametrize(
        "upstream",
        [
            pytest.param("changed_at = '2040-03-02 11:59:59+00'", id="had recovered before"),
            pytest.param(
                "changed_at = '2040-03-02 12:00:01+00', paused_until = '2040-03-02 12:01:00+00'",
                id="is paused",
            ),
            pytest.param(
                "changed_at = '2040-03-02 12:00:01+00', paused_until = '2040-03-02 12:00:01+00'",
                id="waits for its probe",
            ),
            pytest.param("changed_at = '2040-03-02 12:00:01+00', failures = 1", id="has failed"),
        ],
    )
    async def test_postponed_waits_when_its_upstream(
        self, queue: Queue, db: Database, upstream: str
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        await db.execute(f"update upstreams set {upstream} where name = 'work_api'")
        worker.now = at(2)

        await settle(worker, claim, POSTPONED)

        assert (await queue.row(event_id)).available_at == at(62)

    async def test_released_is_due_at_once_and_was_no_attempt(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept(error_kind="bug", error_message="last time")
        claim = await queue.claim(worker)
        worker.now = at(3)

        await settle(worker, claim, RELEASED)

        row = await queue.row(event_id)
        assert (row.status, row.available_at, row.attempts) == ("received", at(3), 0)
        assert (row.error_kind, row.error_message) == ("bug", "last time")

    async def test_an_ending_without_an_error_of_its_own_keeps_the_last_one(
        self, queue: Queue
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept(
            error_kind="upstream_unavailable", error_message="c2s: no clear answer"
        )
        claim = await queue.claim(worker)

        await settle(
            worker,
            claim,
            Ending(
                "postponed",
                error_message="waiting for the second look",
                delay=timedelta(seconds=1),
                reason="read_back",
            ),
        )

        row = await queue.row(event_id)
        assert (row.error_kind, row.error_message) == (
            "upstream_unavailable",
            "waiting for the second look",
        )

    @pytest.mark.parametrize("ending", EVERY_ENDING.values(), ids=EVERY_ENDING)
    async def test_every_ending_ends_the_lease_and_raises_the_token(
        self, queue: Queue, ending: Ending
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)

        await settle(worker, claim, ending)

        row = await queue.row(event_id)
        assert row.lease_token == claim.lease_token + 1
        assert (row.claimed_by, row.claimed_at, row.lease_expires_at, row.deadline_at) == (
            None,
        ) * 4

    @pytest.mark.parametrize("ending", EVERY_ENDING.values(), ids=EVERY_ENDING)
    async def test_a_suspect_that_was_worked_on_is_cleared_but_one_given_back_is_not(
        self, queue: Queue, ending: Ending
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept(suspect=True)
        [claim] = await worker.claim(1, "suspect")

        await settle(worker, claim, ending)

        assert (await queue.row(event_id)).suspect == (ending is RELEASED)

    @pytest.mark.parametrize("ending", EVERY_ENDING.values(), ids=EVERY_ENDING)
    async def test_a_persons_wish_to_reprocess_lasts_until_the_event_is_settled(
        self, queue: Queue, ending: Ending
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept(reprocess=True)
        claim = await queue.claim(worker)

        await settle(worker, claim, ending)

        assert (await queue.row(event_id)).reprocess == (ending not in (COMPLETED, FAILED))

    async def test_many_claims_end_each_in_its_own_way_in_one_statement(self, queue: Queue) -> None:
        worker = queue.worker(now=at(1))
        await queue.accept_many(5)
        claims = await worker.claim(5)

        answers = await worker.settle(
            [
                ended(claim, ending)
                for claim, ending in zip(claims, EVERY_ENDING.values(), strict=True)
            ]
        )

        assert answers == ["settled"] * 5
        assert await queue.statuses() == {"completed": 1, "failed": 1, "received": 3}


class TestAFact:
    async def test_commits_with_the_end_of_the_event(self, queue: Queue, db: Database) -> None:
        worker = queue.worker()
        await queue.accept()
        claim = await queue.claim(worker)
        fact = {"cpf": "00000000191"}

        await settle(worker, claim, Ending("completed", outcome="enriched", fact=fact))

        assert await db.value(
            "select (select xmin from people) = (select xmin from webhook_events)"
        )

    async def test_that_is_refused_leaves_everything_as_it_was(
        self, queue: Queue, db: Database
    ) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        before = await queue.row(event_id)
        fact = {"cpf": "not a cpf"}

        with pytest.raises(psycopg.errors.CheckViolation):
            await settle(worker, claim, Ending("completed", outcome="enriched", fact=fact))

        assert await queue.row(event_id) == before
        assert await queue.history(event_id) == []


class TestHistory:
    async def test_has_one_line_for_each_ended_claim(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        for turn, ending in enumerate(EVERY_ENDING.values()):
            worker.now = at(1000 * turn)
            worker.sweep()
            await settle(worker, await queue.claim(worker), ending)
            if ending in (COMPLETED, FAILED):
                await queue.reset(event_id)

        history = await queue.history(event_id)

        assert [attempt.result for attempt in history] == list(EVERY_ENDING)
        assert len({attempt.lease_token for attempt in history}) == len(history)

    async def test_tells_who_when_how_and_how_long_each_step_took(self, queue: Queue) -> None:
        worker = queue.worker("ana")
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        journal = Journal(Clock())
        async with journal.step("lookup"):
            begin_attempt(journal.record, {})
            tell_attempt("calls", upstream="diretrix", kind="phone", result="ok", seconds=0.0)
            tell_attempt("answers", source="diretrix", kind="phone", found=1, remembered=False)
        worker.now = at(4)

        await worker.settle([(claim, RETRIED, journal)])

        [attempt] = await queue.history(event_id)
        assert (attempt.worker, attempt.attempt, attempt.lease_token) == (
            "ana",
            1,
            claim.lease_token,
        )
        assert (attempt.started_at, attempt.finished_at, attempt.result) == (NOON, at(4), "retried")
        assert (attempt.error_kind, attempt.error_message) == (
            "upstream_unavailable",
            "diretrix: HTTP 500",
        )
        assert [step["step"] for step in attempt.steps] == ["lookup"]
        assert [call["upstream"] for call in attempt.calls] == ["diretrix"]

    async def test_keeps_the_steps_in_the_order_in_which_they_began(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        journal = Journal(Clock())
        for name in ("extract", "skip", "lookup", "enrich", "store", "send"):
            async with journal.step(name):
                pass

        await worker.settle([(claim, COMPLETED, journal)])

        [attempt] = await queue.history(event_id)
        assert [step["step"] for step in attempt.steps] == [
            "extract", "skip", "lookup", "enrich", "store", "send",
        ]  # fmt: skip
        offsets = [step["at_ms"] for step in attempt.steps]
        assert offsets == sorted(offsets)

    async def test_keeps_with_the_event_why_it_waits_and_where_it_stood(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        claim = await queue.claim(worker)
        journal = Journal(Clock())
        async with journal.step("lookup"):
            begin_attempt(journal.record, {})
            tell_attempt("answers", source="diretrix", kind="phone", found=0, remembered=True)

        await worker.settle([(claim, POSTPONED, journal)])

        row = await queue.row(event_id)
        assert (row.waiting_for, row.waiting_reason) == ("work_api", "paused")
        assert row.outcome_detail["step"] == "lookup"
        assert [answer["source"] for answer in row.outcome_detail["answers"]] == ["diretrix"]

    async def test_agrees_with_the_attempts_in_the_row(self, queue: Queue) -> None:
        worker = queue.worker()
        event_id = await queue.accept()
        for turn, ending in enumerate([RETRIED, POSTPONED, RETRIED, RELEASED, RETRIED]):
            worker.now = at(1000 * turn)
            worker.sweep()
            await settle(worker, await queue.claim(worker), ending)

        spent = [
            attempt for attempt in await queue.history(event_id) if attempt.result == "retried"
        ]

        assert (await queue.row(event_id)).attempts == len(spent) == 3
        assert [attempt.attempt for attempt in spent] == [1, 2, 3]
