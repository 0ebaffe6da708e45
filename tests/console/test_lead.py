"""The page of a lead: what it says, hides, shows and does. Real pollers wrote what it reads."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database
from tests.console.conftest import HOSTILE, OPERATOR, console, failed, logged_in

from c2s_enrich.console.page import lead_address


@pytest.fixture
async def told(db: Database) -> Brokerage:
    """Lead a27a, whose seller was told."""
    brokerage = Brokerage(db)
    await brokerage.accept("a27a", brokerage.people[0])
    await brokerage.work()
    return brokerage


class TestThePageOfALead:
    async def test_tells_everything_in_order(
        self, operator: httpx.AsyncClient, told: Brokerage
    ) -> None:
        page = (await operator.get("/leads/a27a")).text

        for text in (
            "The seller was told", "Message", "sent</span>", "C2S&#39;s answer", "Who was found",
            "Webhook", "Attempt", "↳ Diretrix", "lookup", "<rect", told.people[0].name,
        ):  # fmt: skip
            assert text in page, text
        assert page.index("<strong>Message") < page.index("<strong>Webhook")

    async def test_masks_what_is_personal_until_somebody_says_why(
        self, operator: httpx.AsyncClient, told: Brokerage
    ) -> None:
        person = told.people[0]
        masked = (await operator.get("/leads/a27a")).text
        plain = (await operator.get("/leads/a27a.json")).text
        unsaid = await operator.post("/leads/a27a", data={"do": "show"})
        shown = (
            await operator.post("/leads/a27a", data={"do": "show", "because": "the seller asked"})
        ).text

        assert unsaid.status_code == 422
        for hidden in (person.cpf, person.phone, person.email):
            assert hidden not in re.sub(r"[ .()-]", "", masked + plain)
            assert hidden not in masked + plain
            assert hidden in re.sub(r"[ .()-]", "", shown) or hidden in shown
        assert "the seller asked" in await audit(told.db, "personal_data_shown")

    async def test_of_no_lead_says_that_nothing_arrived(self, operator: httpx.AsyncClient) -> None:
        page = await operator.get("/leads/nobody")

        assert page.status_code == 200
        assert "No webhook for this lead has arrived" in page.text
        assert "Nothing has happened to this lead yet." in page.text

    async def test_leads_to_no_other_page_of_c2s_than_the_leads(self, db: Database) -> None:
        await failed(db, "../logout?x=1")
        link = "https://c2s.example/leads/{lead_id}"
        async with console(db, LEAD_LINK=link) as browser, browser() as client:
            page = await (await logged_in(client, OPERATOR)).get(lead_address("../logout?x=1"))

        assert 'href="https://c2s.example/leads/..%2Flogout%3Fx%3D1"' in page.text

    @pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
    async def test_obeys_no_name(
        self, operator: httpx.AsyncClient, db: Database, name: str
    ) -> None:
        lead = name[:100]
        await failed(db, lead, message=name)
        await db.execute("insert into leads (lead_id, name, facts_updated_at)"
                         " values (%s, %s, now())", (lead, name))  # fmt: skip
        [row] = (await operator.get("/events.json")).json()["rows"]
        event = await operator.get(f"/events/{row['event_id']}")
        assert event.status_code == 303, event.text
        page = await operator.get(event.headers["location"])

        assert page.status_code == 200
        assert "<img" not in page.text
        assert "<script" not in page.text
        assert "{{7*7}}" in page.text or "{{" not in name
        found = re.search("[\u202e\x1b\x07]", page.text)
        assert found is None, page.text[found.start() - 100 : found.end()]
        assert len(page.text) < 40_000

    async def test_reprocesses_at_once_and_says_so(
        self, operator: httpx.AsyncClient, told: Brokerage
    ) -> None:
        event = await told.db.value("select id from webhook_events")
        for do in ("reprocess", "fresh"):
            answer = await operator.post("/leads/a27a", data={"do": do, "event": str(event)})
            page = await operator.get(answer.headers["location"])

            assert "1 queued for reprocessing, 0 left out" in page.text
            await told.work()

        assert len(told.messages("a27a")) == 1
        text = (await operator.get("/leads/a27a")).text
        assert text.count("reprocess</a> · <bdi>Ana</bdi> (console)") == 2

    async def test_erases_when_its_id_is_typed(
        self, operator: httpx.AsyncClient, told: Brokerage
    ) -> None:
        form = {"do": "erase", "because": "asked by letter", "typed": "a27"}
        assert (await operator.post("/leads/a27a", data=form)).status_code == 422
        assert await told.db.value("select count(*) from leads") == 1

        receipt = (await operator.post("/leads/a27a", data=form | {"typed": "a27a"})).text

        assert "erased " in receipt
        assert await told.db.value("select count(*) from leads") == 0
        assert "asked by letter" in await audit(told.db, "erase")
        assert "This lead was erased" in (await operator.get("/leads/a27a")).text

    async def test_offers_a_viewer_nothing_to_press(
        self, viewer: httpx.AsyncClient, told: Brokerage
    ) -> None:
        page = (await viewer.get("/leads/a27a")).text

        assert page.count("<button") == 2  # the search and the logout


class TestAPlan:
    async def test_says_what_it_costs_and_runs_when_its_number_is_typed(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b", "c")
        place = (await plan(operator, do="reprocess_all", status="failed")).headers["location"]
        page = (await operator.get(place)).text
        wrong = await operator.post(place, data={"typed": "2"})
        before = await waiting(db)
        done = await operator.post(place, data={"typed": "3"})

        assert "3 events of 3 leads" in page
        assert "Diretrix 6" in page
        assert "Type 3 to run it" in page
        assert (wrong.status_code, before) == (422, 0)
        assert done.headers["location"] == "/events?status=failed"
        assert "3 queued for reprocessing" in (await operator.get("/events?status=failed")).text
        assert await waiting(db) == 3
        assert (await operator.post(place, data={"typed": "3"})).status_code == 409

    async def test_is_of_the_checked_events_alone(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b", "c")
        chosen = [str(row.id) for row in await db.fetch("select id from webhook_events")][:2]
        made = await plan(operator, do="reprocess_selected", status="failed", chosen=chosen)
        await operator.post(made.headers["location"], data={"typed": "2"})
        none = await plan(operator, do="reprocess_selected", status="failed")

        assert await waiting(db) == 2
        assert none.status_code == 422

    async def test_gives_events_up_with_a_reason(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a", "b")
        await db.execute("update webhook_events set status = 'received'")
        bare = await plan(operator, do="fail_all", status="received")
        nul = await plan(operator, do="fail_all", status="received", because="a\0b")
        made = await plan(operator, do="fail_all", status="received", because="contract ended")
        await operator.post(made.headers["location"], data={"typed": "2"})

        assert (bare.status_code, nul.status_code) == (422, 422)
        messages = await db.fetch("select distinct error_message from webhook_events")
        assert [row.error_message for row in messages] == ["contract ended"]

    async def test_that_is_stopped_cannot_be_run(
        self, operator: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, "a")
        place = (await plan(operator, do="reprocess_all")).headers["location"]
        action = place.replace("plans", "actions")
        stopped = await operator.post(action)
        over = await operator.get(place)

        assert stopped.headers["location"] == over.headers["location"] == action
        assert "stopped" in (await operator.get(action)).text
        assert (await operator.post(place, data={"typed": "1"})).status_code == 409
        assert await waiting(db) == 0

    async def test_that_does_not_exist_is_not_there(self, operator: httpx.AsyncClient) -> None:
        nothing = "7f3a0000-0000-4000-8000-000000000000"
        for path in (f"/plans/{nothing}", f"/actions/{nothing}"):
            assert (await operator.get(path)).status_code == 404


async def plan(client: httpx.AsyncClient, **form: Any) -> httpx.Response:
    return await client.post("/plans", data=form)


async def waiting(db: Database) -> int:
    count: int = await db.value("select count(*) from webhook_events where status = 'received'")
    return count


async def audit(db: Database, verb: str) -> str:
    rows = await db.fetch(
        "select actor || ' ' || via || ' ' || coalesce(reason, '') as said"
        " from operator_actions where verb = %s", (verb,)
    )  # fmt: skip
    assert rows, verb
    return str(rows[-1].said)
