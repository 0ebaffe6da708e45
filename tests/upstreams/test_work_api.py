"""What each answer of the Work API means. Almost all of them are HTTP 200."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from tests import cast
from tests.upstreams.conftest import CANARIES, MakeRig, answering

from c2s_enrich.errors import (
    Refused,
    Throttled,
    Unauthorised,
    Unavailable,
    Unreadable,
    UpstreamError,
)
from c2s_enrich.people.contact import Phone
from c2s_enrich.people.cpf import Candidate, Cpf
from c2s_enrich.sandbox.simulators.population import FORBIDDEN_MARKS
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import World

PHONE = Phone("+5511987654321", "11987654321")
ANA = cast.ANA.cpf
RECORD: dict[str, Any] = cast.record_json(cast.ANA)
NOT_FOUND = {"status": 404, "statusMsg": "Not found", "reason": "Document not found."}


class TestTheRecord:
    async def test_recorded_is_a_profile(self, make_rig: MakeRig) -> None:
        rig = await make_rig(answering(json=RECORD))

        profile = await rig.work_api.profile(ANA)

        assert profile is not None
        assert (profile.cpf, profile.name) == (ANA.digits, cast.ANA.name)
        query = dict(rig.sent[0].url.params)
        assert query == {
            "token": CANARIES["WORK_API_TOKEN"],
            "modulo": "cpf",
            "consulta": ANA.digits,
        }

    async def test_of_the_simulator_is_read_too_and_brings_nothing_that_is_not_ours_to_know(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        rig = await make_rig(network)
        for person in world.people:
            raw = str(person.record)
            assert all(mark in raw for mark in FORBIDDEN_MARKS)

            profile = await rig.work_api.profile(Cpf(person.cpf))

            assert (profile is not None) == person.has_record
            if profile is not None:
                assert profile.name == person.name.upper()
                assert profile.income is not None
                stored = msgspec.json.encode(profile).decode()
                assert not any(mark in stored for mark in FORBIDDEN_MARKS)

    async def test_simulated_has_the_recorded_sections(self, world: World) -> None:
        assert RECORD.keys() <= world.people[0].record.keys()

    @pytest.mark.parametrize(
        "answer",
        [
            answering(json=NOT_FOUND),
            answering(json={"Status": "404"}),
            answering(404, json={}),
            answering(404, text="no"),
        ],
    )
    async def test_that_does_not_exist_is_none(
        self, make_rig: MakeRig, answer: httpx.MockTransport
    ) -> None:
        rig = await make_rig(answer)

        assert await rig.work_api.profile(ANA) is None
        assert rig.limits.ended == [None]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (answering(json={"status": "403", "statusMsg": "Forbidden"}), Unauthorised),
            (answering(json={"status": 403, "reason": "module does not exist"}), Unauthorised),
            (
                answering(
                    json={
                        "code": 429,
                        "message": "not enough credits",
                        "required": 1,
                        "remaining": 0,
                    }
                ),
                Unauthorised,
            ),
            (answering(json={"erro": "Token inválido"}), Unauthorised),
            (answering(401), Unauthorised),
            (answering(402), Unauthorised),
            (answering(400), Refused),
            (answering(429), Throttled),
            (answering(500), Unavailable),
            (answering(json={"status": 500}), Unreadable),
            (answering(json={}), Unreadable),
            (answering(json=[]), Unreadable),
            (answering(json=RECORD | {"DadosBasicos": None}), Unreadable),
            (answering(json=RECORD | {"DadosBasicos": []}), Unreadable),
            (
                answering(json=RECORD | {"DadosBasicos": {"nome": "", "cpf": ANA.digits}}),
                Unreadable,
            ),
            (
                answering(
                    json=RECORD
                    | {"DadosBasicos": {"nome": "OUTRA PESSOA", "cpf": cast.BRUNO.cpf.digits}}
                ),
                Unreadable,
            ),
            (answering(200, html="<html>"), Unreadable),
            (answering(404, html="<html>"), Unreadable),
        ],
    )
    async def test_is_never_missing_because_of_a_failure(
        self, make_rig: MakeRig, answer: httpx.MockTransport, error: type[UpstreamError]
    ) -> None:
        with pytest.raises(UpstreamError) as raised:
            await (await make_rig(answer)).work_api.profile(ANA)

        assert type(raised.value) is error

    async def test_of_a_wrong_token_is_an_account_problem(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        rig = await make_rig(network, WORK_API_TOKEN="expired")

        with pytest.raises(Unauthorised):
            await rig.work_api.profile(Cpf(world.people[0].cpf))


class TestThePhoneModule:
    async def test_gives_people_and_leaves_companies_out(
        self, make_rig: MakeRig, network: SimulatedTransport, world: World
    ) -> None:
        person = world.people[0]
        rig = await make_rig(network)

        found = await rig.work_api.by_phone(Phone("+55" + person.phone, person.phone))

        assert found == (Candidate(Cpf(person.cpf), person.name.upper()),)

    async def test_makes_no_person_of_a_companys_number(self, make_rig: MakeRig) -> None:
        # 00 360 305/0001-04 begins with zeros and is a company still.
        rows = [
            {"cpf_cnpj": "00360305000104", "nome": "BANCO"},
            {"cpf_cnpj": "000" + ANA.digits, "nome": "ANA"},
        ]
        rig = await make_rig(answering(json={"msg": rows}))

        assert await rig.work_api.by_phone(PHONE) == (Candidate(ANA, "ANA"),)

    async def test_knows_nobody(self, make_rig: MakeRig) -> None:
        assert await (await make_rig(answering(json={"msg": []}))).work_api.by_phone(PHONE) == ()

    async def test_refused_is_an_account_problem(self, make_rig: MakeRig) -> None:
        with pytest.raises(Unauthorised):
            await (
                await make_rig(answering(json={"status": 403, "statusMsg": "Forbidden"}))
            ).work_api.by_phone(PHONE)
