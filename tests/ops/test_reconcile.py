"""C2S does not repeat a webhook that we missed, so we ask it what changed; and never make work
where there is none.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.brokerage import Brokerage
from tests.cast import KEYS
from tests.conftest import Database

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool
from c2s_enrich.errors import Throttled
from c2s_enrich.intake.payload import read_delivery
from c2s_enrich.ops.reconcile import LeadList, Missing, Report, one_lead, reconcile, reconcile_duty
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.privacy.erase import erase
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.c2s import C2s
from c2s_enrich.wiring import open_upstreams

DAY = timedelta(days=1)


@asynccontextmanager
async def c2s_of(brokerage: Brokerage, pool: Pool) -> AsyncIterator[C2s]:
    async with open_upstreams(
        brokerage.db.settings("poller"), pool, Metrics(), Clock(), brokerage.transport
    ) as upstreams:
        yield upstreams.c2s


async def run(brokerage: Brokerage, pool: Pool, *, dry_run: bool = False) -> Report:
    async with c2s_of(brokerage, pool) as c2s:
        return await reconcile(pool, c2s.leads_updated_since, KEYS, DAY, dry_run)


def listing(*leads: Mapping[str, object], then: Exception | None = None) -> LeadList:
    """A C2S whose list holds just these leads."""

    async def list_them(_: datetime) -> AsyncIterator[Mapping[str, object]]:
        for lead in leads:
            yield lead
        if then is not None:
            raise then

    return list_them


def often(brokerage: Brokerage) -> Settings:
    return replace(brokerage.db.settings("poller"), reconcile_every=timedelta(minutes=15))


def listed(lead_id: str, **attributes: Any) -> dict[str, object]:
    return {
        "id": lead_id,
        "attributes": {"updated_at": "2026-03-09T10:05:00.000-03:00"} | attributes,
    }


class TestALeadThatNoWebhookMentioned:
    async def test_is_put_into_the_queue_and_enriched(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        await brokerage.accept("heard-of", ana)
        missed = brokerage.world.add_lead(
            "missed", name=bruno.name, phone=bruno.phone, email=bruno.email
        )
        changed_at = datetime.fromisoformat(missed.updated_at)

        report = await run(brokerage, pool)
        await brokerage.work()

        assert (report.looked_at, report.known, report.inserted) == (2, 1, 1)
        assert report.missing == (Missing("missed", changed_at),)
        assert await brokerage.outcomes() == {"heard-of": "enriched", "missed": "enriched"}
        assert bruno.name.upper() in brokerage.messages("missed")[0].upper()

    async def test_is_found_by_its_id_however_long_ago_it_changed(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        for lead_id, person in (("missed", ana), ("not asked for", bruno)):
            brokerage.world.add_lead(lead_id, phone=person.phone, email=person.email)

        async with c2s_of(brokerage, pool) as c2s:
            report = await reconcile(
                pool, one_lead(c2s.lead_json, "missed"), KEYS, timedelta(seconds=1)
            )
        await brokerage.work()

        assert (report.looked_at, report.inserted) == (1, 1)
        assert await brokerage.outcomes() == {"missed": "enriched"}

    async def test_is_found_once(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.add_lead("missed", phone=brokerage.people[0].phone)
        await run(brokerage, pool)

        again = await run(brokerage, pool)

        assert (again.known, again.missing) == (1, ())

    async def test_is_only_named_in_a_dry_run(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.add_lead("missed", phone=brokerage.people[0].phone)

        report = await run(brokerage, pool, dry_run=True)

        assert ([missing.lead_id for missing in report.missing], report.inserted) == (["missed"], 0)
        assert await brokerage.db.value("select count(*) from webhook_events") == 0

    async def test_is_found_on_every_page(self, brokerage: Brokerage, pool: Pool) -> None:
        for number in range(120):
            brokerage.world.add_lead(f"missed-{number}", phone=brokerage.people[0].phone)

        report = await run(brokerage, pool)

        assert (report.inserted, len(brokerage.world.asked("c2s", "leads"))) == (120, 3)

    async def test_has_the_key_that_its_webhook_would_have_had(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        lead = brokerage.world.add_lead("missed", name="Ana", phone=brokerage.people[0].phone)
        await run(brokerage, pool)
        body = json.dumps({"hook_action": "on_create_lead", "data": lead.to_json()}).encode()

        [webhook] = read_delivery(body, None, 1000).events

        assert await brokerage.db.fetch("select lead_id, updated_at from webhook_events") == [
            (webhook.lead_id, webhook.updated_at)
        ]
        verdicts = await brokerage.db.fetch(
            "select verdict from stored_deliveries(array[gen_random_uuid()], array[%s],"
            " array[%s::timestamptz], array[%s], array[%s::jsonb])",
            (webhook.lead_id, webhook.updated_at, webhook.hook_action, body.decode()),
        )
        assert [row.verdict for row in verdicts] == ["duplicate"]

    async def test_that_changed_before_the_window_is_left_alone(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        brokerage.world.add_lead(
            "old", phone=brokerage.people[0].phone
        ).updated_at = "2020-01-01T10:00:00.000-03:00"

        assert (await run(brokerage, pool)).looked_at == 0


class TestALeadThatIsKnown:
    async def test_is_not_disturbed_by_our_own_message(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        before = brokerage.world.leads["lead"].updated_at
        await brokerage.work()
        assert brokerage.world.leads["lead"].updated_at > before

        reports = [await run(brokerage, pool) for _ in range(3)]

        assert [(report.unchanged, report.missing) for report in reports] == [(1, ())] * 3
        assert await brokerage.db.value("select count(*) from webhook_events") == 1

    async def test_is_looked_at_again_when_its_contact_has_changed(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        ana, bruno = brokerage.people[:2]
        await brokerage.accept("lead", ana)
        await brokerage.work()
        lead = brokerage.world.leads["lead"]
        lead.customer = {"name": ana.name, "phone": ana.phone, "email": bruno.email}

        report = await run(brokerage, pool)
        await brokerage.work()

        assert report.inserted == 1
        assert len(brokerage.messages("lead")) == 2

    async def test_is_looked_at_again_when_it_was_closed(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        brokerage.world.leads["lead"].closed = True

        await run(brokerage, pool)
        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "ignored"}

    async def test_is_left_alone_when_a_later_event_is_there_already(
        self, brokerage: Brokerage, pool: Pool
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.db.execute(
            "update webhook_events set updated_at = updated_at + interval '1 hour'"
        )

        assert (await run(brokerage, pool)).known == 1

    async def test_stays_erased(self, brokerage: Brokerage, pool: Pool) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        await brokerage.work()
        await erase(pool, lead_id="lead")

        report = await run(brokerage, pool)

        assert (report.erased, report.missing) == (1, ())
        assert brokerage.people[0].email not in await brokerage.everything_stored()


class TestAListThatIsOdd:
    @pytest.mark.parametrize(
        "lead",
        [
            {"attributes": {"updated_at": "2026-03-09T10:05:00.000-03:00"}},
            listed("lead", updated_at="soon"),
            listed("lead", customer={"name": "a\x00b"}),
            listed("lead", customer={"name": "\ud800"}),
        ],
    )
    async def test_is_counted_as_unreadable_and_does_not_stop_the_others(
        self, db: Database, pool: Pool, lead: dict[str, object]
    ) -> None:
        report = await reconcile(pool, listing(lead, listed("readable")), KEYS, DAY)

        assert (report.looked_at, report.unreadable, report.inserted) == (2, 1, 1)

    async def test_counts_a_lead_that_moved_to_the_next_page_once(self, pool: Pool) -> None:
        report = await reconcile(pool, listing(listed("lead"), listed("lead")), KEYS, DAY)

        assert (report.looked_at, report.inserted) == (1, 1)

    async def test_that_ends_with_an_error_keeps_what_was_found(
        self, db: Database, pool: Pool
    ) -> None:
        leads = [listed(f"lead-{number}") for number in range(60)]

        with pytest.raises(Throttled):
            await reconcile(
                pool, listing(*leads, then=Throttled("c2s", timedelta(seconds=60))), KEYS, DAY
            )

        assert await db.value("select count(*) from webhook_events") == 60

    def test_reads_its_own_payload_like_a_webhook(self) -> None:
        facts = LeadFacts.from_json(
            {"hook_action": "reconcile", "data": listed("lead", customer={"phone": "11987650001"})}
        )

        assert facts is not None
        assert (facts.lead_id, facts.phone) == ("lead", "11987650001")


class TestTheSchedule:
    async def test_is_off_by_default(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.add_lead("missed", phone=brokerage.people[0].phone)
        async with c2s_of(brokerage, pool) as c2s:
            settings = brokerage.db.settings("poller")
            await reconcile_duty(pool, c2s.leads_updated_since, settings)

        assert not brokerage.world.asked("c2s")

    async def test_is_kept_by_one_poller_for_all(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.add_lead("missed", phone=brokerage.people[0].phone)
        async with c2s_of(brokerage, pool) as c2s:
            duties = [
                reconcile_duty(pool, c2s.leads_updated_since, often(brokerage)) for _ in range(3)
            ]

            await asyncio.gather(*duties)

        assert len(brokerage.world.asked("c2s", "leads")) == 1
        assert await brokerage.db.fetch("select lead_id from webhook_events") == [("missed",)]

    @pytest.mark.parametrize("wrong", ["infinity", "tomorrow"])
    async def test_does_not_wait_for_a_clock_that_was_wrong(self, pool: Pool, wrong: str) -> None:
        async with pool.connection() as connection:
            await connection.execute("insert into duties values ('retention', %s)", [wrong])

        assert [await take_turn(pool, "retention", timedelta(hours=1)) for _ in range(2)] == [
            *(True, False)
        ]

    async def test_survives_that_c2s_is_down(self, brokerage: Brokerage, pool: Pool) -> None:
        brokerage.world.dial.set("c2s", Fault("unauthorised"))
        async with c2s_of(brokerage, pool) as c2s:
            await reconcile_duty(pool, c2s.leads_updated_since, often(brokerage))

        assert await brokerage.db.value(
            "select paused_until is not null from upstreams where name = 'c2s'"
        )

    async def test_is_kept_by_a_poller_that_runs(self, brokerage: Brokerage) -> None:
        person = brokerage.people[0]
        brokerage.world.add_lead("missed", name=person.name, phone=person.phone, email=person.email)

        async with brokerage.poller(RECONCILE_EVERY=900) as poller, asyncio.timeout(20):
            work = asyncio.create_task(poller.run())
            while not brokerage.messages("missed"):
                await asyncio.sleep(0.05)
            poller.stop()
            await work

        assert person.name.upper() in brokerage.messages("missed")[0].upper()
