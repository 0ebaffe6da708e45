"""Nothing is paid for twice within its freshness. Counted where the bills come from: at the
simulated upstreams.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from psycopg import OperationalError
from tests.brokerage import Brokerage
from tests.cast import ANA, BRUNO, CARLA
from tests.conftest import Database, told

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.enrichment.remember import Memory, Question, candidates_in, forget_answers
from c2s_enrich.queue.claim import Claim
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.http import Upstream
from c2s_enrich.upstreams.limits import Limits
from c2s_enrich.upstreams.work_api import WorkApi

SECOND = timedelta(seconds=1)


def records(brokerage: Brokerage) -> list[str]:
    """The CPFs for which the Work API was asked, each time it was."""
    return [call.subject for call in brokerage.world.asked("work_api", "record")]


class TestAnAnswerWithinItsFreshness:
    @pytest.mark.parametrize("pollers", [1, 3])
    async def test_is_bought_once_for_all_leads_of_a_person(
        self, brokerage: Brokerage, pollers: int
    ) -> None:
        for number in range(100):
            await brokerage.accept(f"lead-{number}", brokerage.people[number % 20])

        # One that waits for another's answer is not due, and no poller of ours stays for it.
        while not set((await brokerage.outcomes()).values()) <= {"enriched", "failed"}:
            await brokerage.work(pollers=pollers)

        assert set((await brokerage.outcomes()).values()) == {"enriched"}
        assert sorted(records(brokerage)) == sorted(person.cpf for person in brokerage.people[:20])
        assert len(brokerage.world.asked("diretrix", "phone")) == 20
        assert len(brokerage.world.asked("diretrix", "email")) == 20

    async def test_is_bought_once_by_two_pollers_in_the_same_moment(
        self, brokerage: Brokerage
    ) -> None:
        person = brokerage.people[0]
        brokerage.world.dial.set("work_api", Fault("slow", seconds=0.3))
        brokerage.world.dial.set("diretrix", Fault("slow", seconds=0.2))
        for number in range(2):
            await brokerage.accept(f"lead-{number}", person)

        await brokerage.work(pollers=2, CONCURRENCY=1)

        workers = await brokerage.db.fetch("select distinct worker from event_attempts")
        assert len(workers) == 2
        assert records(brokerage) == [person.cpf]
        assert [len(brokerage.messages(f"lead-{number}")) for number in range(2)] == [1, 1]

    async def test_is_kept_when_the_attempt_fails_after_it(self, brokerage: Brokerage) -> None:
        brokerage.world.dial.set("c2s", Fault("error500", call="message", status=422, count=1))
        event_id = await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        assert await brokerage.outcomes() == {"lead": "failed"}

        await brokerage.db.execute(
            "update webhook_events set status = 'received' where id = %s", (event_id,)
        )
        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "enriched"}
        assert records(brokerage) == [brokerage.people[0].cpf]

    async def test_is_kept_when_the_database_is_away_as_it_arrives(
        self, brokerage: Brokerage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep, away = Memory.keep, [OperationalError("away")]

        async def kept(*answer: Any) -> None:
            if away:
                raise away.pop()
            await keep(*answer)

        monkeypatch.setattr(Memory, "keep", kept)
        await brokerage.accept("lead", brokerage.people[0])
        with told() as lines:
            await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "enriched"}
        assert len(brokerage.world.asked("diretrix", "phone")) == 1
        assert len(brokerage.world.asked("diretrix", "email")) == 1
        assert "answer_waits" in [line["event"] for line in lines]

    async def test_is_kept_when_the_poller_dies_after_it(self, brokerage: Brokerage) -> None:
        reached = asyncio.Event()

        async def die_after_the_record(point: str) -> None:
            if point == "enrich:done":
                reached.set()
                await asyncio.Event().wait()

        await brokerage.accept("lead", brokerage.people[0])
        async with brokerage.poller(boundary=die_after_the_record) as doomed:
            work = asyncio.create_task(doomed.drain())
            await reached.wait()
            work.cancel()
            await asyncio.wait([work])
        await brokerage.db.execute(
            "update webhook_events set lease_expires_at = now() - interval '1 second'"
        )

        async with brokerage.poller() as heir:
            assert len((await heir.store.reclaim())[0]) == 1
            await heir.drain()

        assert await brokerage.outcomes() == {"lead": "enriched"}
        assert records(brokerage) == [brokerage.people[0].cpf]
        assert len(brokerage.world.asked("diretrix")) == 2

    async def test_ends_with_its_freshness(self, brokerage: Brokerage) -> None:
        await brokerage.accept("lead-1", brokerage.people[0])
        await brokerage.work()
        await brokerage.db.execute("update people set expires_at = now()")

        await brokerage.accept("lead-2", brokerage.people[0])
        await brokerage.work()

        assert records(brokerage) == [brokerage.people[0].cpf] * 2
        assert len(brokerage.world.asked("diretrix")) == 2


class TestNobody:
    async def test_is_remembered_too(self, brokerage: Brokerage) -> None:
        for number in range(5):
            await brokerage.accept(
                f"lead-{number}",
                brokerage.people[0],
                phone="5511912340077",
                email="desconhecida@exemplo-simulado.com.br",
            )

        await brokerage.work()

        assert set((await brokerage.outcomes()).values()) == {"not_found"}
        assert len(brokerage.world.asked("diretrix", "phone")) == 1
        assert len(brokerage.world.asked("diretrix", "email")) == 1
        assert len(brokerage.world.asked("work_api", "phone")) == 1

    async def test_has_a_freshness_of_its_own(self, brokerage: Brokerage) -> None:
        without_record = next(person for person in brokerage.world.people if not person.has_record)
        await brokerage.accept("nobody", brokerage.people[0], phone="5511912340077", email=None)
        await brokerage.accept("somebody", brokerage.people[1], email=None)
        await brokerage.accept("no record", without_record, email=None)

        await brokerage.work(LOOKUP_TTL=4000, RECORD_TTL=3000, NOBODY_TTL=40)

        fresh = "expires_at - fetched_at as fresh"
        lookups = await brokerage.db.fetch(
            f"select distinct candidates <> '[]' as found, {fresh} from contact_lookups"
        )
        assert {(row.found, row.fresh) for row in lookups} == {
            (True, 4000 * SECOND),
            (False, 40 * SECOND),
        }
        people = await brokerage.db.fetch(
            f"select profile is not null as found, {fresh} from people"
        )
        assert {(row.found, row.fresh) for row in people} == {
            (True, 3000 * SECOND),
            (False, 40 * SECOND),
        }


class TestAskingAgain:
    async def test_forgets_the_answers_that_a_lead_rests_on_and_no_others(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        await brokerage.accept("lead-ana", ana)
        await brokerage.accept("lead-bruno", bruno)
        await brokerage.work()

        forgotten = await forget_answers(pool, ["lead-ana"])
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        assert forgotten == 3
        assert sorted(records(brokerage)) == sorted([ana.cpf, ana.cpf, bruno.cpf])
        assert len(brokerage.world.asked("diretrix", "phone", ana.phone)) == 2
        assert len(brokerage.world.asked("diretrix", "phone", bruno.phone)) == 1

    async def test_tells_the_seller_nothing_that_he_knows(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()

        await forget_answers(pool, ["lead"])
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        assert len(brokerage.messages("lead")) == 1

    async def test_knows_nothing_to_forget_of_a_lead_that_was_never_seen(self, pool: Pool) -> None:
        assert await forget_answers(pool, ["never-seen"]) == 0


class TestAQuestionUnderWay:
    """Who asks first holds the question as long as his event's lease lives."""

    async def test_is_asked_by_one(self, db: Database, pool: Pool) -> None:
        first, second = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")

        assert [await ask(pool, first), await ask(pool, second)] == ["go", "busy"]

    async def test_is_neither_taken_over_nor_given_up_by_a_poller_that_lost_its_lease(
        self, db: Database, pool: Pool
    ) -> None:
        holder = await a_claim(db, "lead-1")
        stale = holder._replace(lease_token=holder.lease_token - 1)
        await ask(pool, holder)

        taken = await ask(pool, stale)
        await a_memory(pool).give_up_asking(stale, RECORD, perhaps_paid=True)

        assert (taken, await ask(pool, await a_claim(db, "lead-2"))) == ("busy", "busy")
        assert await db.value("select count(*) from paid_calls") == 0

    async def test_may_be_asked_again_once_it_was_given_up(self, db: Database, pool: Pool) -> None:
        first, second = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        await ask(pool, first)

        await a_memory(pool).give_up_asking(first, RECORD, perhaps_paid=False)

        assert await ask(pool, second) == "go"

    @pytest.mark.parametrize(("ended", "answer"), [(False, "busy"), (True, "go")])
    async def test_lapses_with_the_lease_of_a_killed_asker(
        self, db: Database, pool: Pool, ended: bool, answer: str
    ) -> None:
        killed, waiting = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        await ask(pool, killed)

        await db.execute(
            "update webhook_events set lease_expires_at = now() + %s where id = %s",
            (SECOND * (-1 if ended else 60), killed.event_id),
        )

        assert await ask(pool, waiting) == answer

    async def test_that_is_answered_while_another_waits_for_the_right_to_ask_is_not_paid_for_twice(
        self, db: Database, pool: Pool
    ) -> None:
        # The other has looked before the answer came, and gets the right to ask after it: what it
        # waits for is the lock of this transaction.
        first, second = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        await ask(pool, first)
        async with db.connection.transaction():
            await db.execute("delete from answers_under_way")
            waiting = asyncio.create_task(ask(pool, second))
            await db.until_blocked()
            await db.execute(
                "insert into people (cpf, expires_at) values (%s, now() + interval '1 day')",
                (ANA.cpf.digits,),
            )

        assert await waiting == "remembered"
        assert await db.value("select count(*) from answers_under_way") == 0

    @pytest.mark.parametrize("decision", ["paused", "spent"])
    async def test_that_the_limits_hold_back_is_left_to_others(
        self, db: Database, pool: Pool, decision: str
    ) -> None:
        held, other = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        limit = {
            "paused": "paused_until = now() + interval '1 minute'",
            "spent": "daily_budget = 0",
        }
        await db.execute(f"update upstreams set {limit[decision]} where name = 'work_api'")
        if decision == "spent":
            await db.execute(
                "update upstreams set daily_budget = 1, calls_today = 1,"
                " budget_day = (now() at time zone 'America/Sao_Paulo')::date"
            )

        assert [await ask(pool, held), await ask(pool, other)] == [decision, decision]
        assert await db.value("select count(*) from answers_under_way") == 0

    async def test_that_is_remembered_needs_no_admission(self, db: Database, pool: Pool) -> None:
        await db.execute("update upstreams set paused_until = now() + interval '1 minute'")
        await db.execute(
            "insert into people (cpf, expires_at) values (%s, now() + interval '1 day')",
            (ANA.cpf.digits,),
        )

        assert await ask(pool, await a_claim(db, "lead")) == "remembered"

    async def test_of_a_killed_asker_delays_others_by_the_rest_of_its_lease(
        self, brokerage: Brokerage
    ) -> None:
        person = brokerage.people[0]
        killed = await a_claim(brokerage.db, "killed", lease=0.8 * SECOND)
        await brokerage.db.execute(
            "insert into answers_under_way (what, event_id, lease_token) values (%s, %s, %s)",
            (f"work_api cpf {person.cpf}", killed.event_id, killed.lease_token),
        )
        await brokerage.accept("waiting", person)
        clock = Clock()
        began = clock.boottime()

        async with brokerage.poller() as poller, asyncio.timeout(20):
            work = asyncio.create_task(poller.drain())
            while (await brokerage.outcomes())["waiting"] != "enriched":
                await asyncio.sleep(0.02)
            took = clock.boottime() - began
            await work

        assert 0.5 < took < 3
        assert records(brokerage) == [person.cpf]

    async def test_that_was_answered_late_does_not_undo_a_newer_answer(
        self, db: Database, pool: Pool
    ) -> None:
        stopped, other = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        memory, question = a_memory(pool), Question("diretrix", "phone", "+5511987650001")
        terms = Limits(pool, db.settings(), Clock()).terms("diretrix")
        asked_at = (await memory.ask(stopped, question, terms)).at

        await memory.keep(other, question, (BRUNO.candidate,), asked_at + SECOND, 60 * SECOND)
        await memory.keep(stopped, question, (CARLA.candidate,), asked_at, 60 * SECOND)

        reply = await memory.ask(other, question, terms)
        assert (candidates_in(reply.answer), reply.at) == ((BRUNO.candidate,), asked_at + SECOND)


