"""C2S's times have whole seconds: two changes can share one. What is new becomes an event of its
own, what is not is a duplicate.
"""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.cast import ANA, BRUNO
from tests.conftest import Database
from tests.intake.conftest import Kept, Web, a_time, kept

from c2s_enrich.people.c2s_lead import LeadFacts

ID = "lead-1"


def a_lead(at: str, hook_action: str = "on_update_lead", **attributes: Any) -> dict[str, Any]:
    customer = {"name": "Ana Lima", "phone": ANA.phone, "email": ANA.email}
    return {
        "id": ID,
        "hook_action": hook_action,
        "attributes": {"updated_at": at, "customer": customer} | attributes,
    }


def customer(**fields: Any) -> dict[str, Any]:
    return {"name": "Ana Lima", "phone": ANA.phone, "email": ANA.email} | fields


DIFFERENT: dict[str, dict[str, Any]] = {
    "phone": {"customer": customer(phone=BRUNO.phone)},
    "e-mail": {"customer": customer(email="other@example.com")},
    "name": {"customer": customer(name="Ana Lima Souza")},
    "second phone": {"customer": customer(phone2=BRUNO.phone)},
    "closed": {"archive_details": {"archived": True}},
    "closed in words": {"done_details": {"done": "sim"}},
    "closing hook": {"hook_action": "on_close_lead"},
}
THE_SAME: dict[str, dict[str, Any]] = {
    "hook": {"hook_action": "on_create_lead"},
    "status": {"lead_status": {"name": "Em negociação"}},
    "price": {"product": {"price": 2, "name": "Apartamento"}},
    "messages": {"messages": [{"body": "oi"}]},
    "seller": {"seller": {"name": "Carla", "phone": "11900000001", "email": "c@example.com"}},
    "not closed": {"done_details": {"done": False}},
    "nothing more": {"customer": {"name": " Ana Lima "}},
    "nothing": {"customer": None},
}


async def events(db: Database) -> list[Any]:
    return await db.fetch("select id, updated_at, payload_raw from webhook_events order by 2")


class TestASecondBodyOfTheSameSecond:
    @pytest.mark.parametrize("change", DIFFERENT.values(), ids=DIFFERENT)
    async def test_that_tells_something_new_is_an_event_a_microsecond_later(
        self, web: Web, db: Database, change: dict[str, Any]
    ) -> None:
        at = a_time()
        await web.deliver(a_lead(at))

        answer = await web.deliver(a_lead(at, **change))
        again = await web.deliver(a_lead(at, **change))

        first, second = await events(db)
        assert answer.json()["processed"] == 1
        assert (again.json()["processed"], again.json()["duplicates"]) == (0, 1)
        assert second.updated_at - first.updated_at == timedelta(microseconds=1)
        assert await kept(db) == Kept(2, 0)

    @pytest.mark.parametrize("change", THE_SAME.values(), ids=THE_SAME)
    async def test_that_tells_nothing_that_we_use_is_a_duplicate(
        self, web: Web, db: Database, change: dict[str, Any]
    ) -> None:
        at = a_time()
        await web.deliver(a_lead(at))

        answer = await web.deliver(a_lead(at, **change))

        assert (answer.json()["duplicates"], "errors" in answer.json()) == (1, False)
        assert await kept(db) == Kept(1, 0)

    async def test_may_come_in_the_same_batch(self, web: Web, db: Database) -> None:
        at = a_time()
        first, second = a_lead(at), a_lead(at, **DIFFERENT["phone"])

        answer = await web.deliver([first, second, first, second, a_lead(at, **THE_SAME["price"])])

        assert (answer.json()["processed"], answer.json()["duplicates"]) == (2, 3)
        assert [row.payload_raw for row in await events(db)] == [first, second]

    async def test_may_come_in_another_envelope(self, web: Web, db: Database) -> None:
        at = a_time()
        await web.deliver({"data": a_lead(at)})

        await web.deliver({"lead": a_lead(at)})
        await web.deliver([{"data": [a_lead(at)]}])
        await web.deliver({"lead": {"data": a_lead(at, **DIFFERENT["phone"])}})

        assert await kept(db) == Kept(2, 0)

    async def test_from_many_senders_at_once_is_stored_once_each(
        self, web: Web, db: Database
    ) -> None:
        at = a_time()
        bodies = [a_lead(at, customer=customer(phone=f"1198765{n:04}")) for n in range(10)]

        answers = await asyncio.gather(*(web.deliver(body) for body in bodies * 3))

        assert sum(answer.json()["processed"] for answer in answers) == 10
        assert await kept(db) == Kept(10, 0)

    async def test_is_kept_for_a_person_beyond_fifty(self, web: Web, db: Database) -> None:
        at = a_time()
        bodies = [a_lead(at, customer=customer(phone=f"1198765{n:04}")) for n in range(52)]

        answer = await web.deliver(bodies)

        assert (answer.json()["processed"], answer.json()["duplicates"]) == (50, 2)
        assert {error["reason"] for error in answer.json()["errors"]} == {"same_key_other_body"}
        assert await kept(db) == Kept(50, 2)

    async def test_of_an_event_whose_payload_is_gone_is_a_duplicate(
        self, web: Web, db: Database
    ) -> None:
        at = a_time()
        await web.deliver(a_lead(at))
        await db.execute("update webhook_events set payload_raw = '{}', payload_removed_at = now()")

        answer = await web.deliver(a_lead(at, **DIFFERENT["phone"]))

        assert answer.json()["duplicates"] == 1


