"""Everybody is forgotten in time: content first, the rows much later, in small batches and without
standing in anybody's way.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest
from psycopg import AsyncConnection
from tests.brokerage import Brokerage
from tests.conftest import Database

from c2s_enrich.database import Pool, statements
from c2s_enrich.privacy import retention
from c2s_enrich.privacy.retention import retention_duty, retention_pass
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.settings import Settings

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


async def settled_at(brokerage: Brokerage) -> datetime:
    """A lead that was enriched; the time when its event was settled."""
    await brokerage.accept("lead", brokerage.people[0])
    await brokerage.work()
    moment: datetime = await brokerage.db.value("select processed_at from webhook_events")
    return moment


def settings_of(db: Database) -> Settings:
    return db.settings(RETENTION_PAYLOAD=90 * 86400, RETENTION_METADATA=730 * 86400)


class TestWhatIsOlderThanThePayloadsAge:
    async def test_loses_its_content_and_keeps_its_story(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        settled = await settled_at(brokerage)

        counts = await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        assert counts == Counter(payloads=1, messages=1, leads=1, lookups=2, people=1)
        stored = await brokerage.everything_stored()
        for mark in (
            brokerage.people[0].cpf,
            brokerage.people[0].email,
            brokerage.people[0].phone,
            brokerage.people[0].name,
        ):
            assert mark not in stored
            assert mark.upper() not in stored
        columns = "status, outcome, payload_raw, payload_removed_at is not null as removed"
        assert await brokerage.db.fetch(f"select {columns} from webhook_events") == [
            ("completed", "enriched", {}, True)
        ]
        assert await brokerage.db.value("select count(*) from event_attempts") == 1
        assert await brokerage.db.fetch("select status, body, contacts from lead_messages") == [
            ("sent", "", [])
        ]

    @pytest.mark.parametrize(("beyond", "payloads"), [(-SECOND, 0), (SECOND, 1)])
    async def test_is_judged_to_the_second(
        self, brokerage: Brokerage, pool: Pool, beyond: timedelta, payloads: int
    ) -> None:
        settled = await settled_at(brokerage)

        counts = await retention_pass(
            pool, settings_of(brokerage.db), now=settled + 90 * DAY + beyond
        )

        assert counts["payloads"] == payloads

    async def test_is_not_touched_twice(self, brokerage: Brokerage, pool: Pool) -> None:
        settled = await settled_at(brokerage)
        await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        assert (
            await retention_pass(pool, settings_of(brokerage.db), now=settled + 92 * DAY)
            == Counter()
        )

    async def test_is_recognised_when_it_is_delivered_again(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        settled = await settled_at(brokerage)
        [event] = await brokerage.db.fetch(
            "select id, lead_id, updated_at, payload_raw::text as payload from webhook_events"
        )
        await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        verdicts = await brokerage.db.fetch(
            "select verdict from stored_deliveries(array[gen_random_uuid()], array[%s],"
            " array[%s::timestamptz],"
            " array['on_create_lead'], array[%s::jsonb])",
            (event.lead_id, event.updated_at, event.payload),
        )

        assert [row.verdict for row in verdicts] == ["duplicate"]

    async def test_tells_the_seller_nothing_twice_when_it_is_reprocessed(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        settled = await settled_at(brokerage)
        await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "enriched"}
        assert len(brokerage.messages("lead")) == 1

    async def test_does_not_lose_the_text_of_a_message_that_may_have_to_be_sent_again(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        """An unclear delivery that nobody judged for three months: the text is gone, a reprocess
        composes it again.
        """
        settled = await settled_at(brokerage)
        await brokerage.db.execute(
            "update lead_messages set status = 'sending', sent_at = null, proof = null"
        )
        await brokerage.db.execute(
            "update webhook_events set status = 'failed', error_kind = 'delivery_unclear'"
        )
        brokerage.world.leads["lead"].messages.clear()
        await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)
        assert await brokerage.db.fetch("select status, body from lead_messages") == [
            ("sending", "")
        ]

        await brokerage.db.execute("update lead_messages set status = 'pending'")
        await brokerage.db.execute("update webhook_events set status = 'received'")
        await brokerage.work()

        assert brokerage.people[0].name.upper() in "".join(brokerage.messages("lead")).upper()


class TestWhatIsOlderThanTheMetadatasAge:
    async def test_goes_whole(self, brokerage: Brokerage, pool: Pool) -> None:
        settled = await settled_at(brokerage)

        await retention_pass(pool, settings_of(brokerage.db), now=settled + 731 * DAY)

        for table in (
            "webhook_events",
            "event_attempts",
            "lead_messages",
            "leads",
            "lead_people",
            "people",
            "contact_lookups",
            "paid_calls",
        ):
            assert await brokerage.db.value(f"select count(*) from {table}") == 0


class TestWhatIsStillNeeded:
    async def test_an_event_that_waits_keeps_its_payload(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        before = await brokerage.db.fetch("select payload_raw from webhook_events")

        await retention_pass(
            pool,
            settings_of(brokerage.db),
            now=await brokerage.db.value("select now() + interval '10 years'"),
        )

        assert await brokerage.db.fetch("select payload_raw from webhook_events") == before

    async def test_a_lead_that_was_heard_of_since_keeps_its_people(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        settled = await settled_at(brokerage)
        await brokerage.db.execute("update leads set last_seen_at = now() + interval '89 days'")

        counts = await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        assert (counts["leads"], counts["people"]) == (0, 0)

    async def test_an_answer_that_is_fresh_is_kept_however_old(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        settled = await settled_at(brokerage)
        await brokerage.db.execute(
            "update contact_lookups set expires_at = now() + interval '1 year'"
        )
        await brokerage.db.execute("update people set expires_at = now() + interval '1 year'")

        counts = await retention_pass(pool, settings_of(brokerage.db), now=settled + 91 * DAY)

        assert (counts["lookups"], counts["people"]) == (0, 0)

    async def test_a_rejected_delivery_keeps_its_bytes_until_then(
        self, db: Database, pool: Pool
    ) -> None:
        now = await db.value(
            "insert into rejected_deliveries (raw, reason) values ('x', 'not_json') returning"
            " received_at"
        )

        assert await retention_pass(pool, settings_of(db), now=now + 89 * DAY) == Counter()
        assert await retention_pass(pool, settings_of(db), now=now + 91 * DAY) == Counter(rejects=1)
        assert await retention_pass(pool, settings_of(db), now=now + 731 * DAY) == Counter(
            reject_rows=1
        )


class TestAPass:
    @pytest.fixture
    async def a_thousand_old_events(self, db: Database) -> Database:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, outcome,"
            " received_at, processed_at)"
            " select 'lead-' || g, now(), '{\"a\": 1}', 'completed', 'ignored', now() - interval"
            " '100 days', now() - interval '100 days'"
            " from generate_series(1, 1000) g"
        )
        return db

    async def test_works_a_backlog_off_in_batches(
        self, a_thousand_old_events: Database, pool: Pool
    ) -> None:
        first = await retention_pass(pool, settings_of(a_thousand_old_events), batch=30)
        second = await retention_pass(pool, settings_of(a_thousand_old_events), batch=30)

        assert (first["payloads"], second["payloads"]) == (
            30 * retention.MOST_BATCHES,
            1000 - 30 * retention.MOST_BATCHES,
        )

    async def test_walks_past_rows_that_others_hold(
        self, a_thousand_old_events: Database, pool: Pool
    ) -> None:
        async with (
            await AsyncConnection.connect(a_thousand_old_events.url) as other,
            asyncio.timeout(10),
        ):
            await other.execute("select 1 from webhook_events where lead_id = 'lead-7' for update")

            counts = await retention_pass(pool, settings_of(a_thousand_old_events))

        assert counts["payloads"] == 999
        assert await a_thousand_old_events.fetch(
            "select lead_id from webhook_events where payload_removed_at is null"
        ) == [("lead-7",)]

    async def test_finds_what_is_old_through_an_index(
        self, a_thousand_old_events: Database, pool: Pool
    ) -> None:
        """It must not read two years of events that it emptied before."""
        db = a_thousand_old_events
        await db.execute(
            "update webhook_events set payload_removed_at = now(), payload_raw = '{}' where"
            " lead_id <> 'lead-7'"
        )
        await db.execute("vacuum analyze webhook_events")

        statement = statements("privacy")["age_payloads"]
        plan = await db.fetch(f"explain {statement}", {"age": 90 * DAY, "batch": 500, "now": None})

        assert "webhook_events_with_payload" in str(plan)


class TestTheDuty:
    async def test_is_done_by_one_poller_for_all_and_once_a_minute(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await settled_at(brokerage)
        await brokerage.db.execute(
            "update webhook_events set processed_at = now() - interval '100 days'"
        )
        settings = settings_of(brokerage.db)

        await asyncio.gather(*[retention_duty(pool, settings) for _ in range(4)])
        [first] = await brokerage.db.fetch("select began_at from duties where name = 'retention'")
        await asyncio.gather(*[retention_duty(pool, settings) for _ in range(4)])
        [second] = await brokerage.db.fetch("select began_at from duties where name = 'retention'")

        assert first == second
        assert await brokerage.db.value("select payload_raw from webhook_events") == {}

    async def test_has_its_turn_again_after_the_interval(self, db: Database, pool: Pool) -> None:
        assert await take_turn(pool, "a duty", 60 * SECOND)
        assert not await take_turn(pool, "a duty", 60 * SECOND)

        await db.execute("update duties set began_at = began_at - interval '60 seconds'")

        assert await take_turn(pool, "a duty", 60 * SECOND)

    async def test_is_taken_by_one_of_many_who_ask_at_once(self, pool: Pool) -> None:
        turns = await asyncio.gather(*[take_turn(pool, "a duty", 60 * SECOND) for _ in range(8)])

        assert turns.count(True) == 1
