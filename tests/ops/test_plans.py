"""Bulk actions: the plan says what would happen, the run does that and nothing else, in batches
that can be stopped, and leaves a row that says who did it.
"""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from psycopg.conninfo import make_conninfo
from tests.brokerage import Brokerage
from tests.conftest import Database, told

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, open_pool
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.explain import situation_of
from c2s_enrich.ops.filters import Filter
from c2s_enrich.ops.plans import BATCH, Order, PlanGone, Planner, PlanState, Runs
from c2s_enrich.upstreams.limits import Limits


@pytest.fixture
def planner(pool: Pool) -> Planner:
    return Planner(pool, actor="ana", via="cli")


async def failed(db: Database, count: int, *, leads: int = 1, **columns: Any) -> None:
    await db.execute(
        "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
        " error_kind, error_message, received_at)"
        " select 'lead-' || n %% %s, now() - n * interval '1 s', '{}', 'failed', now(),"
        " 'upstream_refused', 'c2s: HTTP 422', now() - n * interval '1 ms'"
        " from generate_series(1, %s) n",
        (leads, count),
    )


async def counts(db: Database) -> dict[str, int]:
    rows = await db.fetch("select status, count(*) as events from webhook_events group by 1")
    return {row.status: row.events for row in rows}


FAILED = Filter(kind="upstream_refused")


