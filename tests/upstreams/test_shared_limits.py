"""Pauses, slots and budgets are shared by all pollers: two `Limits` over two pools stand for two of
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.clocks import Naps
from tests.conftest import Database

from c2s_enrich.database import Pool, open_pool
from c2s_enrich.errors import (
    BudgetSpent,
    NoSlot,
    Paused,
    Refused,
    Throttled,
    Unauthorised,
    Unavailable,
    UpstreamError,
)
from c2s_enrich.upstreams.limits import Admission, Limits

# 12:00 in São Paulo, on a day after every real clock's: the table's defaults are real times.
NOON = datetime(2040, 3, 2, 15, 0, tzinfo=UTC)


def limits(
    pool: Pool,
    db: Database,
    *,
    now: datetime | None = None,
    naps: Naps | None = None,
    **settings: Any,
) -> Limits:
    return Limits(pool, db.settings(**settings), naps or Naps(), now=now)


def at(moment: datetime, seconds: float) -> datetime:
    return moment + timedelta(seconds=seconds)


@pytest.fixture
async def other_pool(db: Database) -> AsyncIterator[Pool]:
    async with open_pool(db.settings(), name="another poller") as opened:
        yield opened


async def fail(limits: Limits, name: str, error: UpstreamError, times: int = 1) -> None:
    for _ in range(times):
        await limits.failed(Admission(name), error)


DOWN = Unavailable("diretrix", "HTTP 500")


class TestAQuietUpstream:
    async def test_costs_no_write(self, pool: Pool, db: Database) -> None:
        before = await db.fetch("select xmin, xmax, ctid, * from upstreams order by name")

        admission = await limits(pool, db).admit("diretrix")
        ended_a_pause = await limits(pool, db).succeeded(admission)

        assert not ended_a_pause
        assert await db.fetch("select xmin, xmax, ctid, * from upstreams order by name") == before

    async def test_configure_writes_the_settings_and_a_second_time_nothing(
        self, pool: Pool, db: Database
    ) -> None:
        poller = limits(pool, db, C2S_MIN_INTERVAL="6", WORK_API_DAILY_BUDGET="500")
        await poller.configure()
        once = await db.fetch("select xmin, * from upstreams order by name")

        await poller.configure()

        assert await db.fetch("select xmin, * from upstreams order by name") == once
        states = {state.name: state for state in await poller.all()}
        assert states["c2s"].every_seconds == 6
        assert states["work_api"].daily_budget == 500


class TestAPause:
    async def test_opens_at_the_third_failure_in_a_row(self, pool: Pool, db: Database) -> None:
        poller = limits(pool, db, now=NOON)
        await fail(poller, "diretrix", DOWN, times=2)
        await poller.admit("diretrix")

        await fail(poller, "diretrix", DOWN)

        with pytest.raises(Paused) as paused:
            await poller.admit("diretrix")
        assert paused.value.wait == timedelta(seconds=10)
        assert "HTTP 500" in str(paused.value)

    async def test_does_not_open_where_a_success_came_between(
        self, pool: Pool, db: Database
    ) -> None:
        poller = limits(pool, db, now=NOON)
        await fail(poller, "diretrix", DOWN, times=2)
        await poller.succeeded(await poller.admit("diretrix"))

        await fail(poller, "diretrix", DOWN, times=2)

        await poller.admit("diretrix")

    async def test_is_obeyed_by_every_poller_at_once(
        self, pool: Pool, other_pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db), "c2s", Throttled("c2s", timedelta(seconds=60)))

        with pytest.raises(Paused) as paused:
            await limits(other_pool, db).admit("c2s")
        assert timedelta(seconds=55) < paused.value.wait <= timedelta(seconds=60)

    async def test_leaves_the_other_upstreams_alone(self, pool: Pool, db: Database) -> None:
        await fail(limits(pool, db), "c2s", Throttled("c2s", timedelta(seconds=60)))

        await limits(pool, db).admit("diretrix")

    async def test_lasts_as_long_as_the_upstream_asks_but_a_quarter_of_an_hour_at_most(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "c2s", Throttled("c2s", timedelta(days=365)))

        with pytest.raises(Paused) as paused:
            await limits(pool, db, now=NOON).admit("c2s")
        assert paused.value.wait == timedelta(minutes=15)

    async def test_is_never_shortened_by_a_shorter_wish(self, pool: Pool, db: Database) -> None:
        await fail(limits(pool, db, now=NOON), "c2s", Throttled("c2s", timedelta(seconds=300)))

        await fail(limits(pool, db, now=NOON), "c2s", Throttled("c2s", timedelta(seconds=1)))

        with pytest.raises(Paused) as paused:
            await limits(pool, db, now=NOON).admit("c2s")
        assert paused.value.wait == timedelta(seconds=300)

    async def test_keeps_its_reason_when_a_call_from_before_is_asked_to_wait_less(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "diretrix", Unauthorised("diretrix", "HTTP 401"))

        await fail(
            limits(pool, db, now=NOON), "diretrix", Throttled("diretrix", timedelta(seconds=5))
        )

        assert (
            await db.value("select reason from upstreams where name = 'diretrix'")
            == "credential refused: HTTP 401"
        )

    async def test_for_a_refused_credential_begins_at_the_first_and_says_so(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "work_api", Unauthorised("work_api", "HTTP 403"))

        with pytest.raises(Paused, match="credential refused") as paused:
            await limits(pool, db, now=NOON).admit("work_api")
        assert paused.value.wait == timedelta(seconds=60)

    async def test_is_not_made_longer_by_calls_that_were_under_way_when_it_began(
        self, pool: Pool, db: Database
    ) -> None:
        poller = limits(pool, db, now=NOON)

        await fail(poller, "diretrix", DOWN, times=12)

        with pytest.raises(Paused) as paused:
            await poller.admit("diretrix")
        assert paused.value.wait == timedelta(seconds=10)

    async def test_is_not_ended_by_a_late_success_of_a_call_from_before(
        self, pool: Pool, db: Database
    ) -> None:
        poller = limits(pool, db, now=NOON)
        from_before = await poller.admit("c2s")
        await fail(poller, "c2s", Throttled("c2s", timedelta(seconds=60)))

        assert not await poller.succeeded(from_before)

        with pytest.raises(Paused):
            await poller.admit("c2s")

    async def test_does_not_come_from_a_refused_request(self, pool: Pool, db: Database) -> None:
        await fail(limits(pool, db), "c2s", Refused("c2s", "HTTP 422"), times=10)

        await limits(pool, db).admit("c2s")


class TestTheProbe:
    async def test_is_exactly_one_call_among_many_pollers(
        self, pool: Pool, other_pool: Pool, db: Database
    ) -> None:
        await db.execute(
            "update upstreams set paused_until = now() - interval '1 s', reason = 'it was down'"
            " where name = 'diretrix'"
        )
        # A held row lock is the barrier: all twelve calls stand before it and are let go together.
        async with await psycopg.AsyncConnection.connect(db.url) as gate:
            await gate.execute("select from upstreams where name = 'diretrix' for update")
            calls = [
                asyncio.create_task(limits(p, db).admit("diretrix"))
                for p in (pool, other_pool)
                for _ in range(6)
            ]
            await db.until_blocked(12)
            await gate.rollback()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)

        probes = [outcome for outcome in outcomes if isinstance(outcome, Admission)]
        assert len(probes) == 1
        assert probes[0].probe is not None
        assert sum(isinstance(outcome, Paused) for outcome in outcomes) == 11

    async def test_ends_the_pause_when_it_comes_back_well(self, pool: Pool, db: Database) -> None:
        await fail(limits(pool, db, now=NOON), "diretrix", DOWN, times=3)
        later = limits(pool, db, now=at(NOON, 10))

        assert await later.succeeded(await later.admit("diretrix"))

        assert await later.admit("diretrix") == Admission("diretrix")

    async def test_makes_the_pause_longer_each_time_it_fails_up_to_the_cap(
        self, pool: Pool, db: Database
    ) -> None:
        now, waits = NOON, []
        await fail(limits(pool, db, now=now), "diretrix", DOWN, times=3)
        for _ in range(6):
            with pytest.raises(Paused) as paused:
                await limits(pool, db, now=now).admit("diretrix")
            waits.append(paused.value.wait.total_seconds())
            now += paused.value.wait
            poller = limits(pool, db, now=now)
            await poller.failed(await poller.admit("diretrix"), DOWN)

        assert waits == [10, 20, 40, 80, 120, 120]

    async def test_that_was_throttled_makes_room_for_the_next_one(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "c2s", Throttled("c2s", timedelta(seconds=5)))
        poller = limits(pool, db, now=at(NOON, 5))
        await poller.failed(await poller.admit("c2s"), Throttled("c2s", timedelta(seconds=5)))

        again = await limits(pool, db, now=at(NOON, 10)).admit("c2s")

        assert again.probe is not None

    async def test_of_a_poller_that_died_is_followed_by_another(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "diretrix", DOWN, times=3)
        lost = await limits(pool, db, now=at(NOON, 10)).admit("diretrix")
        with pytest.raises(Paused):
            await limits(pool, db, now=at(NOON, 11)).admit("diretrix")

        # Its time limit (15 s) and a margin later.
        next_one = await limits(pool, db, now=at(NOON, 10 + 15 + 10)).admit("diretrix")

        assert next_one.probe not in (None, lost.probe)
        assert not await limits(pool, db, now=at(NOON, 36)).succeeded(lost)

    async def test_cannot_end_a_pause_that_a_person_set_meanwhile(
        self, pool: Pool, db: Database
    ) -> None:
        await fail(limits(pool, db, now=NOON), "diretrix", DOWN, times=3)
        poller = limits(pool, db, now=at(NOON, 10))
        probe = await poller.admit("diretrix")
        assert await poller.pause("diretrix", 30, "the contract is being renewed")

        assert not await poller.succeeded(probe)

        with pytest.raises(Paused, match="the contract is being renewed") as paused:
            await poller.admit("diretrix")
        assert paused.value.wait == timedelta(minutes=30)


class TestRecovery:
    async def insert_waiting(self, db: Database, count: int, upstream: str) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, received_at,"
            " available_at, waiting_for) "
            "select %s || n, now(), '{}', now() - n * interval '1 min', now() + interval '1"
            " hour', %s from generate_series(1, %s) n",
            (upstream, upstream, count),
        )

    async def test_makes_the_waiting_events_due_oldest_first_and_announces_it_once(
        self, pool: Pool, db: Database
    ) -> None:
        await self.insert_waiting(db, 2500, "diretrix")
        await self.insert_waiting(db, 1, "c2s")
        await db.execute(
            "update upstreams set paused_until = now() - interval '1 s' where name = 'diretrix'"
        )
        poller = limits(pool, db)
        async with await psycopg.AsyncConnection.connect(db.url, autocommit=True) as listener:
            await listener.execute("listen webhook_events")

            assert await poller.succeeded(await poller.admit("diretrix"))

            hints = [hint async for hint in listener.notifies(timeout=0.5)]
        assert len(hints) == 1
        still = await db.fetch("select waiting_for from webhook_events where available_at > now()")
        assert [row.waiting_for for row in still] == ["c2s"]
        assert (
            await db.value(
                "select count(*) from webhook_events where waiting_for is null and available_at ="
                " received_at"
            )
            == 2500
        )

    async def test_by_hand_does_the_same(self, pool: Pool, db: Database) -> None:
        await self.insert_waiting(db, 3, "work_api")
        poller = limits(pool, db)
        await poller.pause("work_api", 60, "by hand")

        assert await poller.resume("work_api")

        assert await poller.admit("work_api") == Admission("work_api")
        assert (
            await db.value("select count(*) from webhook_events where available_at <= now()") == 3
        )

    async def test_by_hand_of_an_unknown_upstream_is_said(self, pool: Pool, db: Database) -> None:
        assert not await limits(pool, db).resume("serasa")
        assert not await limits(pool, db).pause("serasa", 1, "typo")

    async def test_passes_by_events_that_another_transaction_holds(
        self, pool: Pool, db: Database
    ) -> None:
        await self.insert_waiting(db, 2, "diretrix")
        async with await psycopg.AsyncConnection.connect(db.url) as operator:
            await operator.execute(
                "select from webhook_events where lead_id = 'diretrix1' for update"
            )

            await asyncio.wait_for(limits(pool, db).resume("diretrix"), 5)

        assert (
            await db.value("select lead_id from webhook_events where available_at <= now()")
            == "diretrix2"
        )


class TestSlots:
    async def test_are_the_interval_apart_whoever_asks(
        self, pool: Pool, other_pool: Pool, db: Database
    ) -> None:
        await limits(pool, db, C2S_MIN_INTERVAL="6").configure()
        naps = Naps()

        await asyncio.gather(
            *(
                limits(p, db, now=NOON, naps=naps).admit("c2s")
                for p in (pool, other_pool)
                for _ in range(4)
            )
        )

        # The first goes at once and takes no nap.
        slots = [0.0, *sorted(naps.taken)]
        assert slots == [6.0 * n for n in range(8)]

    async def test_too_far_away_are_not_reserved(self, pool: Pool, db: Database) -> None:
        poller = limits(pool, db, now=NOON, C2S_MIN_INTERVAL="40")
        await poller.configure()
        await poller.admit("c2s")
        await poller.admit("c2s")
        before = await db.value("select next_slot_at from upstreams where name = 'c2s'")

        for _ in range(3):
            with pytest.raises(NoSlot) as refused:
                await poller.admit("c2s")
            assert refused.value.wait == timedelta(seconds=80)

        assert await db.value("select next_slot_at from upstreams where name = 'c2s'") == before

    async def test_of_a_clock_that_was_an_hour_ahead_hold_nobody_back(
        self, pool: Pool, db: Database
    ) -> None:
        ahead = limits(pool, db, now=NOON + timedelta(hours=1), C2S_MIN_INTERVAL="6")
        await ahead.configure()
        await ahead.admit("c2s")

        await limits(pool, db, now=NOON).admit("c2s")

    async def test_are_dropped_when_a_pause_began_during_the_wait(
        self, pool: Pool, db: Database
    ) -> None:
        class APauseBegins(Naps):
            async def sleep(self, seconds: float) -> None:
                await fail(poller, "work_api", Throttled("work_api", timedelta(seconds=30)))

        poller = limits(
            pool,
            db,
            now=NOON,
            naps=APauseBegins(),
            WORK_API_MIN_INTERVAL="3",
            WORK_API_DAILY_BUDGET="10",
        )
        await poller.configure()
        await poller.admit("work_api")

        with pytest.raises(Paused):
            await poller.admit("work_api")

        # The call that did not go out is not counted as paid.
        assert await db.value("select calls_today from upstreams where name = 'work_api'") == 1


class TestTheBudget:
    async def test_is_not_exceeded_by_calls_at_the_same_time(
        self, pool: Pool, other_pool: Pool, db: Database
    ) -> None:
        await limits(pool, db, WORK_API_DAILY_BUDGET="5").configure()

        calls = [
            limits(p, db, now=NOON).admit("work_api") for p in (pool, other_pool) for _ in range(6)
        ]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert sum(isinstance(outcome, Admission) for outcome in outcomes) == 5
        assert sum(isinstance(outcome, BudgetSpent) for outcome in outcomes) == 7

    @pytest.mark.parametrize(
        ("moment", "wait"),
        [
            (
                datetime(2040, 3, 3, 2, 59, 59, tzinfo=UTC),
                timedelta(seconds=1),
            ),  # 23:59:59 in São Paulo
            (
                datetime(2040, 3, 3, 0, 0, tzinfo=UTC),
                timedelta(hours=3),
            ),  # the next day in London, not in São Paulo
        ],
    )
    async def test_is_new_at_midnight_in_sao_paulo(
        self, pool: Pool, db: Database, moment: datetime, wait: timedelta
    ) -> None:
        await limits(pool, db, WORK_API_DAILY_BUDGET="1").configure()
        await limits(pool, db, now=NOON).admit("work_api")

        with pytest.raises(BudgetSpent) as spent:
            await limits(pool, db, now=moment).admit("work_api")

        assert spent.value.wait == wait
        await limits(pool, db, now=moment + wait).admit("work_api")

    async def test_is_not_touched_by_calls_that_are_held_back(
        self, pool: Pool, db: Database
    ) -> None:
        poller = limits(pool, db, now=NOON, WORK_API_DAILY_BUDGET="5")
        await poller.configure()
        await fail(poller, "work_api", Throttled("work_api", timedelta(seconds=30)))

        with pytest.raises(Paused):
            await poller.admit("work_api")

        assert await db.value("select calls_today from upstreams where name = 'work_api'") == 0


class TestADatabaseInTrouble:
    async def test_does_not_hide_what_a_call_brought(self, db: Database) -> None:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(db.settings(), name="cut off"))
            poller = limits(pool, db)
            await fail(poller, "diretrix", DOWN)
            admission = await poller.admit("diretrix")
            await db.execute("alter table upstreams rename to upstreams_away")
            try:
                # A missing table does not pass by itself: this one must be heard.
                with pytest.raises(psycopg.errors.UndefinedTable):
                    await poller.succeeded(admission)
            finally:
                await db.execute("alter table upstreams_away rename to upstreams")
            await db.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name ="
                " 'c2s-enrich cut off'"
            )
            async with await psycopg.AsyncConnection.connect(db.url) as blocker:
                await blocker.execute("select from upstreams where name = 'diretrix' for update")
                settling = asyncio.create_task(poller.succeeded(admission))
                await db.until_blocked()
                await db.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where"
                    " application_name = 'c2s-enrich cut off'"
                )

                assert await settling is False
