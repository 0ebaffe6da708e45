"""The database has gone back in time: what it forgot is looked up in C2S, never told again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.brokerage import Boundary, Brokerage
from tests.conftest import Database

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.history import DatabaseHistory, Mark
from c2s_enrich.errors import SettingsError
from c2s_enrich.migrations import migrate
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.operators import build_ops

LEAD, OTHER = "a" * 32, "b" * 32
COPIED = ("webhook_events", "event_attempts", "leads", "lead_people", "lead_messages", "read_backs")


class Backup:
    """A copy of what matters here, and a restore from it."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def take(self) -> None:
        await self._db.execute("drop schema if exists saved cascade")
        await self._db.execute("create schema saved")
        for table in COPIED:
            await self._db.execute(f"create table saved.{table} as table {table}")

    def at(self, point: str, *, and_die: bool = False) -> Boundary:
        """Takes the copy when an event gets there; and its poller ends."""

        async def take(reached: str) -> None:
            if reached == point:
                await self.take()
                if and_die:
                    raise asyncio.CancelledError

        return take

    async def restore(self, *, noticed: bool = True) -> None:
        """`noticed`: the copy knows the database under another identity, as on another server."""
        await self._db.execute("set session_replication_role = replica")
        for table in COPIED:
            await self._db.execute(f"truncate {table}")
            columns = await self._db.value(
                "select string_agg(quote_ident(attname), ', ') from pg_attribute"
                " where attrelid = %s::regclass and attnum > 0 and not attisdropped and"
                " attgenerated = ''",
                [table],
            )
            await self._db.execute(
                f"insert into {table} ({columns}) select {columns} from saved.{table}"
            )
        await self._db.execute("reset session_replication_role")
        await self._db.execute("drop schema saved cascade")
        await self._db.execute(
            "update webhook_events set lease_expires_at = now() - interval '1 s' where status ="
            " 'processing'"
        )
        if noticed:
            await self._db.execute("update restores set identity = 'another server'")


@pytest.fixture
async def backup(db: Database) -> Backup:
    return Backup(db)


async def told_once_proven(brokerage: Brokerage) -> None:
    """Another lead: its message was found on it, so that looks prove something."""
    await brokerage.accept(OTHER, brokerage.people[9])
    await brokerage.work()


async def until_done(brokerage: Brokerage, **settings: Any) -> None:
    """Works on, and lets the settle time and the waits between looks pass at once."""
    for _ in range(4):
        async with brokerage.poller(**settings) as poller:
            await poller.store.reclaim()
            await poller.drain()
        await brokerage.db.execute(
            "update lead_messages set sending_at = sending_at - interval '1 hour' where status ="
            " 'sending'"
        )
        await brokerage.db.execute(
            "update webhook_events set available_at = now() where status = 'received'"
        )


