"""What the seller reads. Each case is a file in tests/golden: read those as text, and review their
diffs.

`GOLDEN=write pytest tests/enrichment/test_message.py` writes them again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.cast import ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA, DAVI, KEYS, TODAY, Person, record_json

from c2s_enrich.enrichment.match import ContactAnswer, Match, match
from c2s_enrich.enrichment.message import (
    NOTIFICATION,
    OUTER_LIMIT,
    READABLE_LIMIT,
    REF_ALPHABET,
    SellerMessage,
    Told,
    compose_message,
    with_forgotten,
)
from c2s_enrich.enrichment.person_text import IN_WORDS, format_money
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import Contacts, Email, Phone, read_contacts
from c2s_enrich.people.cpf import Candidate, Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.upstreams.work_record import read_record

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Ways:
    """Whom each phone and each e-mail of a lead leads to, in their order."""

    phones: tuple[tuple[Candidate, ...], ...] = ()
    emails: tuple[tuple[Candidate, ...], ...] = ()


@dataclass(frozen=True)
class Case:
    """One message: whom the contacts lead to, what the records say, and the lead."""

    ways: Ways
    records: Mapping[Cpf, Profile | None]
    lead: LeadFacts
    told: tuple[Told, ...] = ()
    income_multiplier: float = 1
    today: date = TODAY
    limit: int = READABLE_LIMIT

    @property
    def contacts(self) -> Contacts:
        return read_contacts(self.lead)

    @property
    def found(self) -> Match:
        asked: list[tuple[Phone | Email, tuple[Candidate, ...]]] = [
            *zip(self.contacts.national_phones, self.ways.phones, strict=False),
            *zip(self.contacts.emails, self.ways.emails, strict=False),
        ]
        return match(self.lead.name, [ContactAnswer(*pair) for pair in asked if pair[1]])

    def message(self) -> SellerMessage:
        return compose_message(
            self.found,
            self.records,
            self.lead,
            self.contacts,
            KEYS,
            today=self.today,
            income_multiplier=self.income_multiplier,
            told=self.told,
            limit=self.limit,
        )


def told(*contacts: str) -> tuple[Told, ...]:
    """One earlier message, about other content."""
    return (Told("0" * 64, "7F3K29QD", frozenset(contacts)),)


def record(person: Person, **sections: Any) -> dict[Cpf, Profile | None]:
    profile = read_record(record_json(person, **sections), person.cpf)
    assert isinstance(profile, Profile)
    return {person.cpf: profile}


def lead(person: Person = ANA, **facts: Any) -> LeadFacts:
    return replace(
        LeadFacts(
            "0123456789abcdef", name=person.name.title(), phone=person.phone, email=person.email
        ),
        **facts,
    )


ana, bruno, homonym, carla, davi = (
    person.candidate for person in (ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA, DAVI)
)
SAME = Ways(((ana,),), ((ana,),))
BY_PHONE = Ways(((ana,),))
BY_EMAIL = Ways((), ((ana,),))
TWO = Ways(((ana,),), ((bruno,),))
NOTHING_ELSE: dict[str, Any] = {
    "DadosEconomicos": {},
    "profissao": None,
    "empresas": [],
    "enderecos": [],
    "telefones": [],
    "emails": [],
}
ADDRESS = {
    "tipoLogradouro": "AVENIDA",
    "logradouro": "BRASIL",
    "logradouroNumero": "7",
    "bairro": "CENTRO",
    "cidade": "SANTOS",
    "uf": "SP",
    "cep": "11010000",
}
LONG = {f"logradouro{n}": "x" for n in range(3)} | {
    "logradouro": "TRAVESSA " + "COMPRIDA " * 12,
    "bairro": "B" * 60,
    "cidade": "C" * 60,
}

CASES: dict[str, Callable[[], Case]] = {
    "same_person": lambda: Case(SAME, record(ANA), lead()),
    "same_person_without_record": lambda: Case(SAME, {ANA.cpf: None}, lead()),
    "same_person_with_name_and_cpf_only": lambda: Case(
        SAME,
        record(
            ANA,
            **NOTHING_ELSE,
            DadosBasicos={
                "dataNascimento": None,
                "sexo": None,
                "nomeMae": "SEM INFORMAÇÃO",
                "escolaridade": "",
                "estadoCivil": None,
            },
        ),
        lead(),
    ),
    "same_person_under_another_name": lambda: Case(SAME, record(ANA), lead(name="Carlos Mendes")),
    "same_person_under_a_nickname": lambda: Case(SAME, record(ANA), lead(name="Aninha")),
    "same_person_lead_says_teste": lambda: Case(SAME, record(ANA), lead(name="teste")),
    "same_person_lead_is_a_company": lambda: Case(
        SAME, record(ANA), lead(name="Souza Imóveis Ltda")
    ),
    "same_person_deceased": lambda: Case(
        SAME,
        record(ANA, DadosBasicos={"obito": {"obito": "SIM", "dataObito": "01/02/2020"}}),
        lead(),
    ),
    "same_person_irregular": lambda: Case(
        SAME,
        record(ANA, DadosBasicos={"situacaoCadastral": {"descricaoSituacaoCadastral": "SUSPENSA"}}),
        lead(),
    ),
    "same_person_income_adjusted": lambda: Case(SAME, record(ANA), lead(), income_multiplier=1.9),
    "same_person_income_with_thousands": lambda: Case(
        SAME, record(ANA, DadosEconomicos={"renda": "1.234.567,80"}), lead()
    ),
    "same_person_no_income": lambda: Case(
        SAME, record(ANA, DadosEconomicos={"renda": "0", "score": {"scoreCSBA": "0"}}), lead()
    ),
    "same_person_impossible_birthday": lambda: Case(
        SAME, record(ANA, DadosBasicos={"dataNascimento": "31/02/1990"}), lead()
    ),
    "same_person_birthday_today": lambda: Case(
        SAME, record(ANA, DadosBasicos={"dataNascimento": "10/03/1990"}), lead()
    ),
    "same_person_placeholder_birthday": lambda: Case(
        SAME, record(ANA, DadosBasicos={"dataNascimento": "01/01/1900"}), lead()
    ),
    "same_person_many_of_everything": lambda: Case(
        SAME,
        record(
            ANA,
            telefones=[
                {
                    "telefone": f"1198765{n:04}",
                    "whatsapp": "SIM" if n == 7 else None,
                    "status": "ATIVO",
                }
                for n in range(9)
            ],
            emails=[
                {"email": f"ana{n}@example.com", "prioridade": "ALTA" if n == 5 else "BAIXA"}
                for n in range(9)
            ],
            enderecos=[ADDRESS | {"logradouroNumero": str(n)} for n in range(1, 9)],
            empresas=[
                {
                    "cnpj": f"1122233300018{n}",
                    "relacao": "SÓCIO",
                    "demissao": "31/12/9999" if n == 4 else "01/01/2015",
                }
                for n in range(9)
            ],
        ),
        lead(),
    ),
    "same_person_only_a_blacklisted_email": lambda: Case(
        SAME, record(ANA, emails=[{"email": "nao.quero@example.com", "blacklist": "SIM"}]), lead()
    ),
    "same_person_address_by_postcode_only": lambda: Case(
        SAME, record(ANA, enderecos=[{"cep": 1310100, "uf": "SP", "complemento": "APTO 1"}]), lead()
    ),
    "same_person_hostile_texts": lambda: Case(
        SAME,
        record(
            ANA,
            **NOTHING_ELSE | {"profissao": {"cboDescricao": "<img src=x onerror=alert(1)>"}},
            DadosBasicos={
                "nome": "ANA\n\n💰 DADOS FINANCEIROS\nRenda: R$ 9.999.999,00 <script>",
                "nomeMae": "MÃE\u202eATREVNI & FILHOS\x00",
            },
        ),
        lead(name="Pedro\r\n⚠️ ATENÇÃO\nref 00000000"),
    ),
    "same_person_too_long_loses_companies": lambda: Case(
        SAME, record(ANA, enderecos=[ADDRESS | LONG]), lead(), limit=950
    ),
    "same_person_much_too_long_keeps_who_it_is": lambda: Case(
        SAME, record(ANA), lead(name="Carlos Mendes"), limit=150
    ),
    "phone_only": lambda: Case(BY_PHONE, record(ANA), lead(email=None)),
    "phone_only_although_there_is_an_email": lambda: Case(BY_PHONE, record(ANA), lead()),
    "phone_only_one_of_two_phones": lambda: Case(
        BY_PHONE, record(ANA), lead(phone=f"{ANA.phone} / 1133650099", email=None)
    ),
    "phone_only_without_record": lambda: Case(BY_PHONE, {ANA.cpf: None}, lead(email=None)),
    "email_only": lambda: Case(BY_EMAIL, record(ANA), lead(phone=None)),
    "different_people": lambda: Case(TWO, record(ANA) | record(BRUNO), lead(email=BRUNO.email)),
    "different_people_second_without_record": lambda: Case(
        TWO, record(ANA) | {BRUNO.cpf: None}, lead(email=BRUNO.email)
    ),
    "different_people_first_without_record": lambda: Case(
        TWO, {ANA.cpf: None} | record(BRUNO), lead(email=BRUNO.email)
    ),
    "different_people_homonyms": lambda: Case(
        Ways(((bruno,),), ((homonym,),)),
        record(BRUNO) | record(BRUNO_THE_HOMONYM),
        lead(BRUNO, email=BRUNO_THE_HOMONYM.email),
    ),
    "different_people_ddd_55": lambda: Case(
        Ways(((carla,),), ((ana,),)), record(CARLA) | record(ANA), lead(CARLA, email=ANA.email)
    ),
    "same_person_and_the_phone_is_anothers_too": lambda: Case(
        Ways(((bruno, ana),), ((ana,),)), record(ANA), lead()
    ),
    "same_person_phones_out_of_use": lambda: Case(
        SAME,
        record(
            ANA,
            telefones=[
                {"telefone": f"1198765{n:04}", "status": "INATIVO" if n > 1 else "ATIVO"}
                for n in range(7)
            ],
        ),
        lead(),
    ),
    "same_person_with_a_very_long_name": lambda: Case(
        SAME,
        record(
            ANA,
            DadosBasicos={
                "nome": "MARIA APARECIDA DAS GRACAS FIGUEIREDO DE ALBUQUERQUE E VASCONCELOS NETA"
            },
        ),
        lead(name="Maria Figueiredo"),
    ),
    "same_person_without_income": lambda: Case(
        SAME,
        record(
            ANA,
            DadosEconomicos={
                "renda": None,
                "poderAquisitivo": {"poderAquisitivoDescricao": "ALTO"},
            },
            profissao="MEDICA",
        ),
        lead(),
    ),
    "who_fits_by_phone_although_the_email_is_anothers": lambda: Case(
        Ways(((ana, bruno),), ((ana,),)), record(ANA) | record(BRUNO), lead(name="Bruno Pereira")
    ),
    "two_phones_the_second_is_the_leads": lambda: Case(
        Ways(((ana,), (bruno,))),
        record(BRUNO),
        lead(name="Bruno Pereira", phone=f"{ANA.phone} / {BRUNO.phone}", email=None),
    ),
    "two_phones_of_two_people_and_the_email_is_the_leads": lambda: Case(
        Ways(((ana,), (bruno,)), ((bruno,),)),
        record(BRUNO),
        lead(name="Bruno Pereira", phone=f"{ANA.phone} / {BRUNO.phone}"),
    ),
    "two_emails_the_second_is_the_leads": lambda: Case(
        Ways((), ((ana,), (bruno,))),
        record(BRUNO),
        lead(name="Bruno Pereira", phone=None, email=f"{ANA.email}; {BRUNO.email}"),
    ),
    "phone_of_four_people": lambda: Case(
        Ways(((ana, bruno, carla, davi),)), record(ANA), lead(name=None, email=None)
    ),
    "phone_of_a_couple": lambda: Case(
        Ways(((bruno, ana),)), record(ANA), lead(name="Ana e Marcos", email=None)
    ),
    "different_people_both_with_another_name": lambda: Case(
        TWO, record(ANA) | record(BRUNO), lead(name="Carla Rocha", email=BRUNO.email)
    ),
    "different_people_first_deceased": lambda: Case(
        TWO, record(ANA, DadosBasicos={"obito": "SIM"}) | record(BRUNO), lead(email=BRUNO.email)
    ),
    "update_back_to_the_first_phone": lambda: returned(SAME, record(ANA), lead()),
    "update_back_to_two_people": lambda: returned(
        TWO, record(ANA) | record(BRUNO), lead(email=BRUNO.email)
    ),
    "update_name_fits_no_longer": lambda: Case(
        SAME, record(ANA), lead(name="Carlos Mendes"), told=told("+55" + ANA.phone, ANA.email)
    ),
    "update_new_phone": lambda: Case(
        SAME, record(ANA), lead(), told=told("+5511987650009", ANA.email)
    ),
    "update_new_email_and_now_two_people": lambda: Case(
        TWO, record(ANA) | record(BRUNO), lead(email=BRUNO.email), told=told("+55" + ANA.phone)
    ),
    "update_phone_taken_away": lambda: Case(
        BY_EMAIL, record(ANA), lead(phone=None), told=told("+55" + ANA.phone, ANA.email)
    ),
    "update_same_contact_new_record": lambda: Case(
        SAME, record(ANA), lead(), told=told("+55" + ANA.phone, ANA.email)
    ),
}


RETURNS = {"update_back_to_the_first_phone", "update_back_to_two_people"}


def returned(ways: Ways, records: Mapping[Cpf, Profile | None], lead: LeadFacts) -> Case:
    """The seller was told this, then of another phone; now this holds again."""
    case = Case(ways, records, lead)
    first = case.message()
    between = replace(case, lead=replace(lead, phone="11987650009"))
    return replace(
        case,
        told=(
            Told(first.content_key, first.ref, frozenset(case.contacts.keys)),
            Told(between.message().content_key, "7F3K29QD", frozenset(between.contacts.keys)),
        ),
    )


class TestTheGoldenMessages:
    @pytest.mark.parametrize("name", CASES)
    def test_read_as_they_were_reviewed(self, name: str) -> None:
        body = CASES[name]().message().body + "\n"
        file = GOLDEN / f"{name}.txt"
        if os.environ.get("GOLDEN") == "write":
            file.write_text(body, encoding="utf-8")

        assert body == file.read_text(encoding="utf-8")

    def test_are_all_there_and_no_others(self) -> None:
        assert {file.stem for file in GOLDEN.glob("*.txt")} == set(CASES)
        assert len(CASES) >= 25


class TestEveryMessage:
    @pytest.fixture(params=CASES)
    def case(self, request: pytest.FixtureRequest) -> Case:
        return CASES[request.param]()

    def test_ends_with_its_ref(self, case: Case) -> None:
        message = case.message()

        assert re.fullmatch(f"[{REF_ALPHABET}]{{8}}", message.ref)
        assert message.body.splitlines()[-1] == f"ref {message.ref}"

    def test_says_nothing_where_nothing_is_known(self, case: Case) -> None:
        body = case.message().body

        assert not re.search(r"None|null|nan|SEM INFORMA", body)
        assert not re.search(r"[:\-,/(] *$", body, re.MULTILINE)
        assert "\n\n\n" not in body

    def test_has_no_section_without_lines(self, case: Case) -> None:
        for paragraph in case.message().body.split("\n\n"):
            if paragraph.startswith(tuple(IN_WORDS)):
                assert len(paragraph.splitlines()) > 1

    def test_is_headed_by_what_the_contacts_say(self, case: Case) -> None:
        heading = case.message().body.splitlines()[0]
        people, kinds = case.found.people, {owner.candidate.cpf for owner in case.found.owners}

        if case.told[1:]:
            assert heading.startswith("🔄 Voltou a valer: ")
        elif len(people) == 2:
            assert heading.startswith("⚠️ Pessoas diferentes")
        elif people[0].found_by == "both":
            assert heading.startswith("📞📧 Mesma pessoa")
        else:
            assert heading.startswith("⚠️" if len(kinds) > 1 else "🔎 Só pelo ")
        assert ("🔄" in heading) == bool(case.told)

    def test_begins_with_what_a_notification_shows(self, case: Case) -> None:
        lines = case.message().body.split("\n\n")[0].splitlines()

        assert len(lines) == (2 if case.told[1:] else 1 + len(case.found.people))
        assert all(len(f"{lines[0]}\n{line}") <= 80 for line in lines[1:])

    def test_begins_with_nothing_that_is_not_below(self, case: Case) -> None:
        top, _, below = case.message().body.partition("\n\n")
        for line in top.splitlines()[1:] if not case.told[1:] else []:
            for fact in re.sub("^[📞📧]+ ", "", line).split(", "):
                assert re.sub("^(renda|poder aquisitivo) ", "", fact).lower() in below.lower()

    def test_keeps_the_data_of_each_person_behind_their_own_cpf(self, case: Case) -> None:
        body = case.message().body
        shown = re.findall(r"^CPF: (.*)$", body, re.MULTILINE)

        assert shown == [
            person.candidate.cpf.formatted
            for person in ([] if case.told[1:] else case.found.people)
        ]

    def test_is_as_long_as_a_seller_reads_at_most(self, case: Case) -> None:
        assert len(case.message().body) <= READABLE_LIMIT


class TestTheContentKey:
    def test_is_the_same_on_the_persons_next_birthday(self) -> None:
        # Otherwise a reprocess after a birthday would tell the seller the same again.
        case = CASES["same_person"]()
        later = replace(case, today=date(2027, 3, 10))

        assert later.message().body != case.message().body
        assert (later.message().content_key, later.message().ref) == (
            case.message().content_key,
            case.message().ref,
        )

    def test_is_the_same_for_a_retry_that_by_then_sees_other_history(self) -> None:
        case = CASES["update_new_phone"]()

        assert replace(case, told=()).message().content_key == case.message().content_key

    def test_is_another_for_a_new_contact_of_the_same_person(self) -> None:
        # The seller is told of the new phone although the record is the same.
        case = CASES["same_person"]()

        assert (
            replace(case, lead=lead(phone="11987650009")).message().content_key
            != case.message().content_key
        )

    def test_is_the_same_for_the_same_contact_in_another_format(self) -> None:
        case = CASES["same_person"]()

        assert (
            replace(case, lead=lead(phone="+55 (11) 98765-0001")).message().content_key
            == case.message().content_key
        )

    def test_is_another_once_the_record_says_more(self) -> None:
        bare, full = CASES["same_person_without_record"](), CASES["same_person"]()

        assert bare.message().content_key != full.message().content_key

    def test_is_the_same_for_two_leads_but_their_refs_are_not(self) -> None:
        case = CASES["same_person"]()
        other = replace(case, lead=lead(lead_id="another"))

        assert other.message().content_key == case.message().content_key
        assert other.message().ref != case.message().ref

    def test_is_sixty_four_hex_digits(self) -> None:
        assert re.fullmatch("[0-9a-f]{64}", CASES["same_person"]().message().content_key)


class TestTheLimit:
    def test_drops_whole_sections_the_least_useful_first(self) -> None:
        case = CASES["same_person"]()
        whole = case.message().body
        dropped: dict[str, int] = {}
        # No section is shorter than a step.
        for limit in range(len(whole), 100, -7):
            body = replace(case, limit=limit).message().body
            for title in ("EMPRESAS", "ENDEREÇOS", "EMAILS", "FINANCEIROS", "TELEFONES", "Sexo"):
                if title not in body:
                    dropped.setdefault(title, limit)

        assert list(dropped) == [
            *("EMPRESAS", "ENDEREÇOS", "EMAILS", "FINANCEIROS", "TELEFONES", "Sexo")
        ]
        # Each goes alone: what is left would have fitted no longer.
        assert len(set(dropped.values())) == len(dropped)

    def test_is_used_to_the_last_character(self) -> None:
        case = CASES["same_person"]()
        whole = case.message().body

        assert replace(case, limit=len(whole)).message().body == whole
        below = replace(case, limit=len(whole) - 1).message().body
        assert len(below) < len(whole)
        assert "Não coube: empresas" in below

    @pytest.mark.parametrize("limit", [200, 400, 600, 800, 1_200])
    def test_never_cuts_a_line(self, limit: int) -> None:
        case = CASES["different_people"]()
        whole = case.message().body.splitlines()
        _, _, below_the_top = replace(case, limit=limit).message().body.partition("\n\n")

        added = [line for line in below_the_top.splitlines() if line not in whole]
        assert all(line.startswith("Não coube: ") for line in added)

    def test_says_what_did_not_fit(self) -> None:
        body = CASES["same_person_too_long_loses_companies"]().message().body

        assert "Não coube: empresas" in body

    def test_keeps_name_cpf_and_ref_whatever_it_is(self) -> None:
        body = replace(CASES["same_person"](), limit=1).message().body

        assert ANA.name in body
        assert ANA.cpf.formatted in body
        assert body.splitlines()[-1].startswith("ref ")

    def test_is_never_above_what_c2s_takes(self) -> None:
        assert len(replace(CASES["different_people"](), limit=10**6).message().body) <= OUTER_LIMIT


class TestContentThatHoldsAgain:
    """A lead's contact went back to what the seller was told before another message."""

    FIRST = CASES["same_person"]().message()
    OTHER = Told("0" * 64, "7F3K29QD", frozenset({"+5511987650009"}))

    def told(self, *later: Told) -> str:
        first = Told(self.FIRST.content_key, "2H4J6K8M", frozenset())
        return replace(CASES["same_person"](), told=(first, *later)).message().body

    def test_is_pointed_to(self) -> None:
        *_, pointed, _, ref = self.told(self.OTHER).splitlines()

        assert pointed == "Os dados estão na mensagem anterior deste lead, ref 2H4J6K8M."
        assert ref != f"ref {self.FIRST.ref}"

    def test_that_was_told_last_is_the_same_message_again(self) -> None:
        assert "Voltou a valer" not in self.told()

    def test_names_no_contact_where_those_of_the_last_message_are_not_known(self) -> None:
        unknown = replace(self.OTHER, contacts=frozenset())

        assert self.told(unknown).startswith("🔄 Voltou a valer: o que já foi dito\n")
        assert self.told(self.OTHER).startswith("🔄 Voltou a valer: telefone ")

    @pytest.mark.parametrize(("spare", "cut"), [(0, False), (-1, True)])
    def test_shows_as_much_of_a_name_as_a_notification_does(self, spare: int, cut: bool) -> None:
        heading = "🔄 Voltou a valer: o que já foi dito"
        length = NOTIFICATION - len(heading) - 3 - spare
        name = "ANA " + "B" * (length - 8) + " LIM"
        case = Case(Ways(((Candidate(ANA.cpf, name),),)), {}, lead(name=name, email=None))
        first = case.message()
        seen = (
            Told(first.content_key, "2H4J6K8M", frozenset()),
            replace(self.OTHER, contacts=frozenset()),
        )

        shown = replace(case, told=seen).message().body.splitlines()[1]
        assert (shown != name) == cut

    def test_stands_where_it_was_found_on_the_lead(self) -> None:
        first, second = (Told(ref * 8, ref * 8, frozenset()) for ref in "AB")

        assert [one.ref for one in with_forgotten([first, second], [first.ref, "X", "Y"])] == [
            *(first.ref, "X", "Y", second.ref)
        ]


