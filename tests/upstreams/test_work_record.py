"""What the sources answer: a record or its absence only where they say so, and nothing of it that
the product does not use.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from tests.cast import ANA, BRUNO, FORBIDDEN, a_cpf, record_json

from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.upstreams.fields import read_date, read_money
from c2s_enrich.upstreams.work_record import read_record


def profile(**sections: Any) -> Profile:
    record = read_record(record_json(ANA, **sections), ANA.cpf)
    assert isinstance(record, Profile)
    return record


def basic(**fields: Any) -> Profile:
    return profile(DadosBasicos=fields)


class TestARecord:
    def test_of_ana_is_read_section_by_section(self) -> None:
        assert profile() == Profile(
            cpf=ANA.cpf.digits,
            name="ANA CLARA DE SOUZA LIMA",
            birth_date=date(1990, 3, 5),
            sex="F",
            mother="MARIA DE SOUZA LIMA",
            marital_status="SOLTEIRO(A)",
            education="SUPERIOR COMPLETO",
            income=Decimal("6089.28"),
            purchasing_power="MEDIO",
            income_range=(Decimal("4180.00"), Decimal("10450.00")),
            credit_score=702,
            credit_risk="BAIXO RISCO",
            occupation="ARQUITETO DE EDIFICACOES",
            phones=(
                PhoneEntry(ANA.phone, "TELEFONE MÓVEL", "TIM", active=True, whatsapp=True),
                PhoneEntry("1133650099", "TELEFONE RESIDENCIAL", "VIVO", active=False),
            ),
            emails=(
                EmailEntry(ANA.email, "MUITO ALTA", "OTIMO", personal=True, blacklisted=False),
                EmailEntry("antigo@example.org", "BAIXA", "BOM", personal=True, blacklisted=False),
            ),
            addresses=(
                AddressEntry(
                    "RUA", "DAS ACACIAS", "120", "APTO 31", "CENTRO", "SAO PAULO", "SP", "01310100"
                ),
            ),
            companies=(
                CompanyEntry("11222333000181", None, "SÓCIO", date(2010, 2, 1), active=True),
            ),
        )

    def test_keeps_nothing_of_health_relatives_neighbours_benefits_and_habits(self) -> None:
        stored = msgspec.json.encode(profile()).decode()

        assert not [
            word for word in (*FORBIDDEN, a_cpf(99).digits, "12345678901") if word in stored
        ]

    def test_survives_being_stored(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(profile()), type=Profile) == profile()

    def test_shows_no_cpf_in_its_repr(self) -> None:
        assert ANA.cpf.digits not in repr(profile())
        assert ANA.name not in repr(profile())

    def test_may_have_its_keys_in_pascal_case(self) -> None:
        renamed = {
            "dadosbasicos": {"Nome": ANA.name, "CPF": ANA.cpf.digits},
            "Telefones": [{"Telefone": ANA.phone, "Whatsapp": "SIM"}],
        }

        record = read_record(renamed, ANA.cpf)

        assert isinstance(record, Profile)
        assert record.phones == (PhoneEntry(ANA.phone, whatsapp=True),)


class TestNotARecord:
    @pytest.mark.parametrize(
        "body",
        [
            {"status": 404, "statusMsg": "Not found", "reason": "Document not found."},
            {"status": "404", "statusMsg": "Not found"},
            {"Status": 404, "DadosBasicos": None},
            {"status": "404", "DadosBasicos": {}},
            {"code": 404},
        ],
    )
    def test_is_nobody_where_the_body_says_404_although_http_said_200(self, body: object) -> None:
        # Taken for a success, such a body became a person without a name, and was kept for an hour.
        assert read_record(body, ANA.cpf) is None

    @pytest.mark.parametrize(
        "body",
        [
            {"status": 403, "statusMsg": "Forbidden", "reason": "x"},
            {"status": "403"},
            {"Status": 403},
            {"code": 429, "message": "not enough credits", "required": 1, "remaining": 0},
            {"message": "not enough credits"},
            {"erro": "x"},
            {"status": 401},
        ],
    )
    def test_is_our_accounts_problem_where_plan_token_or_credits_are_refused(
        self, body: object
    ) -> None:
        with pytest.raises(Unauthorised, match="account problem"):
            read_record(body, ANA.cpf)

    @pytest.mark.parametrize(
        "body",
        [
            None, [], "<html>", 7, {}, {"status": 200}, {"status": 500},
            {"status": 200, "DadosBasicos": None}, {"DadosBasicos": []},
            {"DadosBasicos": "x"}, {"DadosBasicos": {"nome": "", "cpf": ANA.cpf.digits}},
            {"DadosBasicos": {"nome": "SEM INFORMAÇÃO", "cpf": ANA.cpf.digits}}, {"erro": None},
            {"erro": False}, {"status": 10**5000},
        ],
        # pytest would print the number.
        ids=lambda body: "huge" if body == {"status": 10**5000} else None,
    )  # fmt: skip
    def test_is_neither_a_record_nor_its_absence_where_it_cannot_be_read(
        self, body: object
    ) -> None:
        with pytest.raises(Unreadable):
            read_record(body, ANA.cpf)

    @pytest.mark.parametrize("cpf", [BRUNO.cpf.digits, "", None, "000", [ANA.cpf.digits]])
    def test_is_one_of_another_cpf(self, cpf: object) -> None:
        # An earlier program stored one person's data under another's CPF.
        with pytest.raises(Unreadable, match="not of the CPF"):
            read_record(record_json(ANA, DadosBasicos={"cpf": cpf}), ANA.cpf)

    def test_says_why_without_a_value_of_the_body(self) -> None:
        secret = {"status": 403, "reason": f"token abc for {ANA.cpf.digits}", "message": ANA.name}

        with pytest.raises(Unauthorised, match=r"^work_api: account problem: status 403$"):
            read_record(secret, ANA.cpf)

    def test_may_have_the_cpf_as_a_number_that_lost_its_zeros(self) -> None:
        cpf = Cpf.parse("00123456797")
        assert cpf is not None

        assert isinstance(
            read_record(record_json(ANA, DadosBasicos={"cpf": 123456797}), cpf), Profile
        )


class TestMoney:
    @pytest.mark.parametrize(
        ("written", "amount"),
        [
            ("6089,28", "6089.28"),
            ("1.234,56", "1234.56"),
            ("1.234.567,8", "1234567.80"),
            ("5000.00", "5000.00"),
            ("1.630", "1630.00"),
            ("R$ 1.630", "1630.00"),
            ("1,234.56", "1234.56"),
            (" 4180 ", "4180.00"),
            (5000, "5000.00"),
            (6089.28, "6089.28"),
        ],
    )
    def test_is_read_as_brazilians_and_machines_write_it(
        self, written: object, amount: str
    ) -> None:
        # Of two earlier parsers one made 1.23 of 1.234,56, and the other 500000 of 5000.00.
        assert read_money(written) == Decimal(amount)

    @pytest.mark.parametrize(
        "written",
        [
            None,
            "",
            0,
            "0",
            "0,00",
            -5,
            "-5",
            "abc",
            "1.2345",
            "1,2,3",
            True,
            [],
            float("nan"),
            float("inf"),
            "9" * 40,
            10**40,
        ],
    )
    def test_that_is_none_or_nothing_is_none(self, written: object) -> None:
        assert read_money(written) is None

    @pytest.mark.parametrize(
        ("sentence", "amounts"),
        [
            ("De R$ 1.630 até R$ 2.250", ("1630.00", "2250.00")),
            ("De R$ 4180 a R$ 10450.", ("4180.00", "10450.00")),
            ("ACIMA DE R$ 10.450", ()),
            ("De R$ 2.250 até R$ 1.630", ()),
            ("SEM INFORMAÇÃO", ()),
            (None, ()),
            (5, ()),
        ],
    )
    def test_in_the_range_sentence_counts_with_its_thousands(
        self, sentence: object, amounts: tuple[str, ...]
    ) -> None:
        # Read up to the first point, R$ 1.630 was one real.
        economic = {"poderAquisitivo": {"faixaPoderAquisitivo": sentence}}

        assert profile(DadosEconomicos=economic).income_range == tuple(map(Decimal, amounts))


class TestDates:
    @pytest.mark.parametrize(
        "written",
        ["05/03/1990", "5/3/1990", "1990-03-05", "1990-03-05 00:00:00", "1990-03-05T00:00:00"],
    )
    def test_are_read_in_both_forms(self, written: str) -> None:
        assert read_date(written) == date(1990, 3, 5)

    @pytest.mark.parametrize(
        "written",
        [
            "31/02/1990",
            "00/00/0000",
            "31/12/9999",
            "05/03/90",
            "",
            None,
            5,
            "SEM INFORMAÇÃO",
            "05-03-1990",
        ],
    )
    def test_that_do_not_exist_are_none(self, written: object) -> None:
        assert read_date(written) is None


class TestFieldsOfTheWrongType:
    def test_are_left_out_and_take_nothing_else_with_them(self) -> None:
        odd = profile(
            DadosBasicos={
                "dataNascimento": 1990,
                "sexo": ["F"],
                "nomeMae": {"nome": "x"},
                "escolaridade": 12,
                "obito": None,
                "situacaoCadastral": [],
            },
            DadosEconomicos=[],
            profissao=None,
            empresas="x",
            enderecos={"cep": 1310100, "logradouro": None},
            telefones={"telefone": 11987650001},
            emails=[None, 5, "x", [], {"email": None}, {"email": "não tem"}],
        )

        assert (odd.birth_date, odd.sex, odd.mother, odd.education) == (None, None, None, "12")
        assert (odd.income, odd.income_range, odd.credit_score, odd.occupation) == (
            None,
            (),
            None,
            None,
        )
        assert odd.addresses == (AddressEntry(postcode="01310100"),)
        assert odd.phones == (PhoneEntry("11987650001"),)
        assert (odd.emails, odd.companies) == ((), ())

    def test_that_say_sem_informacao_are_empty(self) -> None:
        assert (
            basic(nomeMae="SEM INFORMAÇÃO", estadoCivil="Sem Informacao", escolaridade="").mother
            is None
        )

    @pytest.mark.parametrize(
        ("written", "sex"),
        [
            ("M - MASCULINO", "M"),
            ("F - FEMININO", "F"),
            ("Feminino", "F"),
            ("I - IGNORADO", None),
            (None, None),
        ],
    )
    def test_of_sex_are_read_by_their_first_word(self, written: object, sex: str | None) -> None:
        assert basic(sexo=written).sex == sex


class TestDeathAndStanding:
    @pytest.mark.parametrize(
        "obito",
        [
            {"obito": "SIM"},
            {"obito": "Sim", "dataObito": "01/01/2020"},
            "SIM",
            True,
            {"dataObito": "01/01/2020"},
        ],
    )
    def test_a_death_in_the_record_is_known(self, obito: object) -> None:
        assert basic(obito=obito).deceased

    @pytest.mark.parametrize(
        "obito",
        [
            {"obito": "NÃO", "dataObito": ""},
            {},
            None,
            [],
            "x",
            {"obito": "NÃO", "dataObito": "01/01/2020"},
        ],
    )
    def test_nobody_is_declared_dead_for_less(self, obito: object) -> None:
        assert not basic(obito=obito).deceased

    def test_an_irregular_standing_is_kept_in_the_records_words(self) -> None:
        assert (
            basic(situacaoCadastral={"descricaoSituacaoCadastral": "SUSPENSA"}).irregular
            == "SUSPENSA"
        )
        assert (
            basic(situacaoCadastral="PENDENTE DE REGULARIZAÇÃO").irregular
            == "PENDENTE DE REGULARIZAÇÃO"
        )

    def test_a_holder_who_died_is_deceased_too(self) -> None:
        assert basic(situacaoCadastral={"descricao": "TITULAR FALECIDO"}).deceased

    @pytest.mark.parametrize(
        "standing",
        [
            {"codigoSituacaoCadastral": "2"},
            {"descricao": "REGULAR"},
            {},
            None,
            "ATIVA",
            {"data": "01/02/2024"},
        ],
    )
    def test_nobody_is_called_irregular_for_a_code_without_words(self, standing: object) -> None:
        assert basic(situacaoCadastral=standing).irregular is None


class TestPhonesOfTheRecord:
    def test_come_with_whatsapp_first_then_in_use_then_mobile(self) -> None:
        rows = [
            {"telefone": "1133650001", "status": "NO"},
            {"telefone": "1133650002", "status": "ATIVO"},
            {"telefone": "11987650003", "status": "NO", "whatsapp": None},
            {"telefone": "11987650004", "status": "ATIVO", "whatsapp": "NAO"},
            {"telefone": "11987650005", "status": "NO", "whatsapp": "SIM"},
        ]

        numbers = [entry.number for entry in profile(telefones=rows).phones]

        assert numbers == ["11987650005", "11987650004", "1133650002", "11987650003", "1133650001"]

    def test_are_listed_once_and_only_if_they_can_be_dialled(self) -> None:
        rows = [
            {"telefone": "11987650001"},
            {"telefone": "5511987650001", "whatsapp": "SIM"},
            {"telefone": "987650001"},
            {"telefone": "00000000000"},
        ]

        assert profile(telefones=rows).phones == (PhoneEntry("11987650001", whatsapp=True),)

    def test_may_be_five_hundred(self) -> None:
        rows = [{"telefone": f"1198765{n:04}"} for n in range(500)] + [
            {"telefone": "11987659999", "whatsapp": "SIM"}
        ]

        phones = profile(telefones=rows).phones

        assert len(phones) == 30
        assert phones[0].number == "11987659999"


class TestEmailsOfTheRecord:
    def test_come_by_priority_then_quality_and_blacklisted_last(self) -> None:
        rows = [
            {"email": "a@example.com", "prioridade": "MUITO BAIXA"},
            {"email": "b@example.com", "prioridade": "ALTA", "qualidade": "BOM"},
            {"email": "c@example.com", "prioridade": "ALTA", "qualidade": "ÓTIMO"},
            {"email": "d@example.com", "prioridade": "MUITO ALTA", "blacklist": "SIM"},
            {"email": "e@example.com"},
        ]

        assert [entry.address[0] for entry in profile(emails=rows).emails] == list("cbaed")


class TestAddressesOfTheRecord:
    def test_have_their_house_number_under_either_name(self) -> None:
        # Read under one name only, all house numbers were stored as null.
        rows = [
            {"logradouro": "A", "logradouroNumero": "12", "uf": "sp"},
            {"logradouro": "B", "numero": 7, "uf": "SÃO PAULO"},
        ]

        assert [(entry.number, entry.state) for entry in profile(enderecos=rows).addresses] == [
            ("12", "SP"),
            ("7", None),
        ]

    def test_get_back_the_zero_that_a_postcode_lost_as_a_number(self) -> None:
        assert (
            profile(enderecos=[{"logradouro": "A", "cep": 1310100}]).addresses[0].postcode
            == "01310100"
        )

    def test_are_listed_once(self) -> None:
        row = {"logradouro": "DAS ACÁCIAS", "logradouroNumero": "1", "cep": "01310-100"}

        assert (
            len(profile(enderecos=[row, row, row | {"logradouro": "das acacias"}]).addresses) == 1
        )


class TestCompaniesOfTheRecord:
    def test_are_one_for_each_cnpj_with_all_relations(self) -> None:
        rows = [
            {
                "cnpj": "11222333000181",
                "relacao": "SÓCIO",
                "demissao": "01/01/2015",
                "admissao": "01/01/2012",
            },
            {
                "cnpj": 11222333000181,
                "relacao": "",
                "tipoRelacao": "ADMINISTRADOR",
                "demissao": "31/12/9999",
                "admissao": "01/01/2010",
            },
            {"cnpj": "11.222.333/0001-81", "relacao": "SÓCIO"},
        ]

        assert profile(empresas=rows).companies == (
            CompanyEntry(
                "11222333000181", None, "SÓCIO, ADMINISTRADOR", date(2010, 1, 1), active=True
            ),
        )

    def test_are_left_where_a_leaving_date_is_given_and_come_last(self) -> None:
        rows = [
            {"cnpj": "11222333000181", "demissao": "01/01/2015"},
            {"cnpj": "11444777000161", "demissao": "31/12/9999"},
            {"cnpj": "123"},
        ]

        assert [(entry.cnpj, entry.active) for entry in profile(empresas=rows).companies] == [
            ("11444777000161", True),
            ("11222333000181", False),
        ]
