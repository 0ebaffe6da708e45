"""Whom a source suggests, and when it proves that it knows nobody."""

from __future__ import annotations

from contextvars import copy_context

import pytest
from tests.cast import ANA, BRUNO, CARLA

from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.cpf import Candidate
from c2s_enrich.telemetry.lines import begin_attempt
from c2s_enrich.upstreams.candidates import candidates_from_diretrix, candidates_from_phone_module


def people_and_lost_rows(rows: list[object]) -> tuple[tuple[Candidate, ...], list[object]]:
    """What Diretrix' rows give, and what the attempt's journal is told."""
    told: list[object] = []

    def read() -> tuple[Candidate, ...]:
        begin_attempt(lambda what, facts: told.append((what, facts["source"], facts["rows"])), {})
        return candidates_from_diretrix(rows)

    return copy_context().run(read), told


class TestThePhoneModule:
    def test_gives_people_with_padded_cpfs_and_leaves_companies_out(self) -> None:
        # All padded CPFs were once refused, for five days nobody was found; then companies became
        # people.
        rows = [
            {"cpf_cnpj": "11222333000181", "nome": "EMPRESA LTDA"},
            {"cpf_cnpj": "000" + BRUNO.cpf.digits, "nome": BRUNO.name},
            {
                "cpf_cnpj": "123" + CARLA.cpf.digits,
                "nome": "a company whose last digits look like a CPF",
            },
            {"cpf_cnpj": ANA.cpf.digits, "nome": ANA.name},
            {"cpf_cnpj": None, "nome": "x"},
        ]

        assert candidates_from_phone_module({"msg": rows}) == (BRUNO.candidate, ANA.candidate)

    @pytest.mark.parametrize(
        "body", [{"msg": []}, {"msg": None}, {"status": 404}, {"status": "404", "msg": "Not found"}]
    )
    def test_may_know_nobody(self, body: object) -> None:
        assert candidates_from_phone_module(body) == ()

    def test_with_a_problem_is_not_nobody(self) -> None:
        for refusal in (
            {"status": 403, "msg": "module does not exist"},
            {"code": 429, "message": "not enough credits"},
        ):
            with pytest.raises(Unauthorised, match="account problem"):
                candidates_from_phone_module(refusal)
        odd: tuple[object, ...] = (
            None,
            [],
            {},
            {"msg": "x"},
            {"msg": ["x"]},
            {"msg": [{"documento": "x"}]},
            {"status": 500},
        )
        for body in odd:
            with pytest.raises(Unreadable):
                candidates_from_phone_module(body)


class TestDiretrix:
    def test_gives_each_person_once_in_its_order(self) -> None:
        rows = [
            {"nome": "", "cpf": BRUNO.cpf.formatted},
            {"nome": ANA.name, "cpf": int(ANA.cpf.digits)},
            {"nome": BRUNO.name, "cpf": BRUNO.cpf.digits},
            {"nome": "X", "cpf": "12345678900"},
            {"nome": "X", "cpf": "11222333000181"},
            {"cpf": CARLA.cpf.digits, "nome": None},
        ]

        people, lost = people_and_lost_rows(rows)

        assert people == (BRUNO.candidate, ANA.candidate, Candidate(CARLA.cpf, ""))
        assert lost == [("unreadable", "diretrix", 1)]

    def test_may_give_one_person_without_a_list(self) -> None:
        person = {"nome": ANA.name, "cpf": ANA.cpf.digits}

        assert candidates_from_diretrix(person) == (ANA.candidate,)

    @pytest.mark.parametrize("body", [[], None])
    def test_may_know_nobody(self, body: object) -> None:
        assert candidates_from_diretrix(body) == ()

    @pytest.mark.parametrize(
        "body", [{}, {"mensagem": "erro"}, "x", 5, ["x"], [{"documento": "1"}]]
    )
    def test_that_cannot_be_read_is_not_nobody(self, body: object) -> None:
        with pytest.raises(Unreadable):
            candidates_from_diretrix(body)


MASKED = "***.123.456-**"
COMPANY = "11222333000181"


class TestNobody:
    @pytest.mark.parametrize(
        "number",
        [MASKED, "", None, "12345678900", "123.456.789", "NÃO INFORMADO", 0, 1.5, True, [], {},
         "1" * 11,
         "11222333000182", "***", "52998224726", "0" * 14, " ", 10**5000],
        # pytest would print the number.
        ids=lambda number: "huge" if number == 10**5000 else None,
    )  # fmt: skip
    def test_is_not_proven_by_a_row_whose_number_cannot_be_read(self, number: object) -> None:
        row = {"nome": "ANA", "cpf": number, "cpf_cnpj": number}

        with pytest.raises(Unreadable):
            candidates_from_diretrix([row])
        with pytest.raises(Unreadable):
            candidates_from_phone_module({"msg": [row]})

    @pytest.mark.parametrize("row", [None, "x", 5, [], {}, {"nome": "ANA"}])
    def test_is_not_proven_by_a_row_of_another_shape(self, row: object) -> None:
        with pytest.raises(Unreadable):
            candidates_from_diretrix([row])
        with pytest.raises(Unreadable):
            candidates_from_phone_module({"msg": [row]})

    @pytest.mark.parametrize(
        "number", [COMPANY, "11.222.333/0001-81", int(COMPANY), "12.ABC.345/01DE-35"]
    )
    def test_is_proven_by_companies_alone(self, number: object) -> None:
        assert candidates_from_diretrix([{"cpf": number}]) == ()
        assert candidates_from_phone_module({"msg": [{"cpf_cnpj": number}]}) == ()

    def test_is_not_proven_by_a_company_next_to_a_row_that_cannot_be_read(self) -> None:
        rows = [{"cpf": COMPANY}, {"cpf": MASKED}]

        with pytest.raises(Unreadable, match="1 of 2 rows"):
            candidates_from_diretrix(rows)


class TestRowsThatCannotBeRead:
    def test_do_not_hide_those_that_can(self) -> None:
        rows: list[object] = [
            {"cpf": MASKED},
            {"nome": ANA.name, "cpf": ANA.cpf.digits},
            None,
            {"cpf": COMPANY},
        ]

        assert people_and_lost_rows(rows) == ((ANA.candidate,), [("unreadable", "diretrix", 2)])

    def test_beyond_the_thousandth_are_counted_too(self) -> None:
        rows: list[object] = [{"nome": ANA.name, "cpf": ANA.cpf.digits}] * 1200

        assert people_and_lost_rows(rows) == ((ANA.candidate,), [("unreadable", "diretrix", 200)])
