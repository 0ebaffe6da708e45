"""What each answer of Diretrix means: nobody, somebody, or a failure, never one for the other."""

from __future__ import annotations

import base64
import re

import httpx
import pytest
from tests.upstreams.conftest import CANARIES, MakeRig, answering

from c2s_enrich.errors import (
    Refused,
    Throttled,
    Unauthorised,
    Unavailable,
    Unproven,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.people.contact import Email, Phone, read_phone
from c2s_enrich.people.cpf import Candidate, Cpf
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import World

PHONE = Phone("+5511987654321", "11987654321")
ANA = Cpf("52998224725")
# As recorded, with the name and number replaced.
RECORDED = [{"nome": "ANA CLARA DE SOUZA", "cpf": "52998224725"}]


def phone_of(text: str) -> Phone:
    phone = read_phone(text)
    assert isinstance(phone, Phone)
    return phone


class TestTheAddress:
    @pytest.mark.parametrize(
        ("written", "path"),
        [
            ("+55 (11) 98765-4321", "/diretrix/Consultas/Pessoa/Telefone/11987654321"),
            ("5511987654321", "/diretrix/Consultas/Pessoa/Telefone/11987654321"),
            ("1133654321", "/diretrix/Consultas/Pessoa/Telefone/1133654321"),
            # DDD 55 is Santa Maria (RS): with and without the country's 55, mobile and landline.
            ("55987654321", "/diretrix/Consultas/Pessoa/Telefone/55987654321"),
            ("5555987654321", "/diretrix/Consultas/Pessoa/Telefone/55987654321"),
            ("555532217654", "/diretrix/Consultas/Pessoa/Telefone/5532217654"),
        ],
    )
    async def test_of_a_phone_is_ddd_and_number_and_never_the_country(
        self, make_rig: MakeRig, written: str, path: str
    ) -> None:
        rig = await make_rig(answering(json=[]))

        await rig.diretrix.by_phone(phone_of(written))

        assert rig.sent[0].url.raw_path == path.encode()

    async def test_of_a_foreign_phone_does_not_exist(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=[]))

        with pytest.raises(ValueError, match="Brazilian"):
            await rig.diretrix.by_phone(Phone("+12025550123", None))

        assert rig.sent == []

    @pytest.mark.parametrize(
        "address",
        [
            "a+b@example.com",
            "a/b@example.com",
            "a%41@example.com",
            "a#b?c=d@example.com",
            "é@example.com",
        ],
    )
    async def test_of_an_email_is_one_encoded_segment(
        self, make_rig: MakeRig, network: SimulatedTransport, address: str
    ) -> None:
        rig = await make_rig(network)

        await rig.diretrix.by_email(Email(address))

        raw = rig.sent[0].url.raw_path.decode()
        assert re.fullmatch(r"/diretrix/Consultas/Pessoa/Email/[A-Za-z0-9._%-]+", raw)
        assert httpx.URL(f"http://sim{raw}").path.endswith("/" + address)

    async def test_carries_basic_credentials(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=[]))

        await rig.diretrix.by_phone(PHONE)

        scheme, _, pair = rig.sent[0].headers["Authorization"].partition(" ")
        assert (scheme, base64.b64decode(pair).decode()) == (
            "Basic",
            f"{CANARIES['DIRETRIX_USER']}:{CANARIES['DIRETRIX_PASS']}",
        )


class TestTheAnswer:
    async def test_recorded_is_somebody(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=RECORDED))

        assert await rig.diretrix.by_phone(PHONE) == (Candidate(ANA, "ANA CLARA DE SOUZA"),)

    async def test_of_the_simulator_has_the_recorded_shape(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        for person in world.people:
            rig = await make_rig(network)

            by_phone = await rig.diretrix.by_phone(phone_of(person.phone))
            by_email = await rig.diretrix.by_email(Email(person.email))

            # Also for those whose CPF has lost its zeros on the way.
            assert by_phone == by_email == (Candidate(Cpf(person.cpf), person.name.upper()),)

    @pytest.mark.parametrize(
        "answer",
        [
            answering(400),
            answering(404),
            answering(204),
            answering(200, json=[]),
            answering(200, text="null"),
        ],
    )
    async def test_nobody_has_five_forms(
        self, make_rig: MakeRig, answer: httpx.MockTransport
    ) -> None:
        rig = await make_rig(answer)

        assert await rig.diretrix.by_phone(PHONE) == ()
        assert await rig.diretrix.by_email(Email("ana@example.com")) == ()
        assert rig.limits.ended == [None, None]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (answering(401), Unauthorised),
            (answering(402), Unauthorised),
            (answering(403), Unauthorised),
            (answering(405), Refused),
            (answering(429), Throttled),
            (answering(500), Unavailable),
            (answering(503), Unavailable),
            (answering(200, html="<html></html>"), Unreadable),
            (answering(400, html="<html>Bad Request</html>"), Unproven),
            (answering(404, html="<!DOCTYPE html><title>404</title>"), Unproven),
            (answering(200, json=[{"nome": "ANA", "cpf": "***.123.456-**"}]), Unreadable),
            (answering(200, text=""), Unreadable),
            (answering(200, json={"erro": "x"}), Unreadable),
            (answering(200, json=[{"documento": "52998224725"}]), Unreadable),
            (answering(200, json="nobody"), Unreadable),
        ],
    )
    async def test_a_failure_is_never_nobody(
        self, make_rig: MakeRig, answer: httpx.MockTransport, error: type[UpstreamError]
    ) -> None:
        with pytest.raises(UpstreamError) as raised:
            await (await make_rig(answer)).diretrix.by_phone(PHONE)

        assert type(raised.value) is error

    @pytest.mark.parametrize(
        "kind", ["hang", "reset", "truncated", "garbage", "error500", "unauthorised", "throttle"]
    )
    async def test_every_fault_of_the_dial_is_a_failure(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World, kind: str
    ) -> None:
        world.dial.set("diretrix", Fault(kind))
        rig = await make_rig(network, DIRETRIX_TIMEOUT="0.1")

        with pytest.raises(UpstreamError):
            await rig.diretrix.by_phone(phone_of(world.people[0].phone))