class TestAPlan:
    async def test_changes_nothing_and_says_how_many(self, db: Database, planner: Planner) -> None:
        await failed(db, 7, leads=3)

        plan = await planner.plan(Order("reprocess", FAILED))

        assert (plan.events, plan.leads, plan.in_flight) == (7, 3, 0)
        assert [(each.events, each.error) for each in plan.groups] == [(7, "c2s: HTTP 422")]
        assert await counts(db) == {"failed": 7}

    async def test_means_failed_events_unless_a_word_says_which(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 2)
        await db.execute(
            "insert into webhook_events (id, lead_id, updated_at, payload_raw, status, outcome,"
            " processed_at) values (gen_random_uuid(), 'lead-0', now(), '{}', 'completed',"
            " 'not_found', now())"
        )
        done = await db.value("select id from webhook_events where status = 'completed'")

        async def events(chosen: Filter) -> int:
            return (await planner.plan(Order("reprocess", chosen))).events

        assert await events(Filter(lead="lead-0")) == 2
        assert await events(Filter(lead="lead-0", status="completed")) == 1
        assert await events(Filter(outcome="not_found")) == 1
        assert await events(Filter(event=(str(done),))) == 1

    async def test_counts_paid_calls_by_what_is_remembered(
        self, brokerage: Brokerage, planner: Planner
    ) -> None:
        await brokerage.accept("lead-0", brokerage.people[0])
        await brokerage.work()
        again = Order("reprocess", Filter(status="completed"))

        remembered = await planner.plan(again)
        fresh = await planner.plan(Order("reprocess", Filter(status="completed"), fresh=True))

        assert remembered.paid_calls == {"diretrix": 0, "work_api": 0}
        assert remembered.remembered == 3
        assert remembered.told_before == 1
        assert fresh.paid_calls == {"diretrix": 2, "work_api": 2}

    async def test_knows_the_minutes_from_the_rate_limits(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 10, leads=10)
        await db.execute("update upstreams set min_interval = '6 s' where name = 'c2s'")

        assert (await planner.plan(Order("reprocess", FAILED))).minutes == 1.0

    async def test_takes_the_oldest_where_too_many_match(
        self, db: Database, planner: Planner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("c2s_enrich.ops.plans.MOST", 2)
        await failed(db, 3, leads=3)

        plan = await planner.plan(Order("reprocess", FAILED))
        done = await planner.run(plan.id)

        assert (plan.events, plan.leads, plan.filter["limit"]) == (2, 2, 2)
        assert (done.planned, done.done) == (2, 2)
        left = await db.value("select lead_id from webhook_events where status = 'failed'")
        assert left == "lead-1"  # the newest: 1 ms old

    async def test_estimates_from_a_part_of_many_leads(
        self, db: Database, planner: Planner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await failed(db, 12, leads=4)
        every = await planner.plan(Order("reprocess", FAILED))
        monkeypatch.setattr("c2s_enrich.ops.plans._SAMPLE", 2)

        plan = await planner.plan(Order("reprocess", FAILED))

        assert (plan.events, plan.leads) == (12, 4)
        assert plan.paid_calls == every.paid_calls == {"diretrix": 8, "work_api": 8}


class TestTheOperatorsRole:
    async def test_may_do_all_that_operators_do(self, brokerage: Brokerage) -> None:
        db = brokerage.db
        await brokerage.accept("lead-0", brokerage.people[0])
        await brokerage.work()
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw) values ('w', now(),"
            " '{}')"
        )
        message_id = await db.value(
            "update lead_messages set status = 'sending', sent_at = null, proof = null returning id"
        )
        ops = replace(db, url=make_conninfo(db.url, options="-c role=c2s_ops"))

        async with open_pool(ops.settings(), name="test") as pool:
            planner = Planner(pool, actor="ana", via="api")
            limits = Limits(pool, ops.settings(), Clock())
            again = Order("reprocess", Filter(status="completed"), fresh=True)
            given_up = Order("fail", Filter(lead="w"), reason="test")
            done = [await planner.run((await planner.plan(o)).id) for o in (again, given_up)]
            changed = [await limits.pause("c2s", 5, "test"), await limits.resume("c2s")]
            changed.append(await limits.budget("work_api", 9))
            changed.append(await EventsDesk(pool).judge(message_id, delivered=True))
            said = await situation_of(pool, lead="lead-0")

        assert [each.done for each in done] == [1, 1]
        assert changed == [True, True, True, True]
        assert said.event is not None


class TestARun:
    async def test_does_the_plan_once(self, db: Database, planner: Planner) -> None:
        await failed(db, 3)
        plan = await planner.plan(Order("reprocess", FAILED))

        done = await planner.run(plan.id)

        assert (done.state, done.done, done.skipped) == ("done", 3, 0)
        assert await counts(db) == {"received": 3}
        with pytest.raises(PlanGone):
            await planner.run(plan.id)

    async def test_goes_on_in_batches_and_meets_no_event_twice(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 2 * BATCH + 1, leads=50)
        heard: list[tuple[int, int]] = []

        async def progress(seen: int, done: int) -> bool:
            heard.append((seen, done))
            return True

        order = Order("reprocess", Filter(lead="lead-1", status="failed"))
        small = await planner.run((await planner.plan(order)).id, progress)
        plan = await planner.plan(Order("reprocess", FAILED))
        rest = await planner.run(plan.id, progress)

        assert small.done + rest.done == 2 * BATCH + 1
        assert await counts(db) == {"received": 2 * BATCH + 1}
        assert heard == [(BATCH, BATCH)]

    async def test_stops_after_the_batch_that_runs(self, db: Database, planner: Planner) -> None:
        await failed(db, 2 * BATCH)
        plan = await planner.plan(Order("reprocess", FAILED))

        async def enough(seen: int, done: int) -> bool:
            return False

        done = await planner.run(plan.id, enough)

        assert (done.state, done.done) == ("stopped", BATCH)
        assert await counts(db) == {"received": BATCH, "failed": BATCH}

    async def test_stops_after_the_batch_although_somebody_else_runs_it(
        self, db: Database, pool: Pool, planner: Planner
    ) -> None:
        await failed(db, 2 * BATCH)
        plan = await planner.plan(Order("reprocess", FAILED))

        async def from_elsewhere(seen: int, done: int) -> bool:
            return await Planner(pool, actor="bea", via="console").stop(plan.id)

        await planner.run(plan.id, from_elsewhere)
        [state] = await planner.states(9)

        assert (state.state, state.done) == ("stopped", BATCH)
        assert await counts(db) == {"received": BATCH, "failed": BATCH}

    async def test_leaves_out_what_is_in_flight_or_came_later(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 1)
        soon = "now() + interval '1 minute'"
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, error_kind) values"
            " ('busy', now(), '{}', 'upstream_refused')"
        )
        await db.execute(
            "update webhook_events set status = 'processing', claimed_by = 'p', claimed_at = now(),"
            f" lease_expires_at = {soon}, deadline_at = {soon} where lead_id = 'busy'"
        )
        ids = tuple(str(row.id) for row in await db.fetch("select id from webhook_events"))
        plan = await planner.plan(Order("reprocess", Filter(event=ids)))
        await failed(db, 0)

        done = await planner.run(plan.id)

        assert (plan.events, plan.in_flight) == (1, 1)
        assert (done.done, done.skipped) == (1, 1)
        assert await db.value("select status from webhook_events where lead_id = 'busy'") == (
            "processing"
        )

    async def test_takes_the_oldest_where_a_limit_is_given(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 5)
        oldest = await db.fetch("select id from webhook_events order by received_at limit 2")

        plan = await planner.plan(Order("reprocess", FAILED, limit=2))
        await planner.run(plan.id)

        queued = await db.fetch(
            "select id from webhook_events where status = 'received' order by received_at"
        )
        assert plan.events == 2
        assert queued == oldest

    async def test_with_fresh_forgets_the_answers_of_the_asked_leads_only(
        self, brokerage: Brokerage, planner: Planner
    ) -> None:
        for number in range(2):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
        await brokerage.work()
        remembered = "select count(*) from contact_lookups where expires_at > now()"
        before = await brokerage.db.value(remembered)

        order = Order("reprocess", Filter(lead="lead-0", status="completed"), fresh=True)
        await planner.run((await planner.plan(order)).id)

        assert before == 4
        assert await brokerage.db.value(remembered) == 2
        people = "select count(*) from people where expires_at > now()"
        assert await brokerage.db.value(people) == 1

    async def test_with_fresh_forgets_nothing_of_a_lead_that_its_limit_leaves_out(
        self, brokerage: Brokerage, planner: Planner
    ) -> None:
        events = [
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
            for number in range(2)
        ]
        await brokerage.work()
        order = Order("reprocess", Filter(event=tuple(map(str, events))), fresh=True, limit=1)
        plan = await planner.plan(order)
        await brokerage.db.execute(
            "update webhook_events set status = 'processing', outcome = null, processed_at = null,"
            " claimed_by = 'p', claimed_at = now(), deadline_at = now() + interval '1 minute',"
            " lease_expires_at = now() + interval '1 minute' where lead_id = 'lead-0'"
        )

        await planner.run(plan.id)

        remembered = "select count(*) from contact_lookups where expires_at > now()"
        assert await brokerage.db.value(remembered) == 4

    async def test_gives_up_what_waits_with_the_reason(
        self, db: Database, planner: Planner
    ) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, waiting_for,"
            " waiting_reason) values ('lead', now(), '{}', 'work_api', 'paused')"
        )
        order = Order("fail", Filter(waiting="work_api"), reason="contract ended")

        await planner.run((await planner.plan(order)).id)

        [row] = await db.fetch("select status, error_kind, error_message from webhook_events")
        assert row == ("failed", "given_up", "contract ended")

    async def test_leaves_a_row_that_says_who_and_what(
        self, db: Database, planner: Planner
    ) -> None:
        await failed(db, 2)
        await planner.run((await planner.plan(Order("reprocess", FAILED, limit=1))).id)

        [row] = await db.fetch(
            "select actor, via, verb, filter, planned, done, skipped, state from operator_actions"
        )
        words = {"kind": "upstream_refused", "status": "failed", "limit": 1}
        assert row == ("ana", "cli", "reprocess", words, 1, 1, 0, "done")


