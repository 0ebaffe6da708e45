"""What each answer of C2S means, directly and through the gateway."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.upstreams.conftest import CANARIES, MakeRig, Rig, answering

from c2s_enrich.cli.subscriptions import ACTIONS
from c2s_enrich.errors import (
    LeadNotFound,
    Refused,
    Throttled,
    Unauthorised,
    Unavailable,
    Uncertain,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.c2s import Hook
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import Manners, World
from c2s_enrich.upstreams.c2s import SendAnswer

LEAD = "0123456789abcdef0123456789404429"
NOT_AUTHORISED = {"error": "not_authorized"}
HTML = "<!DOCTYPE html><html><body>manutenção</body></html>"

# GET /leads/{id} as an account's owner saw it; names, numbers and ids replaced.
RECORDED_LEAD: dict[str, Any] = {
    "data": {
        "type": "lead",
        "id": LEAD,
        "internal_id": 5500123,
        "attributes": {
            "description": "Olá, tenho interesse",
            "observation": None,
            "is_favorite": False,
            "customer": {
                "id": "f" * 32,
                "name": "Maria da Silva",
                "email": None,
                "phone": "5511987654321",
                "phone2": None,
                "phone_global": "+5511987654321",
            },
            "product": {
                "id": "a" * 32,
                "description": "[101] Apartamento",
                "price": "350.000,00",
                "price_float": 350000.0,
            },
            "seller": None,
            "lead_status": {"id": 0, "alias": "new", "name": "Novo"},
            "done_details": {"done": False, "done_details": None, "done_price": None},
            "archive_details": {"archived": False, "archive_notes": None},
            "log": [{"body": "Lead criado", "created_at": "2026-02-01T10:00:00.123-03:00"}],
            "messages": [],
            "created_at": "2026-02-01T10:00:00.000-03:00",
            "updated_at": "2026-02-01T10:05:00.000-03:00",
        },
        "schedulated_actions": [],
        "messages": [
            {
                "id": "b" * 32,
                "sender_type": "SysUser",
                "recipient_type": "Customer",
                "body": "Olá\nref-1",
                "read_at": None,
            }
        ],
        "facebook_attributes": {},
    }
}


def nothing() -> None:
    """A before_send that has no objection."""


async def send(rig: Rig, lead_id: str = LEAD) -> SendAnswer:
    return await rig.c2s.send(lead_id, "texto\nref-1", "ref-1", before_send=nothing)


class TestTheLead:
    async def test_is_read_from_a_recorded_answer(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=RECORDED_LEAD))

        facts = await rig.c2s.lead(LEAD)

        assert (facts.lead_id, facts.name, facts.email, facts.closed) == (
            LEAD,
            "Maria da Silva",
            None,
            False,
        )
        assert await rig.c2s.messages(LEAD) == ("Olá\nref-1",)

    async def test_has_the_recorded_shape_in_the_simulator_too(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        lead = world.add_lead(LEAD, name="Maria da Silva", phone="5511987654321")
        world.add_message(lead, "Olá\nref-1", "ref-1")
        recorded = RECORDED_LEAD["data"]

        simulated: dict[str, Any] = lead.to_json()

        assert recorded.keys() <= simulated.keys()
        assert recorded["attributes"].keys() <= simulated["attributes"].keys()
        assert (
            recorded["attributes"]["customer"].keys() == simulated["attributes"]["customer"].keys()
        )
        assert (await (await make_rig(network)).c2s.lead(LEAD)).name == "Maria da Silva"

    async def test_that_c2s_does_not_know_is_a_finding_and_no_failure(
        self, make_rig: MakeRig, network: SimulatedTransport
    ) -> None:
        rig = await make_rig(network)

        with pytest.raises(LeadNotFound, match=r"^Lead not found$"):
            await rig.c2s.lead(LEAD)

        assert rig.limits.ended == [None]

    @pytest.mark.parametrize("hostile", ["../../me", "a/b?c=d#e", "..", "%2e%2e", "é 1"])
    async def test_with_a_hostile_id_stays_one_segment_of_the_path(
        self, make_rig: MakeRig, network: SimulatedTransport, hostile: str
    ) -> None:
        rig = await make_rig(network)

        with pytest.raises(LeadNotFound):
            await rig.c2s.lead(hostile)

        [request] = rig.sent
        assert request.url.raw_path.startswith(b"/c2s/leads/")
        assert request.url.raw_path.count(b"/") == 3
        assert b"?" not in request.url.raw_path

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (answering(200, html=HTML), Unreadable),
            (answering(404, html=HTML), Unreadable),
            (answering(200, json={"data": {}}), Unreadable),
            (answering(200, text="{"), Unreadable),
            (answering(302, headers={"location": "https://elsewhere.example/"}), Unreadable),
            (answering(400, json={"message": "param_data_not_found"}), Refused),
            (answering(422, json={"success": False, "msg": "invalid"}), Refused),
            (answering(423), Refused),
            (answering(401), Unauthorised),
            (answering(403, json=NOT_AUTHORISED), Unauthorised),
            (answering(403, html=HTML), Unauthorised),
            (answering(403, json={"error": "invalid date or strptime format"}), Refused),
            (answering(403, json={"error": "perpage must be at most 50"}), Refused),
            (answering(429, headers={"retry-after": "1 minute"}), Throttled),
            (answering(503, headers={"retry-after": "30"}), Throttled),
            (answering(500), Unavailable),
            (answering(502, html=HTML), Unavailable),
        ],
    )
    async def test_every_status_has_its_error(
        self, make_rig: MakeRig, answer: httpx.MockTransport, error: type[UpstreamError]
    ) -> None:
        rig = await make_rig(answer)

        with pytest.raises(UpstreamError) as raised:
            await rig.c2s.lead(LEAD)

        assert type(raised.value) is error
        assert [type(end) for end in rig.limits.ended] == [error] * len(rig.limits.ended)


class TestAuthorisation:
    async def test_goes_out_in_both_header_forms(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=RECORDED_LEAD))

        await rig.c2s.lead(LEAD)

        [request] = rig.sent
        assert (
            request.headers["Authorization"]
            == request.headers["Authentication"]
            == f"Bearer {CANARIES['C2S_TOKEN']}"
        )

    async def test_tries_the_other_form_before_it_believes_a_refusal_and_keeps_what_worked(
        self, make_rig: MakeRig
    ) -> None:
        def strange_account(request: httpx.Request) -> httpx.Response:
            return (
                httpx.Response(401)
                if "authorization" in request.headers
                else httpx.Response(200, json=RECORDED_LEAD)
            )

        rig = await make_rig(httpx.MockTransport(strange_account))

        await rig.c2s.lead(LEAD)
        await rig.c2s.lead(LEAD)

        assert ["authorization" in request.headers for request in rig.sent] == [True, False, False]
        assert rig.limits.ended == [None, None]

    @pytest.mark.parametrize("setting", ["authorization", "authentication"])
    async def test_can_be_set_to_one_form_first(
        self, make_rig: MakeRig, world: World, network: SimulatedTransport, setting: str
    ) -> None:
        world.add_lead(LEAD, name="Maria")
        rig = await make_rig(network, C2S_AUTH_HEADER=setting)

        await rig.c2s.lead(LEAD)

        other = {"authorization": "authentication", "authentication": "authorization"}[setting]
        assert setting in rig.sent[0].headers
        assert other not in rig.sent[0].headers

    async def test_refused_in_every_form_is_one_failure(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(403, json=NOT_AUTHORISED))

        with pytest.raises(Unauthorised, match="not_authorized"):
            await send(rig)

        assert [type(end) for end in rig.limits.ended] == [Unauthorised]


class TestSending:
    async def test_posts_the_documented_body_and_returns_the_messages_id(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        lead = world.add_lead(LEAD, name="Maria")
        rig = await make_rig(network)

        accepted = await send(rig)

        [message] = lead.messages
        assert accepted == SendAnswer(message.id, confirmed=True)
        assert json.loads(rig.sent[0].content) == {"body": "texto\nref-1", "external_id": "ref-1"}
        assert rig.sent[0].url.raw_path == f"/c2s/leads/{LEAD}/create_message".encode()

    @pytest.mark.parametrize(("given", "kept"), [("m\0\ud800", "m"), (7, "7"), ("\0", None)])
    async def test_keeps_no_id_that_the_database_does_not_take(
        self, make_rig: MakeRig, given: object, kept: str | None
    ) -> None:
        answer = {"data": {"messages": [{"id": given, "external_id": "ref-1"}]}}
        rig = await make_rig(answering(201, content=json.dumps(answer)))

        assert (await send(rig)).message_id == kept

    async def test_path_is_a_setting(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(200), C2S_MESSAGE_PATH="/leads/{lead_id}/messages")

        await send(rig)

        assert rig.sent[0].url.path == f"/c2s/leads/{LEAD}/messages"

    @pytest.mark.parametrize(
        "answer",
        [answering(200, json={"ok": 1}), answering(201), answering(204), answering(201, json=None)],
    )
    async def test_takes_any_2xx_with_json_or_nothing_for_a_yes(
        self, make_rig: MakeRig, answer: httpx.MockTransport
    ) -> None:
        assert (await send(await make_rig(answer))).confirmed

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (answering(200, html=HTML), Uncertain),
            (answering(201, text='{"data": {"id"'), Uncertain),
            (answering(200, json={"success": False}), Uncertain),
            (answering(302, headers={"location": "/"}), Uncertain),
            (answering(408), Uncertain),
            (answering(500), Uncertain),
            (answering(503, headers={"retry-after": "60"}), Uncertain),
            (answering(504, html=HTML), Uncertain),
            (answering(400, json={"message": "param_data_not_found"}), Refused),
            (answering(422), Refused),
            (answering(429, headers={"retry-after": "1 minute"}), Throttled),
            (answering(413, html=HTML), Unavailable),
            (answering(404, html=HTML), Unavailable),
            (answering(404, text="Lead not found"), LeadNotFound),
            (answering(401), Unauthorised),
            (answering(402), Unauthorised),
        ],
    )
    async def test_says_exactly_what_is_known(
        self, make_rig: MakeRig, answer: httpx.MockTransport, error: type[Exception]
    ) -> None:
        rig = await make_rig(answer)

        with pytest.raises(Exception) as raised:  # noqa: PT011 the type is compared below
            await send(rig)

        assert type(raised.value) is error

    @pytest.mark.parametrize("kind", ["accept_then_lose", "hang", "reset"])
    async def test_without_an_answer_is_uncertain_and_tried_once_only(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World, kind: str
    ) -> None:
        lead = world.add_lead(LEAD, name="Maria")
        world.dial.set("c2s", Fault(kind))
        rig = await make_rig(network, C2S_TIMEOUT="0.2")

        with pytest.raises(Uncertain):
            await send(rig)

        assert len(rig.sent) == 1
        assert len(lead.messages) == (1 if kind == "accept_then_lose" else 0)

    async def test_to_a_host_that_is_down_is_a_clear_no(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.add_lead(LEAD, name="Maria")
        network.down = True

        with pytest.raises(Unavailable, match="before anything was sent"):
            await send(await make_rig(network))

    async def test_lost_answer_is_found_by_reading_the_lead_back(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.add_lead(LEAD, name="Maria")
        world.dial.set("c2s", Fault("accept_then_lose", call="message"))
        rig = await make_rig(network)
        with pytest.raises(Uncertain):
            await send(rig)

        assert any("ref-1" in text for text in await rig.c2s.messages(LEAD))


class TestThroughTheGateway:
    GATEWAY = "http://sim/gateway"

    async def test_a_message_counts_only_after_it_was_read_back(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.add_lead(LEAD, name="Maria")
        rig = await make_rig(network, C2S_GATEWAY_URL=self.GATEWAY)

        accepted = await send(rig)

        assert not accepted.confirmed
        assert json.loads(rig.sent[0].content) == {"message": "texto\nref-1"}
        assert "authorization" not in rig.sent[0].headers
        assert await rig.c2s.messages(LEAD) == ("texto\nref-1",)

    async def test_a_yes_may_be_followed_by_nothing(self, make_rig: MakeRig) -> None:
        manners = Manners(c2s_token=CANARIES["C2S_TOKEN"], accepts_message_key=False)
        world = World(7, size=1, manners=manners)
        world.add_lead(LEAD, name="Maria")
        rig = await make_rig(
            SimulatedTransport(build_simulators(world)), C2S_GATEWAY_URL=self.GATEWAY
        )

        assert not (await send(rig)).confirmed
        assert await rig.c2s.messages(LEAD) == ()

    async def test_a_lead_that_c2s_does_not_know_is_found_in_the_text(
        self, make_rig: MakeRig, network: SimulatedTransport
    ) -> None:
        rig = await make_rig(network, C2S_GATEWAY_URL=self.GATEWAY)

        with pytest.raises(LeadNotFound):
            await send(rig)
        with pytest.raises(LeadNotFound):
            await rig.c2s.lead(LEAD)

    @pytest.mark.parametrize(
        ("detail", "error"),
        [
            (
                f"Client error '404 Not Found' for url 'https://x/leads/{LEAD}/create_message'",
                LeadNotFound,
            ),
            ("Client error '401 Unauthorized' for url 'https://x/leads/1'", Unauthorised),
            ("Client error '403 Forbidden' for url 'https://x/leads?perpage=50'", Unauthorised),
            ("Client error '422 Unprocessable Entity' for url 'https://x/leads/1'", Refused),
            ("Client error '429 Too Many Requests' for url 'https://x/leads/1'", Throttled),
            ("Server error '502 Bad Gateway' for url 'https://x/leads/1'", Uncertain),
            (f"timed out while calling https://x/leads/{LEAD}", Uncertain),
            (f"ReadTimeout on /leads/404/create_message after 30 s, lead {LEAD}", Uncertain),
            ("got 404 and then 500", Uncertain),
            ("", Uncertain),
        ],
    )
    async def test_the_text_of_a_500_tells_what_c2s_said(
        self, make_rig: MakeRig, detail: str, error: type[Exception]
    ) -> None:
        rig = await make_rig(answering(500, json={"detail": detail}), C2S_GATEWAY_URL=self.GATEWAY)

        with pytest.raises(Exception) as raised:  # noqa: PT011 the type is compared below
            await send(rig)

        assert type(raised.value) is error

    async def test_a_wrong_address_of_the_gateway_is_not_taken_for_missing_leads(
        self, make_rig: MakeRig
    ) -> None:
        rig = await make_rig(
            answering(404, json={"detail": "Not Found"}), C2S_GATEWAY_URL=self.GATEWAY
        )

        with pytest.raises(Refused, match="C2S_GATEWAY_URL"):
            await rig.c2s.lead(LEAD)


class TestReconciliation:
    async def test_reads_page_after_page_and_stops_where_nothing_is_new(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        for number in range(120):
            world.add_lead(
                f"{number:032x}", name=f"Lead {number}"
            ).updated_at = f"2026-02-01T{number // 60:02}:{number % 60:02}:00.000-03:00"
        rig = await make_rig(network)
        since = datetime(2026, 2, 1, 3, 55, tzinfo=UTC)

        leads = [lead["id"] async for lead in rig.c2s.leads_updated_since(since)]

        assert leads == [f"{number:032x}" for number in range(119, 54, -1)]
        assert [request.url.params["page"] for request in rig.sent] == ["1", "2", "3"]
        assert {request.url.params["perpage"] for request in rig.sent} == {"50"}

    async def test_asks_once_where_nothing_changed(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        world.add_lead(LEAD, name="Maria")
        rig = await make_rig(network)

        assert [
            lead
            async for lead in rig.c2s.leads_updated_since(datetime.now(UTC) + timedelta(hours=1))
        ] == []
        assert len(rig.sent) == 1


class TestTheAccount:
    async def test_tells_its_companys_name(
        self, make_rig: MakeRig, network: SimulatedTransport
    ) -> None:
        assert await (await make_rig(network)).c2s.me() == "Imobiliária Simulada"

    async def test_wrong_token_is_said(
        self, make_rig: MakeRig, network: SimulatedTransport
    ) -> None:
        with pytest.raises(Unauthorised):
            await (await make_rig(network, C2S_TOKEN="another")).c2s.me()

    async def test_subscribes_and_unsubscribes_its_hook(
        self, make_rig: MakeRig, world: World
    ) -> None:
        hook = Hook()
        rig = await make_rig(SimulatedTransport(build_simulators(world, hook)))

        for action in ACTIONS:
            await rig.c2s.subscribe(action, "https://example.com/hook")
        subscribed = hook.url
        await rig.c2s.unsubscribe("on_create_lead")
        assert (subscribed, hook.url) == ("https://example.com/hook", None)
        with pytest.raises(Refused):
            await rig.c2s.subscribe("on_invented", "https://example.com/hook")
        await hook.close()