class TestWhatWasPaid:
    async def test_is_recorded_with_the_answer(self, brokerage: Brokerage) -> None:
        await brokerage.accept("known", brokerage.people[0])
        await brokerage.accept("unknown", brokerage.people[1], phone="5511912340077", email=None)

        await brokerage.work()

        assert sorted(await spent(brokerage.db)) == [
            ("diretrix", "email", 1, 1, 0),
            ("diretrix", "phone", 2, 1, 0),
            ("work_api", "phone", 1, 0, 0),
            ("work_api", "record", 1, 1, 0),
        ]

    async def test_is_not_recorded_again_for_a_remembered_answer(
        self, brokerage: Brokerage
    ) -> None:
        for number in range(5):
            await brokerage.accept(f"lead-{number}", brokerage.people[0])

        await brokerage.work()

        assert {row.answers for row in await spent(brokerage.db)} == {1}

    async def test_is_perhaps_one_more_when_the_answer_is_lost(self, brokerage: Brokerage) -> None:
        brokerage.world.dial.set("work_api", Fault("error500", call="record"))
        await brokerage.accept("lead", brokerage.people[0])

        await brokerage.work()

        assert ("work_api", "record", 0, 0, 1) in await spent(brokerage.db)

    async def test_is_perhaps_one_more_when_the_asker_dies(self, db: Database, pool: Pool) -> None:
        killed, other = await a_claim(db, "lead-1"), await a_claim(db, "lead-2")
        await ask(pool, killed)
        await db.execute("update webhook_events set lease_expires_at = now() - interval '1 s'")

        await ask(pool, other)

        assert await spent(db) == [("work_api", "record", 0, 0, 1)]

    async def test_is_nothing_when_the_credential_is_refused(self, brokerage: Brokerage) -> None:
        brokerage.world.dial.set("work_api", Fault("error500", status=401))
        await brokerage.accept("lead", brokerage.people[0])

        await brokerage.work()

        assert not [row for row in await spent(brokerage.db) if row.source == "work_api"]