class TestAVerdictOnAllUnclearMessages:
    @pytest.mark.parametrize(
        ("verb", "messages"),
        [("delivered", [("sent", 2, "person")]), ("not_delivered", [("pending", 0, None)])],
    )
    async def test_is_that_on_each_one(
        self, db: Database, planner: Planner, verb: Any, messages: list[tuple[Any, ...]]
    ) -> None:
        await failed(db, 3, leads=3)
        await db.execute("update webhook_events set error_kind = 'delivery_unclear'")
        await db.execute(
            "insert into lead_messages"
            " (event_id, lead_id, content_key, body, ref, status, sending_at, sends, looks)"
            " select id, lead_id, id::text, 'b', 'r', 'sending', now(), 2, 2 from webhook_events"
            " limit 2"
        )

        plan = await planner.plan(Order(verb, Filter(kind="delivery_unclear")))
        done = await planner.run(plan.id)

        assert (plan.events, done.done, done.skipped) == (3, 2, 1)
        assert await counts(db) == {"received": 2, "failed": 1}
        assert await db.fetch("select distinct status, sends, proof from lead_messages") == messages

    async def test_lets_every_event_go_on_that_the_message_held_up(
        self, db: Database, pool: Pool, planner: Planner
    ) -> None:
        await failed(db, 4, leads=2)
        await db.execute("update webhook_events set error_kind = 'delivery_unclear'")
        await db.execute(
            "insert into lead_messages"
            " (event_id, lead_id, content_key, body, ref, status, sending_at, sends, looks)"
            " select distinct on (lead_id) id, lead_id, id::text, 'b', 'r', 'sending', now(), 2, 2"
            " from webhook_events"
        )
        message_id = await db.value("select id from lead_messages where lead_id = 'lead-0'")

        assert await EventsDesk(pool).judge(message_id, delivered=True)
        assert await counts(db) == {"received": 2, "failed": 2}
        plan = await planner.plan(Order("delivered", Filter(kind="delivery_unclear")))
        done = await planner.run(plan.id)

        assert (plan.events, done.done, done.skipped) == (2, 2, 0)
        assert await counts(db) == {"received": 4}


class TestARunThatNobodyWaitsFor:
    async def test_tells_in_the_log_how_it_failed(
        self, db: Database, planner: Planner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await failed(db, 1)
        plan = await planner.plan(Order("reprocess", FAILED))
        asked, runs = asyncio.Event(), Runs(wait_seconds=0)

        async def broken(plan_id: UUID) -> PlanState:
            await asked.wait()
            raise RuntimeError("the token is hunter22hunter22")

        monkeypatch.setattr(planner, "run", broken)
        with told() as lines:
            assert await runs.run(planner, plan.id) is None
            asked.set()
            for _ in range(3):
                await asyncio.sleep(0)

        assert [line["event"] for line in lines] == ["plan_failed"]
