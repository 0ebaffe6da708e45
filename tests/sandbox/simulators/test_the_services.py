"""The simulated services where they differ from what a client would like: their odd answers, their
dial, their memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from c2s_enrich.people.cpf import Cpf
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.c2s import Hook
from c2s_enrich.sandbox.simulators.faults import KINDS, Fault
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import Manners, World

LEAD = "0123456789abcdef0123456789abcdef"
TOKEN = {"Authorization": "Bearer a-c2s-token"}
WORK = {"token": "a-work-token"}


@pytest.fixture
def world() -> World:
    return World(3, size=60)


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=SimulatedTransport(build_simulators(world)), base_url="http://sim", timeout=0.3
    ) as made:
        yield made


class TestPeople:
    def test_are_the_same_for_the_same_seed(self) -> None:
        assert World(5).people == World(5).people
        assert World(5).people != World(6).people

    def test_have_valid_cpfs_and_contacts_of_their_own(self) -> None:
        people = World(5, size=500).people

        assert all(Cpf.parse(person.cpf) == Cpf(person.cpf) for person in people)
        assert (
            len({person.cpf for person in people})
            == len({person.phone for person in people})
            == len({person.email for person in people})
            == 500
        )


class TestC2s:
    @pytest.mark.parametrize(
        "headers",
        [TOKEN, {"Authentication": "Bearer a-c2s-token"}, {"Authentication": "a-c2s-token"}],
    )
    async def test_takes_either_form_of_the_token(
        self, client: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        assert (await client.get("/c2s/me", headers=headers)).status_code == 200

    async def test_refuses_another_token_with_403(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/c2s/me", headers={"Authorization": "Bearer no"})

        assert (answer.status_code, answer.json()) == (403, {"error": "not_authorized"})

    async def test_says_lead_not_found_in_plain_text(self, client: httpx.AsyncClient) -> None:
        answer = await client.get(f"/c2s/leads/{LEAD}", headers=TOKEN)

        assert (answer.status_code, answer.text) == (404, "Lead not found")
        assert answer.headers["content-type"].startswith("text/plain")

    async def test_moves_the_leads_time_with_each_message(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        world.add_lead(LEAD, name="Ana")
        times = [world.leads[LEAD].updated_at]
        for text in ("um", "dois"):
            answer = await client.post(
                f"/c2s/leads/{LEAD}/create_message", headers=TOKEN, json={"body": text}
            )
            assert answer.status_code == 201
            times.append(world.leads[LEAD].updated_at)

        assert times == sorted(set(times))
        shown = (await client.get(f"/c2s/leads/{LEAD}", headers=TOKEN)).json()["data"]
        assert [message["body"] for message in shown["messages"]] == ["um", "dois"]
        assert shown["attributes"]["messages"] == []

    @pytest.mark.parametrize(
        "query",
        [
            {"perpage": "51"},
            {"updated_gte": "2026-01-01T00:00:00.000Z"},
            {"created_lt": "2026-01-01T00:00:00-03:00"},
        ],
    )
    async def test_dresses_a_bad_parameter_as_403(
        self, client: httpx.AsyncClient, query: dict[str, str]
    ) -> None:
        answer = await client.get("/c2s/leads", headers=TOKEN, params=query)

        assert answer.status_code == 403
        assert answer.json()["error"] != "not_authorized"

    async def test_throttles_in_words(self) -> None:
        world = World(1, size=1, manners=Manners(c2s_per_minute=10))
        async with httpx.AsyncClient(
            transport=SimulatedTransport(build_simulators(world)), base_url="http://sim"
        ) as client:
            answers = [await client.get("/c2s/me", headers=TOKEN) for _ in range(11)]

        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert answers[-1].headers["Retry-After"] == "1 minute"

    async def test_shows_a_message_only_after_the_lag_but_has_it(self) -> None:
        world = World(1, size=1, manners=Manners(lag=60))
        lead = world.add_lead(LEAD, name="Ana")
        async with httpx.AsyncClient(
            transport=SimulatedTransport(build_simulators(world)), base_url="http://sim"
        ) as client:
            await client.post(
                f"/c2s/leads/{LEAD}/create_message", headers=TOKEN, json={"body": "tarde"}
            )
            assert (await client.get("/_sim/messages")).json()["sent"] == 1
            assert lead.to_json()["messages"] == []
            lead.messages[0].visible_at -= 60
            assert len(lead.to_json()["messages"]) == 1  # type: ignore[arg-type]

    async def test_answers_our_message_with_its_update_hook(self) -> None:
        received: list[httpx.Request] = []

        def web(request: httpx.Request) -> httpx.Response:
            received.append(request)
            return httpx.Response(200)

        world = World(1, size=1)
        world.add_lead(LEAD, name="Ana")
        hook = Hook(
            "http://web/api/v1/webhooks/c2s", "a-hook-token", transport=httpx.MockTransport(web)
        )
        async with httpx.AsyncClient(
            transport=SimulatedTransport(build_simulators(world, hook)), base_url="http://sim"
        ) as client:
            await client.post(
                f"/c2s/leads/{LEAD}/create_message", headers=TOKEN, json={"body": "texto ref-1"}
            )
            await hook.settle()
        await hook.close()

        [delivery] = received
        body = json.loads(delivery.content)
        assert delivery.headers["X-Webhook-Token"] == "a-hook-token"
        assert body["hook_action"] == "on_update_lead"
        assert body["data"]["attributes"]["updated_at"] == world.leads[LEAD].updated_at
        assert [message["body"] for message in body["data"]["messages"]] == ["texto ref-1"]


class TestDiretrix:
    async def test_has_three_ways_to_know_nobody(self, client: httpx.AsyncClient) -> None:
        answers = [
            await client.get(
                f"/diretrix/Consultas/Pessoa/Telefone/6898{number:07d}",
                auth=("a-user", "a-password"),
            )
            for number in range(30)
        ]

        assert {answer.status_code for answer in answers} == {200, 400, 404}
        assert all(answer.json() == [] for answer in answers if answer.status_code == 200)

    @pytest.mark.parametrize("malformed", ["+5511987654321", "5511987654321", "987654321"])
    async def test_takes_no_number_with_a_country_or_without_a_ddd(
        self, client: httpx.AsyncClient, malformed: str
    ) -> None:
        answer = await client.get(
            f"/diretrix/Consultas/Pessoa/Telefone/{malformed}", auth=("a-user", "a-password")
        )

        assert answer.status_code == 400

    async def test_wants_basic_credentials(self, client: httpx.AsyncClient, world: World) -> None:
        assert (
            await client.get(f"/diretrix/Consultas/Pessoa/Telefone/{world.people[0].phone}")
        ).status_code == 401


class TestTheWorkApi:
    async def test_says_everything_with_200(self, client: httpx.AsyncClient, world: World) -> None:
        known = next(person for person in world.people if person.has_record)
        without = next(person for person in world.people if not person.has_record)
        queries = [
            {**WORK, "modulo": "cpf", "consulta": known.cpf},
            {**WORK, "modulo": "cpf", "consulta": without.cpf},
            {**WORK, "modulo": "tel", "consulta": known.phone},
            {"token": "no", "modulo": "cpf", "consulta": known.cpf},
        ]

        answers = [await client.get("/work_api", params=query) for query in queries]

        assert [answer.status_code for answer in answers] == [200] * 4
        assert [answer.json()["status"] for answer in answers] == [200, 404, 403, 403]

    async def test_pads_cpfs_to_fourteen_digits_and_lists_companies(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        person = world.people[0]

        rows = (
            await client.get(
                "/work_api", params={**WORK, "modulo": "phone", "consulta": person.phone}
            )
        ).json()["msg"]

        assert [row["cpf_cnpj"] for row in rows] == ["11222333000181", "000" + person.cpf]


class TestTheDial:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_every_fault_does_what_it_says(
        self, client: httpx.AsyncClient, world: World, kind: str
    ) -> None:
        lead = world.add_lead(LEAD, name="Ana")
        world.dial.set("c2s", Fault(kind, seconds=0.05 if kind == "slow" else 0.0))
        outcome: object
        try:
            answer = await client.post(
                f"/c2s/leads/{LEAD}/create_message", headers=TOKEN, json={"body": "x"}
            )
            outcome = answer.status_code
        except httpx.TransportError as error:
            outcome = type(error)

        expected: dict[str, tuple[object, int]] = {
            "slow": (201, 1),
            "throttle": (429, 0),
            "error500": (500, 0),
            "unauthorised": (403, 0),
            "garbage": (200, 0),
            "truncated": (200, 1),
            "double": (201, 1),
            "hang": (httpx.ReadTimeout, 0),
            "reset": (httpx.ReadError, 0),
            "accept_then_lose": (httpx.ReadError, 1),
        }
        assert (outcome, len(lead.messages)) == expected[kind]

    async def test_limits_a_fault_to_a_kind_a_subject_and_a_count(self, world: World) -> None:
        world.dial.set("diretrix", Fault("error500", call="phone", only="1198", count=1))

        drawn = [
            world.dial.draw("diretrix", *call)
            for call in (
                ("email", "1198"),
                ("phone", "2198"),
                ("phone", "11987"),
                ("phone", "11987"),
            )
        ]

        assert [fault is not None for fault in drawn] == [False, False, True, False]

    def test_repeats_itself_for_the_same_seed(self) -> None:
        def draws(seed: int) -> list[bool]:
            dial = World(seed, size=1).dial
            dial.set("c2s", Fault("error500", probability=0.5))
            return [dial.draw("c2s", "lead", "") is not None for _ in range(50)]

        assert draws(1) == draws(1)
        assert draws(1) != draws(2)
        assert 10 < sum(draws(1)) < 40

    async def test_is_turned_and_reset_over_http(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        await client.put("/_sim/faults/c2s", json=[{"kind": "error500", "status": 502}])
        assert (await client.get("/c2s/me", headers=TOKEN)).status_code == 502

        await client.post("/_sim/reset")

        assert (await client.get("/c2s/me", headers=TOKEN)).status_code == 200
        assert (await client.get("/_sim/calls")).json()["counts"]["c2s"] == {"me": 1}

    @pytest.mark.parametrize(
        ("body", "status"),
        [({"kind": "magic"}, 400), ({"colour": 1}, 400), ("x", 400), (None, 200)],
    )
    async def test_refuses_what_it_does_not_know(
        self, client: httpx.AsyncClient, body: object, status: int
    ) -> None:
        assert (
            await client.put("/_sim/faults/c2s", content=json.dumps(body))
        ).status_code == status
        assert (await client.put("/_sim/faults/serasa", json={"kind": "slow"})).status_code == 404


class TestThePage:
    async def test_lists_the_messages_and_escapes_them(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        lead = world.add_lead(LEAD, name="<script>alert(1)</script>")
        world.add_message(lead, "<b>texto</b>", None)
        world.add_message(lead, "<b>texto</b>", None)

        page = (await client.get("/")).text
        counted = (await client.get("/_sim/messages")).json()

        assert "<script>" not in page
        assert "&lt;b&gt;texto&lt;/b&gt;" in page
        assert "the same text more than once" in page
        assert (counted["sent"], counted["duplicated"]) == (2, 1)


class TestTheCallLog:
    async def test_tells_which_calls_overlapped(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        world.dial.set("diretrix", Fault("slow", seconds=0.05))
        both = (
            f"/diretrix/Consultas/Pessoa/{path}"
            for path in ("Telefone/11987654321", "Email/a@example.com")
        )

        await asyncio.gather(*(client.get(path, auth=("a-user", "a-password")) for path in both))
        await client.get("/work_api", params={**WORK, "modulo": "cpf", "consulta": "1"})

        assert world.most_at_once("diretrix") == 2
        assert world.most_at_once("work_api") == 1
        calls = (await client.get("/_sim/calls", params={"upstream": "diretrix"})).json()["calls"]
        assert {(call["kind"], call["subject"]) for call in calls} == {
            ("phone", "11987654321"),
            ("email", "a@example.com"),
        }
        assert max(call["started"] for call in calls) < min(call["ended"] for call in calls)


class TestTheJournal:
    def test_keeps_leads_and_messages(self, tmp_path: Path) -> None:
        with World(1, size=2, journal=tmp_path / "c2s.jsonl") as before:
            lead = before.add_lead(LEAD, name="Ana", phone=5511987654321)
            message = before.add_message(lead, "texto", "ref-1")
            before.add_lead(LEAD, name="Ana", phone=5511987654321, closed=True)

        with World(1, size=2, journal=tmp_path / "c2s.jsonl") as after:
            assert after.leads == before.leads
            assert after.leads[LEAD].messages == [message]

    def test_drops_a_torn_last_line_and_goes_on_behind_it(self, tmp_path: Path) -> None:
        path = tmp_path / "c2s.jsonl"
        with World(1, size=2, journal=path) as world:
            world.add_lead(LEAD, name="Ana")
        with path.open("ab") as file:
            file.write(b'{"add": "lead", "id": "torn')

        with World(1, size=2, journal=path) as world:
            assert set(world.leads) == {LEAD}
            world.add_lead("another", name="Bia")
        with World(1, size=2, journal=path) as world:
            assert set(world.leads) == {LEAD, "another"}