class TestTheDailyBudget:
    async def test_makes_events_wait_for_the_next_day_when_it_is_spent(
        self, brokerage: Brokerage
    ) -> None:
        for number in range(5):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])

        await brokerage.work(WORK_API_DAILY_BUDGET=2)

        assert len(records(brokerage)) == 2
        waiting = await brokerage.db.fetch(
            "select attempts, waiting_for, error_message, available_at at time zone"
            " 'America/Sao_Paulo' as due,"
            " (now() at time zone 'America/Sao_Paulo')::date + 1 as tomorrow from webhook_events"
            " where status = 'received'"
        )
        assert len(waiting) == 3
        for row in waiting:
            assert (row.attempts, row.waiting_for, row.error_message) == (
                0,
                "work_api",
                "work_api: today's budget of calls is spent",
            )
            assert row.due.date() == row.tomorrow
            assert row.due.time() < datetime(2000, 1, 1, 0, 1, tzinfo=UTC).time()
        assert await brokerage.db.value(
            "select calls_today >= daily_budget from health_upstreams where name = 'work_api'"
        )

    async def test_is_new_the_next_day(self, brokerage: Brokerage) -> None:
        for number in range(3):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])
        await brokerage.work(WORK_API_DAILY_BUDGET=2)

        await brokerage.db.execute("update upstreams set budget_day = budget_day - 1")
        await brokerage.db.execute(
            "update webhook_events set available_at = now() where status = 'received'"
        )
        await brokerage.work(WORK_API_DAILY_BUDGET=2)

        assert set((await brokerage.outcomes()).values()) == {"enriched"}
        assert len(records(brokerage)) == 3

    async def test_is_not_spent_by_remembered_answers(self, brokerage: Brokerage) -> None:
        for number in range(10):
            await brokerage.accept(f"lead-{number}", brokerage.people[number % 2])

        await brokerage.work(WORK_API_DAILY_BUDGET=2)

        assert set((await brokerage.outcomes()).values()) == {"enriched"}