CONTACTS = st.dictionaries(
    st.sampled_from(["name", "phone", "phone2", "phone_global", "email", "messages"]),
    st.none() | st.sampled_from(["", " ", "a", " a ", "b", 7, 7.5, True, []]),
)
CLOSING = st.dictionaries(
    st.sampled_from(["archived", "done"]), st.sampled_from([True, False, "sim", "no", 1, None])
)
LEADS = st.builds(
    lambda contact, details: {
        "id": ID,
        "attributes": {"customer": contact, "archive_details": details, "done_details": details},
    },
    CONTACTS,
    CLOSING,
)
ENVELOPES = st.sampled_from([lambda x: x, lambda x: {"data": x}, lambda x: {"lead": {"data": [x]}}])


def facts(body: Any) -> LeadFacts:
    read = LeadFacts.from_json(body)
    assert read is not None
    return read


def phones(read: LeadFacts) -> set[str]:
    return set((read.phone or "").split(" / ")) - {""}


class TestWhatTheDatabaseCompares:
    async def test_misses_nothing_that_the_pipeline_reads(self, db: Database) -> None:
        pairs: list[tuple[Any, Any]] = []

        @settings(max_examples=300, deadline=None, database=None)
        @given(LEADS, LEADS, ENVELOPES, ENVELOPES)
        def collect(one: Any, other: Any, around: Any, around_other: Any) -> None:
            pairs.append((around(one), around_other(other)))

        collect()
        firsts, seconds = zip(*pairs, strict=True)
        rows = await db.fetch(
            "select used_of(b, null) <@ used_of(a, null) as nothing_new"
            " from unnest(%s::jsonb[], %s::jsonb[]) with ordinality as t (a, b, n) order by n",
            ([*map(json.dumps, firsts)], [*map(json.dumps, seconds)]),
        )

        assert {row.nothing_new for row in rows} == {True, False}
        for (one, other), row in zip(pairs, rows, strict=True):
            before, after = facts(one), facts(other)
            if row.nothing_new:
                merged = after.filled_from(before)
                assert (merged.name, merged.email) == (before.name, before.email)
                assert phones(after) <= phones(before)
                assert after.closed <= before.closed


class TestTheSendersClock:
    async def test_of_the_future_never_orders_beyond_the_arrival(
        self, web: Web, db: Database
    ) -> None:
        await web.deliver(a_lead("2031-01-01T10:00:00"))
        await web.deliver(a_lead("2020-01-01T10:00:00"))

        rows = await db.fetch(
            "select updated_at, received_at, ordered_at from webhook_events order by updated_at"
        )
        assert [row.ordered_at for row in rows] == [rows[0].updated_at, rows[1].received_at]

    async def test_cannot_be_infinity_whoever_writes_it(self, db: Database) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            await db.execute(
                "insert into webhook_events (lead_id, updated_at, payload_raw)"
                " values ('l', 'infinity', '{}')"
            )


class TestTheRow:
    async def test_names_the_request_that_brought_it(self, web: Web, db: Database) -> None:
        await web.deliver(a_lead(a_time()), x_request_id="req-12345678")

        assert await db.value("select request_id from webhook_events") == "req-12345678"
