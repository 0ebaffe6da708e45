"""Our fault, your fault: what fails here is 503 and a sentence in /health, never a refusal of a
good delivery.
"""

from __future__ import annotations

import asyncio

import pytest
from psycopg import AsyncConnection
from tests.conftest import Database
from tests.intake.conftest import Kept, Web, an_event, kept, open_web

from c2s_enrich.intake.writer import Writer

BREAK = """
create function break_it() returns trigger language plpgsql as $$
begin
  {0}
end $$;
create trigger break_it before insert on webhook_events for each row execute function break_it();
"""
MEND = "drop function if exists break_it cascade"
FAULTS = {
    # Postgres says so while the NOTIFY queue is full.
    "too many notifications": "raise exception 'too many notifications' using errcode = '54000';",
    "a bug in a trigger": "perform 1 / 0;",
    "a broken constraint": "raise exception 'no' using errcode = '23514';",
    "no memory": "raise exception 'no' using errcode = '53200';",
    "no space": "raise exception 'no' using errcode = '53100';",
    "a missing right": "raise exception 'no' using errcode = '42501';",
}


@pytest.fixture(params=list(FAULTS.values()), ids=list(FAULTS))
async def broken(request: pytest.FixtureRequest, db: Database) -> str:
    await db.execute(BREAK.format(request.param))
    return str(request.param)


class TestAnInsertThatFails:
    async def test_is_503_of_ours_and_a_sentence_with_a_number(
        self, db: Database, broken: str
    ) -> None:
        try:
            async with open_web(db.settings("web", STORE_TIMEOUT="0.5")) as web:
                answers = [await web.deliver(an_event()) for _ in range(2)]
                batch = await web.deliver([an_event(), 7])
                ill = (await web.client.get("/health")).json()
                await db.execute(MEND)
                mended = await web.deliver(an_event())
                well = (await web.client.get("/health")).json()
        finally:
            await db.execute(MEND)

        for answer in (*answers, batch):
            assert (answer.status_code, answer.json()["fault"]) == (503, "service")
            assert "retry-after" in answer.headers
        assert any("3 requests were answered 503" in problem for problem in ill["problems"])
        assert mended.status_code == 200
        assert not any("503" in problem for problem in well["problems"])
        assert await kept(db) == Kept(1, 0)

    async def test_does_not_excuse_a_value_that_the_database_never_takes(
        self, db: Database, broken: str
    ) -> None:
        bad = b'{"id":"bad","x":1e200000,"updated_at":"2025-06-01T10:00:00Z"}'
        try:
            async with open_web(db.settings("web", STORE_TIMEOUT="0.5")) as web:
                answer = await web.deliver(bad)
        finally:
            await db.execute(MEND)

        assert (answer.status_code, answer.json()["fault"]) == (400, "sender")


class TestARefusal:
    @pytest.mark.parametrize(
        ("body", "token", "status"), [(b"{", None, 401), (b"{", "wrong", 401), (b"[]", "", 401)]
    )
    async def test_says_that_the_sender_has_to_change_something(
        self, web: Web, body: bytes, token: str | None, status: int
    ) -> None:
        answer = await web.deliver(body, token=token)

        assert (answer.status_code, answer.json()["fault"]) == (status, "sender")

    async def test_of_strangers_raises_no_alarm(self, web: Web) -> None:
        for _ in range(20):
            await web.deliver(b"x" * 10, token="wrong")
            await web.client.get("/nothing")

        problems = (await web.client.get("/health")).json()["problems"]
        assert not any("503" in problem or "refused" in problem for problem in problems)


class TestAPoolOfTwo:
    async def test_is_ready_while_deliveries_wait(self, db: Database) -> None:
        settings = db.settings("web", DATABASE_POOL_SIZE="2", STORE_TIMEOUT="20")
        async with open_web(settings) as web, await AsyncConnection.connect(db.url) as other:
            await other.execute("lock table webhook_events in exclusive mode")
            waiting = [asyncio.create_task(web.deliver(an_event())) for _ in range(20)]
            await db.until_blocked()
            ready = await web.client.get("/readyz")
            await other.rollback()

            assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
        assert ready.status_code == 200


class TestATimeOutOfOurs:
    async def test_is_not_told_as_the_senders_slowness(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def late(*_: object) -> None:
            raise TimeoutError

        monkeypatch.setattr(Writer, "store", late)
        async with open_web(db.settings("web")) as web:
            answer = await web.deliver(an_event())

        assert (answer.status_code, answer.json()["reason"]) == (503, "bug")
