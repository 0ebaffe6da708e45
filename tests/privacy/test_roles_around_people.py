"""The roles of the database are enough for what each process does with people, and for no more."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.brokerage import Brokerage
from tests.conftest import Database

from c2s_enrich.database import Pool, open_pool
from c2s_enrich.ops.store import LastHour, OpsStore
from c2s_enrich.privacy.erase import erase
from c2s_enrich.privacy.retention import retention_pass

PEOPLE = (
    "people",
    "person_phones",
    "person_emails",
    "person_addresses",
    "person_companies",
    "contact_lookups",
    "erased_leads",
    "v_people",
)
VIEWS = (
    "v_leads",
    "v_lead_history",
    "v_queue",
    "v_in_flight",
    "v_failures",
    "v_messages_open",
    "v_throughput",
    "v_spend",
)


def as_role(db: Database, role: str) -> Database:
    """The same database, entered as one role."""
    return replace(db, url=make_conninfo(db.url, options=f"-c role={role}"))


@asynccontextmanager
async def pool_of(db: Database) -> AsyncIterator[Pool]:
    async with open_pool(db.settings(), name="test") as pool:
        yield pool


@pytest.fixture
def poller_db(db: Database) -> Database:
    return as_role(db, "c2s_poller")


class TestThePoller:
    async def test_may_enrich_erase_and_age(
        self, poller_db: Database, brokerage: Brokerage
    ) -> None:
        brokerage.db = poller_db
        await brokerage.accept("lead-1", brokerage.people[0])
        await brokerage.accept("lead-2", brokerage.people[1])
        await brokerage.work()

        async with pool_of(poller_db) as pool:
            receipt = await erase(pool, lead_id="lead-1")
            aged = await retention_pass(pool, poller_db.settings())

        assert await brokerage.outcomes() == {"lead-1": "erased", "lead-2": "enriched"}
        assert receipt.counts["person_phones"] == 2
        assert not aged.total()


class TestTheWeb:
    async def test_stores_an_event_of_an_erased_lead_without_content_and_without_knowing_the_list(
        self, db: Database, pool: Pool, brokerage: Brokerage
    ) -> None:
        await erase(pool, lead_id="lead")

        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_web").url, autocommit=True
        ) as web:
            await web.execute(
                "insert into webhook_events (id, lead_id, updated_at, payload_raw) values"
                " (gen_random_uuid(), 'lead', now(), '{\"a\": 1}')"
            )
            await web.execute(
                "select keep_rejected(array[gen_random_uuid()], array['Ana'::bytea],"
                " array['not_json'],"
                " array[null::text], array['lead'], array['{}'::jsonb])"
            )

        assert await db.fetch("select outcome, payload_raw from webhook_events") == [("erased", {})]
        assert await db.fetch("select raw from rejected_deliveries") == [(b"",)]

    @pytest.mark.parametrize("table", PEOPLE)
    async def test_reads_nobodys_data(self, db: Database, table: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_web").url, autocommit=True
        ) as web:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await web.execute(f"select 1 from {table}")

    async def test_may_say_what_is_wrong_with_the_service(self, db: Database) -> None:
        async with pool_of(as_role(db, "c2s_web")) as pool:
            queue, _ = await OpsStore(pool).now()

            assert queue.waiting == 0
            assert await OpsStore(pool).lately() == (LastHour(), None, [])


class TestAReader:
    @pytest.mark.parametrize(
        "table",
        [*PEOPLE, "webhook_events", "lead_messages", "rejected_deliveries", "leads", "v_leads"],
    )
    async def test_sees_neither_a_payload_nor_a_cpf(self, db: Database, table: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_reader").url, autocommit=True
        ) as reader:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await reader.execute(f"select 1 from {table}")

    @pytest.mark.parametrize(
        "query",
        [
            "select * from v_events",
            "select * from v_explain",
            "select * from v_failures",
            "select * from v_queue",
            "select * from v_spend",
            "select * from v_leads_by_seller",
            """select * from matching_events('{"status": "failed"}')""",
        ],
    )
    async def test_asks_the_views(self, db: Database, query: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_reader").url, autocommit=True
        ) as reader:
            await reader.execute(query.encode())


class TestOperators:
    @pytest.mark.parametrize(
        "table",
        [
            *PEOPLE,
            "v_leads",
            "v_queue",
            "v_failures",
            "v_messages_open",
            "v_throughput",
            "v_spend",
            "erasures",
        ],
    )
    async def test_may_look(self, db: Database, table: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_ops").url, autocommit=True
        ) as ops:
            await ops.execute(f"select 1 from {table}")

    @pytest.mark.parametrize("table", ["erased_leads", "erasures", "webhook_events"])
    async def test_may_not_remove_what_keeps_the_promises(self, db: Database, table: str) -> None:
        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_ops").url, autocommit=True
        ) as ops:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await ops.execute(f"delete from {table}")

    async def test_may_erase(self, db: Database, brokerage: Brokerage) -> None:
        await brokerage.accept("lead-1", brokerage.people[0])
        await brokerage.work()

        async with pool_of(as_role(db, "c2s_ops")) as pool:
            receipt = await erase(pool, lead_id="lead-1")

        assert receipt.counts["people"] == 1
        assert await brokerage.outcomes() == {"lead-1": "erased"}

    async def test_may_reset_everything_and_what_is_erased_stays_erased(
        self, db: Database, pool: Pool
    ) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw) values ('lead', now(),"
            " '{}')"
        )
        await erase(pool, lead_id="lead")

        async with await psycopg.AsyncConnection.connect(
            as_role(db, "c2s_ops").url, autocommit=True
        ) as ops:
            await ops.execute("update webhook_events set status = 'received'")

        rows: list[Any] = await db.fetch("select status, outcome from webhook_events")
        assert rows == [("completed", "erased")]