async def spent(db: Database) -> list[Any]:
    return await db.fetch("select source, kind, answers, found, perhaps_paid from v_spend")


RECORD = Question("work_api", "record", ANA.cpf.digits)


async def ask(pool: Pool, claim: Claim) -> str:
    """The event asks for Ana's record: what it is told."""
    terms = {"slot_wait": SECOND, "probe_lease": SECOND, "now": None}
    return (await a_memory(pool).ask(claim, RECORD, terms)).decision.word


def a_memory(pool: Pool) -> Memory:
    settings, _ = Settings.read({})
    limits = Limits(pool, settings, Clock())
    work_api = WorkApi(cast(Upstream, None), settings.work_api_token)
    return Memory(pool, work_api, limits, Clock(), Metrics(), settings)


async def a_claim(db: Database, lead_id: str, *, lease: timedelta = 60 * SECOND) -> Claim:
    """An event in flight at a poller that does not exist."""
    row: Any = (
        await db.fetch(
            "insert into webhook_events (id, lead_id, updated_at, payload_raw, status,"
            " lease_token, claimed_by, claimed_at,"
            " lease_expires_at, deadline_at, attempts) values (%s, %s, now(), '{}', 'processing',"
            " 1, 'gone', clock_timestamp(),"
            " clock_timestamp() + %s, now() + interval '5 minutes', 1) returning id, updated_at,"
            " claimed_at, available_at",
            (uuid4(), lead_id, lease),
        )
    )[0]
    event_id: UUID = row.id
    return Claim(
        event_id=event_id,
        lead_id=lead_id,
        updated_at=row.updated_at,
        hook_action=None,
        payload="{}",
        attempts=1,
        max_attempts=8,
        reprocess=False,
        lease_token=1,
        claimed_at=row.claimed_at,
        age=timedelta(),
        available_at=row.available_at,
        worker="gone",
    )