class TestAMessageThatWasSentAndForgotten:
    @pytest.mark.parametrize("point", ["claimed", "store", "permit"])
    async def test_is_not_sent_again_wherever_the_copy_was_taken(
        self, brokerage: Brokerage, backup: Backup, point: str
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(boundary=backup.at(point))
        assert len(brokerage.messages(LEAD)) == 1

        await backup.restore()
        await until_done(brokerage)

        assert len(brokerage.messages(LEAD)) == 1
        assert await brokerage.db.fetch(
            "select status, proof from lead_messages where lead_id = %s", [LEAD]
        ) == [("sent", "read_back")]
        assert (await brokerage.outcomes())[LEAD] == "enriched"

    async def test_is_what_the_seller_was_told_last_and_what_holds_again_is_said_once(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        await backup.take()
        await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work()

        await backup.restore()
        for _ in range(3):  # back to the first one, an echo of what is then said, and another
            await brokerage.accept(LEAD, brokerage.people[0])
            await until_done(brokerage)
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await until_done(brokerage)

        _, _, *again = brokerage.messages(LEAD)
        assert [text.split(":")[0] for text in again] == ["🔄 Voltou a valer"]

    async def test_keeps_its_place_among_what_the_seller_was_told(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work()
        await backup.take()
        await backup.restore()
        # The copy knows what was told last, and not what was told before.
        await brokerage.db.execute(
            "delete from lead_messages where ref ="
            " (select ref from lead_messages where lead_id = %s order by sending_at limit 1)",
            [LEAD],
        )

        await brokerage.accept(LEAD, brokerage.people[0])
        await until_done(brokerage)
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await until_done(brokerage)

        _, _, *again = brokerage.messages(LEAD)
        assert [text.split(":")[0] for text in again] == ["🔄 Voltou a valer"]
        in_order = await brokerage.db.fetch(
            "select ref from lead_messages where lead_id = %s order by sending_at", [LEAD]
        )
        assert [row.ref for row in in_order] == [
            text.rpartition("ref ")[2] for text in brokerage.messages(LEAD)
        ]

    async def test_keeps_its_place_also_where_a_webhook_shows_it_first(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        """What is stored after a restore bears the restore's time until it is clear."""
        await told_once_proven(brokerage)
        await backup.take()
        await backup.restore()
        await brokerage.accept(LEAD, brokerage.people[0])
        await until_done(brokerage)
        late = await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work(boundary=backup.at("store:done"))
        await until_done(brokerage)
        await backup.restore(noticed=False)
        for change in ("status = 'received'", "available_at = now() + interval '1 hour'"):
            await brokerage.db.execute(f"update webhook_events set {change} where id = %s", [late])

        await brokerage.db.execute("update restores set noticed_at = noticed_at - interval '1 day'")
        await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work()

        assert [text.split(":")[0][:8] for text in brokerage.messages(LEAD)] == [
            *("📞📧 Mesma", "📞📧 Mesma")
        ]

    async def test_keeps_its_place_where_a_webhook_shows_several_at_once(
        self, brokerage: Brokerage
    ) -> None:
        await told_once_proven(brokerage)
        for person in brokerage.people[:3]:
            await brokerage.accept(LEAD, person)
            await brokerage.work()
        await brokerage.db.execute(
            "update lead_messages set status = 'sending', sending_at = '2026-01-01',"
            " sent_at = null, proof = null where lead_id = %s",
            [LEAD],
        )

        await brokerage.accept(LEAD, brokerage.people[2], email="nova@exemplo-simulado.com.br")
        await brokerage.work()

        in_order = await brokerage.db.fetch(
            "select ref from lead_messages where lead_id = %s order by sending_at", [LEAD]
        )
        told = [text.rpartition("ref ")[2] for text in brokerage.messages(LEAD)]
        assert [row.ref for row in in_order] == told
        assert len(told) == 4

    async def test_is_recognised_under_the_key_of_before_a_rotation(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await backup.take()
        await brokerage.work()

        await backup.restore()
        new = "another-hash-key-of-at-least-32-characters"
        await until_done(
            brokerage, HASH_KEY=new, HASH_KEY_PREVIOUS="a-hash-key-of-at-least-32-characters"
        )

        assert len(brokerage.messages(LEAD)) == 1

    async def test_is_looked_up_when_a_person_says_that_the_database_was_restored(
        self, brokerage: Brokerage, backup: Backup, pool: Pool
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(boundary=backup.at("permit"))
        await backup.restore(noticed=False)

        marked = await DatabaseHistory(pool).restored(datetime.now(UTC) - timedelta(hours=1))
        await until_done(brokerage)

        assert marked == 1
        assert len(brokerage.messages(LEAD)) == 1


class TestAMessageThatWasNeverSent:
    async def test_is_sent_once_it_was_looked_up(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await backup.take()

        await backup.restore()
        await until_done(brokerage)

        assert len(brokerage.messages(LEAD)) == 1
        assert (
            await brokerage.db.value("select proof from lead_messages where lead_id = %s", [LEAD])
            == "answer"
        )

    @pytest.mark.parametrize("asked_for_again", [True, False])
    @pytest.mark.parametrize("point", ["claimed", "permit"])
    async def test_is_not_sent_behind_a_newer_one_that_was_forgotten(
        self, brokerage: Brokerage, backup: Backup, point: str, asked_for_again: bool
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        with suppress(asyncio.CancelledError):
            await brokerage.work(boundary=backup.at(point, and_die=True))
        await brokerage.db.execute("delete from webhook_events where lead_id = %s", [LEAD])
        await brokerage.db.execute("delete from lead_messages where lead_id = %s", [LEAD])
        await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work()
        newer = brokerage.messages(LEAD)
        assert len(newer) == 1

        await backup.restore()
        await brokerage.accept(LEAD, brokerage.people[1])  # by reconciling
        if asked_for_again:
            await brokerage.db.execute("update webhook_events set status = 'received'")
        await until_done(brokerage)

        assert brokerage.messages(LEAD) == newer
        assert (
            await brokerage.db.value(
                "select count(*) from webhook_events where status <> 'completed'"
            )
            == 0
        )
        assert await brokerage.db.value(
            "select array_agg(status) from lead_messages where lead_id = %s", [LEAD]
        ) == ["sent"]

    async def test_is_not_left_unclear_where_a_restore_is_noticed_as_its_event_ends_without_it(
        self, brokerage: Brokerage, backup: Backup, pool: Pool
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work(boundary=backup.at("permit", and_die=True))
        await brokerage.accept(LEAD, brokerage.people[1])
        await brokerage.work()
        await brokerage.db.execute("update webhook_events set available_at = now()")

        async def notice(reached: str) -> None:
            if reached == "skip":
                await DatabaseHistory(pool).restored(datetime.now(UTC) - timedelta(hours=1))

        await brokerage.work(boundary=notice)
        assert await brokerage.db.value("select count(*) from lead_messages where looks = 0") == 3
        await until_done(brokerage)

        assert await brokerage.db.fetch("select distinct status from lead_messages") == [("sent",)]
        assert len(brokerage.messages(LEAD)) == 1

    async def test_is_sent_although_unclear_ones_are_held(
        self, brokerage: Brokerage, backup: Backup
    ) -> None:
        await told_once_proven(brokerage)
        await brokerage.accept(LEAD, brokerage.people[0])
        await backup.take()

        await backup.restore()
        await until_done(brokerage, DELIVERY_UNCLEAR="hold")

        assert len(brokerage.messages(LEAD)) == 1

    async def test_about_a_lead_from_after_the_restore_needs_no_look(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await told_once_proven(brokerage)
        await DatabaseHistory(pool).restored(datetime.now(UTC) - timedelta(hours=1))
        await brokerage.db.execute("update restores set noticed_at = '2025-01-01'")
        looks = len(brokerage.world.asked("c2s", "lead"))

        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        assert len(brokerage.messages(LEAD)) == 1
        assert len(brokerage.world.asked("c2s", "lead")) == looks


class TestARestore:
    async def test_is_noticed_by_a_living_process_that_sees_the_log_go_back(
        self, db: Database, pool: Pool
    ) -> None:
        history = DatabaseHistory(pool)
        await history.compare("here", 1000, None, history.mark)
        await history.compare("here", 2000, "here", history.mark)
        assert await db.fetch("select why from restores") == [("first_start",)]

        await history.compare("here", 1500, "here", history.mark)

        assert await db.fetch("select why from restores order by id") == [
            ("first_start",), ("counter",),
        ]  # fmt: skip

    async def test_is_not_what_two_answers_in_the_other_order_look_like(
        self, db: Database, pool: Pool
    ) -> None:
        history = DatabaseHistory(pool)
        asked_at = history.mark
        await history.compare("here", 2000, "here", asked_at)

        await history.compare("here", 1500, "here", asked_at)

        assert await db.value("select count(*) from restores") == 0

    async def test_is_noticed_once_by_several_processes(self, db: Database, pool: Pool) -> None:
        for _ in range(3):
            await DatabaseHistory(pool).compare("there", 1000, "here", Mark(0, 0))

        assert await db.value("select count(*) from restores") == 1

    async def test_from_a_dump_gives_another_identity(
        self, db: Database, create_database: Callable[[], str]
    ) -> None:
        import psycopg

        url = create_database()
        await migrate(url)
        async with await psycopg.AsyncConnection.connect(url) as connection:
            cursor = await connection.execute("select identity from database_state()")
            [(identity,)] = await cursor.fetchall()

        assert identity != await db.value("select identity from database_state()")

    async def test_is_not_what_many_events_and_restarts_look_like(
        self, brokerage: Brokerage
    ) -> None:
        for number in range(60):
            await brokerage.accept(f"lead-{number}", brokerage.people[number % 30])
            if number % 20 == 19:
                await brokerage.work(pollers=2)

        assert await brokerage.db.fetch("select distinct why from restores") == [("first_start",)]


class TestTheHashKey:
    async def test_of_another_database_stops_a_poller_at_its_start(
        self, brokerage: Brokerage
    ) -> None:
        await told_once_proven(brokerage)

        with pytest.raises(SettingsError, match="HASH_KEY"):
            await brokerage.work(HASH_KEY="another-hash-key-of-at-least-32-characters")

    async def test_of_another_database_stops_ops_at_its_start(self, brokerage: Brokerage) -> None:
        await told_once_proven(brokerage)
        settings = brokerage.db.settings(
            "ops",
            HASH_KEY="another-hash-key-of-at-least-32-characters",
            ADMIN_TOKEN="an-admin-token-that-is-long",
            METRICS_PORT="0",
        )
        app = build_ops(settings, Metrics())

        with pytest.raises(SettingsError, match="HASH_KEY"):
            async with app.router.lifespan_context(app):
                pass

    async def test_may_be_replaced_while_the_old_one_is_given_too(
        self, brokerage: Brokerage
    ) -> None:
        old, new = (
            "a-hash-key-of-at-least-32-characters",
            "another-hash-key-of-32-characters-or-more",
        )
        await told_once_proven(brokerage)

        await brokerage.work(HASH_KEY=new, HASH_KEY_PREVIOUS=old)
        await brokerage.work(HASH_KEY=new)

        with pytest.raises(SettingsError, match="HASH_KEY"):
            await brokerage.work(HASH_KEY=old)
