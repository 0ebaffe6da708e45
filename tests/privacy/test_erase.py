"""A person who asks for it is removed from every table, stays removed, and nobody is told a second
time because of it.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.brokerage import Brokerage
from tests.cast import a_cpf
from tests.conftest import Database
from tests.intake.conftest import Kept, an_event, kept, open_web

from c2s_enrich.database import Pool
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.erase import ErasureReceipt, erase
from c2s_enrich.privacy.traces import Traces
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.population import Person


def cpf_of(person: Person) -> Cpf:
    cpf = Cpf.parse(person.cpf)
    assert cpf is not None
    return cpf


def marks_of(person: Person) -> tuple[str, ...]:
    """Texts by which somebody who reads the database would recognise the person."""
    cpf = cpf_of(person)
    phone = f"({person.phone[:2]}) {person.phone[2:7]}-{person.phone[7:]}"
    return (
        person.cpf,
        cpf.formatted,
        person.phone,
        phone,
        person.email,
        person.name,
        person.name.upper(),
    )


async def reject(db: Database, raw: bytes, lead_id: str | None = None) -> UUID:
    """A delivery that intake could not read."""
    query = (
        "insert into rejected_deliveries (raw, reason, lead_id) values (%s, 'not_json', %s)"
        " returning id"
    )
    reject_id: UUID = await db.value(query, (raw, lead_id))
    return reject_id


async def assert_gone(brokerage: Brokerage, person: Person) -> None:
    stored = await brokerage.everything_stored()
    assert [mark for mark in marks_of(person) if mark in stored] == []


class TestErasingALead:
    async def test_removes_the_person_from_every_table(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        await brokerage.accept("lead-ana", ana)
        await brokerage.accept("lead-bruno", bruno)
        await reject(
            brokerage.db, json.dumps({"id": "lead-ana", "customer": {"name": ana.name}}).encode()
        )
        await brokerage.work()

        receipt = await erase(pool, lead_id="lead-ana")

        await assert_gone(brokerage, ana)
        assert receipt.counts == {
            "erased_leads": 1, "webhook_events": 1, "event_attempts": 0, "lead_messages": 1,
            "leads": 1, "lead_people": 1,
            "contact_lookups": 2, "answers_under_way": 0, "people": 1, "person_phones": 2,
            "person_emails": 1,
            "person_addresses": 1, "person_companies": 1,
            "rejected_deliveries": 1, "operator_actions": 0,
        }  # fmt: skip
        for mark in (bruno.cpf, bruno.email, bruno.phone):
            assert mark in await brokerage.everything_stored()

    async def test_keeps_what_another_lead_of_the_person_needs(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead-1", ana, name="Um Nome Só Dele")
        await brokerage.accept("lead-2", ana)
        await brokerage.work()

        receipt = await erase(pool, lead_id="lead-1")

        assert (
            receipt.counts["people"],
            receipt.counts["contact_lookups"],
            receipt.counts["lead_people"],
        ) == (0, 0, 1)
        assert "Um Nome Só Dele" not in await brokerage.everything_stored()
        await brokerage.db.execute(
            "update webhook_events set status = 'received' where lead_id = 'lead-2'"
        )
        await brokerage.work()
        assert len(brokerage.world.asked("work_api")) == 1

    async def test_leaves_a_row_without_content_that_no_operator_takes_for_an_error(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0], phone=None, email=None)
        await brokerage.work()
        assert await brokerage.outcomes() == {"lead": "failed"}

        await erase(pool, lead_id="lead")

        columns = "status, outcome, payload_raw, error_kind, error_message, fingerprint"
        assert await brokerage.db.fetch(f"select {columns} from webhook_events") == [
            ("completed", "erased", {}, None, None, None)
        ]

    async def test_forgets_the_hash_of_its_contacts(self, brokerage: Brokerage, pool: Pool) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        assert await brokerage.db.value("select fingerprint is not null from webhook_events")

        await erase(pool, lead_id="lead")

        assert await brokerage.db.value("select fingerprint is null from webhook_events")

    async def test_is_remembered_even_of_a_lead_that_was_never_seen(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await erase(pool, lead_id="future")

        await brokerage.accept("future", brokerage.people[0])
        await brokerage.work()

        await assert_gone(brokerage, brokerage.people[0])


class TestErasingAPerson:
    async def test_removes_every_lead_of_theirs(self, brokerage: Brokerage, pool: Pool) -> None:
        ana, bruno = brokerage.people[:2]
        for number in range(3):
            await brokerage.accept(f"lead-{number}", ana, name=f"{ana.name} {number}")
        await brokerage.accept("lead-bruno", bruno)
        await brokerage.work()

        receipt = await erase(pool, cpf=cpf_of(ana))

        await assert_gone(brokerage, ana)
        assert (
            receipt.counts["erased_leads"],
            receipt.counts["webhook_events"],
            receipt.counts["people"],
        ) == (3, 3, 1)
        assert (await brokerage.outcomes())["lead-bruno"] == "enriched"

    @pytest.mark.parametrize(
        "written",
        [
            "{0}",
            "CPF {0}.",
            "{0:.3}.{1:.3}.{2:.3}-{3}",
            "{0:.3} {1:.3} {2:.3} {3}",
            "{0:.3}.{1:.3}.{2:.3}/{3}",
            "000{0}",
        ],
    )
    async def test_finds_their_number_in_the_payload_of_another_lead(
        self, brokerage: Brokerage, pool: Pool, written: str
    ) -> None:
        ana = brokerage.people[0]
        parts = (ana.cpf, ana.cpf[3:6], ana.cpf[6:9], ana.cpf[9:])
        await brokerage.accept(
            "lead-of-the-husband", brokerage.people[1], name="Comprador " + written.format(*parts)
        )

        receipt = await erase(pool, cpf=cpf_of(ana))

        assert receipt.counts["webhook_events"] == 1
        assert await brokerage.db.fetch("select payload_raw from webhook_events") == [({},)]

    async def test_finds_a_number_that_lost_its_leading_zeros(
        self, db: Database, pool: Pool
    ) -> None:
        padded = (Cpf.parse("00" + a_cpf(seed).digits[2:]) for seed in range(1000))
        cpf = next(cpf for cpf in padded if cpf is not None)
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw) values ('lead', now(),"
            " %s)",
            (json.dumps({"doc": int(cpf.digits)}),),
        )

        receipt = await erase(pool, cpf=cpf)

        assert receipt.counts["webhook_events"] == 1

    async def test_who_is_unknown_removes_nothing(self, brokerage: Brokerage, pool: Pool) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        before = await brokerage.everything_stored()

        receipt = await erase(pool, cpf=a_cpf(4711))

        assert set(receipt.counts.values()) == {0}
        # Beside the receipt, which is new.
        assert set(before.splitlines()) <= set((await brokerage.everything_stored()).splitlines())
        assert (await brokerage.outcomes()) == {"lead": "enriched"}


class TestTheReceipt:
    async def test_names_nobody(self, brokerage: Brokerage, pool: Pool) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead-ana", ana)
        await brokerage.work()

        receipt = await erase(pool, cpf=cpf_of(ana))

        shown = f"{receipt} {await brokerage.db.fetch('select r::text as line from erasures r')}"
        assert [mark for mark in (*marks_of(ana), "lead-ana") if mark in shown] == []

    async def test_carries_the_databases_time_and_is_kept(self, db: Database, pool: Pool) -> None:
        receipt = await erase(pool, lead_id="lead")

        assert await db.fetch("select id, asked_by, erased_at, counts from erasures") == [
            (receipt.id, "lead", receipt.erased_at, dict(receipt.counts))
        ]

    async def test_of_a_second_erasure_counts_nothing(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead", ana)
        await brokerage.work()
        await erase(pool, lead_id="lead")

        again: list[ErasureReceipt] = [
            await erase(pool, lead_id="lead"),
            await erase(pool, cpf=cpf_of(ana)),
        ]

        assert [set(receipt.counts.values()) for receipt in again] == [{0}, {0}]

    @pytest.mark.parametrize("arguments", [{}, {"lead_id": "lead", "cpf": a_cpf(1)}])
    async def test_is_given_for_one_lead_or_one_person(
        self, pool: Pool, arguments: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="either a lead id or a CPF"):
            await erase(pool, **arguments)


class TestAnErasedLead:
    """Stays erased, whoever brings it back."""

    @pytest.fixture
    async def erased(self, brokerage: Brokerage, pool: Pool) -> Brokerage:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        await erase(pool, lead_id="lead")
        brokerage.world.calls.clear()
        return brokerage

    async def test_is_not_brought_back_by_a_later_webhook(self, erased: Brokerage) -> None:
        await erased.accept("lead", erased.people[0])

        await erased.work()

        await assert_gone(erased, erased.people[0])
        assert await erased.outcomes() == {"lead": "erased"}
        assert not erased.world.calls
        assert len(erased.messages("lead")) == 1

    async def test_is_not_brought_back_by_the_same_webhook(self, erased: Brokerage) -> None:
        [event] = await erased.db.fetch("select lead_id, updated_at from webhook_events")
        given = (
            "00000000-0000-0000-0000-000000000001",
            event.lead_id,
            event.updated_at,
            json.dumps({"customer": {"name": "again"}}),
        )

        inserted = await erased.db.execute(
            "insert into webhook_events (id, lead_id, updated_at, payload_raw) values (%s, %s,"
            " %s, %s)"
            " on conflict (lead_id, updated_at) do nothing",
            given,
        )
        verdicts = await erased.db.fetch(
            "select verdict from stored_deliveries(array[%s::uuid], array[%s],"
            " array[%s::timestamptz],"
            " array['on_create_lead'], array[%s::jsonb])",
            given,
        )

        assert inserted == 0
        assert [row.verdict for row in verdicts] == ["duplicate"]

    async def test_is_a_plain_duplicate_when_its_delivery_is_repeated_with_the_same_body_or_another(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        event = an_event(
            "lead",
            customer={"name": ana.name, "phone": ana.phone, "email": ana.email, "cpf": ana.cpf},
        )
        async with open_web(brokerage.db.settings("web")) as web:
            await web.deliver(event)
            await erase(pool, lead_id="lead")

            answers = [
                (await web.deliver(body)).json()
                for body in (event, event | {"x": 1}, [event, event])
            ]

        assert [(answer["processed"], answer["duplicates"]) for answer in answers] == [
            (0, 1),
            (0, 1),
            (0, 2),
        ]
        assert not any("errors" in answer for answer in answers)
        assert await kept(brokerage.db) == Kept(1, 0)
        await assert_gone(brokerage, ana)

    @pytest.mark.parametrize(
        "flaw",
        [
            '"updated_at": null',
            '"x": 1e200000',
            '"x": "\\u0000"',
            '"x": "\\ud800"',
            '"x": ' + "[" * 300 + "]" * 300,
        ],
        ids=["no time", "a number out of range", "a NUL", "half a surrogate pair", "too deep"],
    )
    async def test_leaves_nothing_of_the_person_in_a_delivery_that_is_rejected(
        self, brokerage: Brokerage, pool: Pool, flaw: str
    ) -> None:
        ana = brokerage.people[0]
        event = an_event(
            "lead",
            customer={"name": ana.name, "phone": ana.phone, "email": ana.email, "cpf": ana.cpf},
        )
        await erase(pool, lead_id="lead")

        async with open_web(brokerage.db.settings("web")) as web:
            answer = await web.deliver(f"{json.dumps(event)[:-1]}, {flaw}}}".encode())

        assert answer.status_code == 400
        assert await kept(brokerage.db) == Kept(0, 1)
        await assert_gone(brokerage, ana)

    async def test_is_not_brought_back_by_an_operator_who_resets_everything(
        self, erased: Brokerage
    ) -> None:
        await erased.db.execute("update webhook_events set status = 'received'")

        await erased.work()

        await assert_gone(erased, erased.people[0])
        assert await erased.outcomes() == {"lead": "erased"}
        assert not erased.world.calls

    async def test_is_not_kept_as_a_rejected_delivery(self, erased: Brokerage) -> None:
        await reject(erased.db, erased.people[0].email.encode(), "lead")

        await assert_gone(erased, erased.people[0])

    async def test_is_worked_on_again_once_a_person_lifts_it_and_hears_nothing_twice(
        self, erased: Brokerage
    ) -> None:
        await erased.db.execute("delete from erased_leads")
        await erased.db.execute("update webhook_events set status = 'received'")

        await erased.work()

        assert await erased.outcomes() == {"lead": "enriched"}
        assert len(erased.messages("lead")) == 1


class TestWorkInFlight:
    @pytest.mark.parametrize(
        "point",
        [
            "extract",
            "lookup",
            "lookup:done",
            "enrich:done",
            "store",
            "store:done",
            "permit",
            "permitted",
        ],
    )
    async def test_ends_wherever_it_is_and_stores_nothing_more(
        self, brokerage: Brokerage, pool: Pool, point: str
    ) -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def stop_at(here: str) -> None:
            if here == point:
                reached.set()
                await go_on.wait()

        await brokerage.accept("lead", brokerage.people[0])
        async with brokerage.poller(boundary=stop_at) as poller, asyncio.timeout(30):
            work = asyncio.create_task(poller.drain())
            await reached.wait()
            await erase(pool, lead_id="lead")
            go_on.set()
            await work

        await assert_gone(brokerage, brokerage.people[0])
        assert await brokerage.outcomes() == {"lead": "erased"}
        assert await brokerage.db.fetch("select result, error_message from event_attempts") == [
            ("taken_away", None)
        ]
        # Only what had the permit already may still reach C2S; it cannot be called back.
        assert len(brokerage.messages("lead")) == (1 if point == "permitted" else 0)

    async def test_that_waits_for_an_answer_does_not_keep_it(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        brokerage.world.dial.set("work_api", Fault("slow", seconds=0.5))
        await brokerage.accept("lead", brokerage.people[0])
        async with brokerage.poller() as poller, asyncio.timeout(30):
            work = asyncio.create_task(poller.drain())
            while not brokerage.world.asked("work_api"):
                await asyncio.sleep(0.01)

            await erase(pool, cpf=cpf_of(brokerage.people[0]))
            await work

        await assert_gone(brokerage, brokerage.people[0])

    async def test_that_began_in_the_same_moment_finds_the_lead_closed(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        """The event was stored by a transaction that could not see the erasure yet."""
        event_id = await brokerage.accept("lead", brokerage.people[0])
        await erase(pool, lead_id="lead")
        restore = (
            "update webhook_events set payload_raw = %s, status = 'processing', outcome = null,"
            " processed_at = null, claimed_by = 'x',"
        )
        await brokerage.db.execute(
            f"{restore} claimed_at = now(), lease_expires_at = now(), deadline_at = now(),"
            " payload_removed_at = null where id = %s",
            (json.dumps({"data": brokerage.world.leads["lead"].to_json()}), event_id),
        )

        async with brokerage.poller() as poller:
            await poller.store.reclaim()
            await poller.drain()

        await assert_gone(brokerage, brokerage.people[0])
        assert await brokerage.outcomes() == {"lead": "erased"}


class TestAMessageInTheOutbox:
    async def put(self, db: Database, status: str) -> None:
        await db.execute(
            "insert into lead_messages (event_id, lead_id, content_key, body, ref, status,"
            " sending_at)"
            " values (gen_random_uuid(), 'lead', 'key', 'Ana', 'REF', %s, %s)",
            (status, None if status == "pending" else datetime.now(UTC) - timedelta(minutes=5)),
        )

    async def test_that_was_never_sent_is_withdrawn(self, db: Database, pool: Pool) -> None:
        await self.put(db, "pending")

        await erase(pool, lead_id="lead")

        assert await db.fetch("select 1 from lead_messages") == []

    async def test_without_a_clear_answer_keeps_its_ref_and_is_never_sent_again(
        self, db: Database, pool: Pool
    ) -> None:
        await self.put(db, "sending")

        await erase(pool, lead_id="lead")

        assert await db.fetch("select status, ref, body, contacts from lead_messages") == [
            ("sent", "REF", "", [])
        ]
        assert await db.fetch("select 1 from v_messages_open") == []


class TestRejectedDeliveries:
    @pytest.mark.parametrize(
        "raw",
        [
            b'{"id": "lead-ana", broken',
            b'{"phone": "+55 (11) 98765-0001"',
            b'{"phone": 5511987650001',
            b"phone=%2B55%2011%2098765%2D0001",
            b'{"phone": "11 8765-0001"',
            b'{"email": "ANA.LIMA@example.com"',
            b'{"email": "ana.lima\\u0040example.com"',
            b"email=ana.lima%40example.com",
            b'"\xff\xfe ana.lima@example.com"',
        ],
    )
    def test_are_recognised_however_the_contact_is_written(self, raw: bytes) -> None:
        traces = Traces(lead_ids=["lead-ana"], contacts=["+5511987650001", "ana.lima@example.com"])

        assert traces.name_a_lead(raw) or traces.name_a_person(raw)

    @pytest.mark.parametrize(
        "raw",
        [
            b'{"id": "lead-ana2"}',
            b'{"phone": "211987650001"}',
            b'{"phone": "119876500012"}',
            b'{"email": "mariana.lima@example.com"}',
            b'{"email": "ana.lima@example.com.br"}',
            b"",
        ],
    )
    def test_of_others_are_not_taken_for_theirs(self, raw: bytes) -> None:
        traces = Traces(lead_ids=["lead-ana"], contacts=["+5511987650001", "ana.lima@example.com"])

        assert not traces.name_a_lead(raw)
        assert not traces.name_a_person(raw)

    def test_are_nobodys_where_nobody_is_looked_for(self) -> None:
        assert not Traces().name_a_person(b"ana.lima@example.com")

    async def test_with_the_contact_go_and_those_of_another_lead_stay(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead-ana", ana)
        await brokerage.work()
        await reject(brokerage.db, f"broken {ana.email}".encode())
        kept = await reject(brokerage.db, f"broken too {ana.email}".encode(), "another-lead")

        await erase(pool, lead_id="lead-ana")

        assert await brokerage.db.fetch("select id from rejected_deliveries") == [(kept,)]

    async def test_of_another_lead_go_too_when_the_person_is_erased(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana = brokerage.people[0]
        await brokerage.accept("lead-ana", ana)
        await brokerage.work()
        await reject(brokerage.db, f"broken {cpf_of(ana).formatted}".encode(), "another-lead")

        await erase(pool, cpf=cpf_of(ana))

        assert await brokerage.db.fetch("select id from rejected_deliveries") == []
