"""Web can do no harm: as c2s_web the whole app works, and whoever took it over would read no
payload and no person.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import Database
from tests.intake.conftest import Kept, an_event, kept, open_web

OF_PEOPLE = (
    *(
        "people",
        "person_phones",
        "person_emails",
        "person_addresses",
        "person_companies",
        "contact_lookups",
        "lead_people",
    ),
    *("leads", "lead_messages", "event_attempts", "erased_leads"),
)


@pytest.fixture
def web_db(db: Database) -> Database:
    """The database as the role sees it."""
    return replace(db, url=make_conninfo(db.url, options="-c role=c2s_web"))


class TestWebAsItsRole:
    async def test_stores_recognises_rejects_and_says_how_it_is(
        self, db: Database, web_db: Database
    ) -> None:
        event = an_event("lead-1")
        async with open_web(web_db.settings("web")) as web:
            new = await web.deliver(event)
            again = await web.deliver(event)
            other_body = await web.deliver(event | {"name": "Ana"})
            mixed = await web.deliver([an_event("lead-2"), 7])
            broken = await web.deliver(b"{")
            ready, health = await web.client.get("/readyz"), await web.client.get("/health")

        assert [
            answer.status_code for answer in (new, again, other_body, mixed, broken, ready, health)
        ] == [200, 200, 200, 200, 400, 200, 200]
        assert (again.json()["duplicates"], other_body.json()["processed"]) == (1, 1)
        assert await kept(db) == Kept(3, 2)
        assert await db.value("select sum(delivered) from intake_minutes") == 3

    @pytest.mark.parametrize(
        "column",
        ["payload_raw", "status", "outcome", "error_message", "claimed_by", "fingerprint", "*"],
    )
    async def test_reads_no_payload_and_no_state_of_an_event(
        self, web_db: Database, column: str
    ) -> None:
        async with await psycopg.AsyncConnection.connect(web_db.url, autocommit=True) as web:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await web.execute(f"select {column} from webhook_events".encode())

    async def test_reads_no_payload_through_a_conflict_or_what_it_just_wrote(
        self, web_db: Database
    ) -> None:
        insert = (
            "insert into webhook_events (id, lead_id, updated_at, payload_raw) values"
            " (gen_random_uuid(), 'l', now(), '{}') "
        )
        async with await psycopg.AsyncConnection.connect(web_db.url, autocommit=True) as web:
            for tail in (
                "returning payload_raw",
                "on conflict (lead_id, updated_at) do update set payload_raw = '1'",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await web.execute((insert + tail).encode())

    @pytest.mark.parametrize("table", [*OF_PEOPLE, "rejected_deliveries"])
    async def test_reads_nobodys_data(self, web_db: Database, table: str) -> None:
        async with await psycopg.AsyncConnection.connect(web_db.url, autocommit=True) as web:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await web.execute(f"select 1 from {table}".encode())

    @pytest.mark.parametrize(
        "statement",
        [
            "update webhook_events set status = 'received'",
            "delete from webhook_events",
            "truncate webhook_events",
            "delete from rejected_deliveries",
            "update upstreams set paused_until = null",
            "insert into lead_messages (event_id, lead_id, content_key, body, ref) values"
            " (gen_random_uuid(), 'l', 'k', 'b', 'r')",
            "insert into webhook_events (lead_id, updated_at, payload_raw, status) values ('l',"
            " now(), '{}', 'completed')",
            "drop table webhook_events",
            "create table mine (x integer)",
        ],
    )
    async def test_changes_and_removes_nothing(self, web_db: Database, statement: str) -> None:
        async with await psycopg.AsyncConnection.connect(web_db.url, autocommit=True) as web:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await web.execute(statement.encode())

    async def test_learns_of_a_payload_only_whether_it_is_the_one_it_has(
        self, db: Database, web_db: Database
    ) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw) values ('l',"
            " '2025-06-01Z', '{\"secret\": 1}')"
        )

        async with await psycopg.AsyncConnection.connect(web_db.url, autocommit=True) as web:
            cursor = await web.execute(
                "select verdict from stored_deliveries(array[gen_random_uuid()], array['l'],"
                " array['2025-06-01Z'::timestamptz], array['x'], array['{\"name\": \"A\"}'::jsonb])"
            )

            assert await cursor.fetchall() == [("new_body",)]