class TestARecordOfAnotherCpf:
    def test_is_shown_under_neither(self) -> None:
        swapped = {ANA.cpf: record(BRUNO)[BRUNO.cpf], BRUNO.cpf: record(ANA)[ANA.cpf]}

        body = Case(TWO, swapped, lead(email=BRUNO.email)).message().body

        assert body.count("Não há cadastro disponível para este CPF") == 2
        assert "DADOS FINANCEIROS" not in body


class TestANamelessLead:
    def test_is_asked_about_nothing_that_it_did_not_say(self) -> None:
        nameless = Case(SAME, record(ANA), lead(name=None)).message().body

        assert nameless == Case(SAME, record(ANA), lead(name=ANA.name)).message().body


class TestANamelessCandidate:
    def test_without_record_is_a_cpf_alone(self) -> None:
        body = Case(Ways(((Candidate(ANA.cpf, ""),),)), {}, lead(email=None)).message().body

        assert "Nome:" not in body
        assert f"CPF: {ANA.cpf.formatted}" in body


class TestMoney:
    @pytest.mark.parametrize(
        ("amount", "shown"),
        [
            ("6089.28", "R$ 6.089,28"),
            ("0.5", "R$ 0,50"),
            ("1234567.8", "R$ 1.234.567,80"),
            ("999.995", "R$ 1.000,00"),
            ("0.125", "R$ 0,13"),
        ],
    )
    def test_is_written_as_brazilians_write_it(self, amount: str, shown: str) -> None:
        assert format_money(Decimal(amount)) == shown

    def test_is_multiplied_without_the_errors_of_binary_fractions(self) -> None:
        case = Case(
            SAME, record(ANA, DadosEconomicos={"renda": "1000,05"}), lead(), income_multiplier=1.1
        )

        assert "Renda (ajustada): R$ 1.100,06" in case.message().body
