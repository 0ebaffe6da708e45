"""Who is shown: CPFs decide who is one person, the lead's name who comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.cast import ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA, a_cpf, with_check_digits

from c2s_enrich.enrichment.match import ContactAnswer, Match, contradicted, match
from c2s_enrich.people.contact import Email, Phone
from c2s_enrich.people.cpf import Candidate, Cpf
from c2s_enrich.upstreams.candidates import candidates_from_diretrix

ana, bruno, homonym, carla = (person.candidate for person in (ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA))

Shown = list[tuple[Candidate, str]]


def found(
    lead_name: str | None,
    by_phone: list[Candidate],
    by_email: list[Candidate],
    by_second_phone: list[Candidate] | None = None,
) -> Match:
    asked: list[tuple[Phone | Email, list[Candidate]]] = [
        (Phone("+5511987650001", "11987650001"), by_phone),
        (Phone("+5511987650009", "11987650009"), by_second_phone or []),
        (Email("ana@example.com"), by_email),
    ]
    return match(lead_name, [ContactAnswer(each, tuple(who)) for each, who in asked if who])


def shown(*args: object) -> Shown:
    return [(person.candidate, person.found_by) for person in found(*args).people]  # type: ignore[arg-type]


class TestTheSamePerson:
    def test_is_one_cpf_behind_phone_and_email(self) -> None:
        assert shown("Ana Lima", [ana], [ana]) == [(ana, "both")]

    def test_is_one_cpf_even_where_the_lead_has_another_name(self) -> None:
        assert shown("Carla Rocha", [ana], [ana]) == [(ana, "both")]

    def test_is_seen_where_one_source_punctuates_the_cpf_and_the_other_lost_its_zero(self) -> None:
        # Compared as texts these are two people.
        cpf = Cpf.parse(with_check_digits("012345678"))
        assert cpf is not None
        by_phone = candidates_from_diretrix([{"nome": "ANA", "cpf": cpf.formatted}])
        by_email = candidates_from_diretrix([{"nome": "ANA", "cpf": int(cpf.digits)}])

        assert shown(None, list(by_phone), list(by_email)) == [(Candidate(cpf, "ANA"), "both")]

    def test_is_the_one_in_both_answers_where_the_name_says_nothing_else(self) -> None:
        assert shown("Davi Barbosa", [bruno, carla, ana], [homonym, ana]) == [(ana, "both")]

    def test_is_the_one_with_the_leads_name_where_several_are_in_both(self) -> None:
        assert shown("Ana Lima", [bruno, ana], [bruno, ana]) == [(ana, "both")]

    def test_is_the_one_named_first_where_the_lead_says_nothing(self) -> None:
        assert shown("teste", [carla, ana], [carla, ana]) == [(carla, "both")]

    def test_takes_its_name_from_the_source_that_has_one(self) -> None:
        nameless = Candidate(ANA.cpf, "")

        assert shown(None, [nameless], [ana]) == shown(None, [ana], [nameless]) == [(ana, "both")]


class TestWhoFitsTheLeadsName:
    def test_is_not_hidden_by_who_is_known_by_phone_and_by_email(self) -> None:
        # The phone leads to Ana and Bruno, the e-mail to Ana, and the lead is Bruno.
        people = shown("Bruno Pereira", [ana, bruno], [ana])

        assert people == [(bruno, "phone"), (ana, "both")]

    def test_comes_first_although_the_phone_is_anothers(self) -> None:
        assert shown("Ana Lima", [bruno], [ana]) == [(ana, "email"), (bruno, "phone")]

    def test_is_shown_where_the_second_phone_is_theirs(self) -> None:
        result = found("Bruno Pereira", [ana], [], [bruno])

        assert [person.candidate for person in result.people] == [bruno]
        assert [(owner.contact, owner.candidate) for owner in result.owners] == [
            (Phone("+5511987650001", "11987650001"), ana),
            (Phone("+5511987650009", "11987650009"), bruno),
        ]

    def test_is_the_same_person_where_their_second_phone_and_the_email_agree(self) -> None:
        assert shown("Bruno Pereira", [ana], [bruno], [bruno]) == [(bruno, "both")]

    def test_is_preferred_on_each_side(self) -> None:
        people = shown("Ana Lima", [bruno, ana], [carla, homonym])

        assert people == [(ana, "phone"), (carla, "email")]

    def test_with_the_whole_name_comes_before_who_has_only_the_first_one(self) -> None:
        assert shown("Ana Lima", [Candidate(a_cpf(50), "ANA"), ana], []) == [(ana, "phone")]

    def test_comes_after_nobody_but_before_who_has_no_name(self) -> None:
        nameless = Candidate(a_cpf(51), "")

        assert shown("Ana Lima", [nameless, ana], []) == [(ana, "phone")]
        assert shown("Ana Lima", [bruno, nameless], []) == [(nameless, "phone")]


class TestDifferentPeople:
    def test_are_two_cpfs(self) -> None:
        assert shown("Ana Lima", [ana], [carla]) == [(ana, "phone"), (carla, "email")]

    def test_are_two_homonyms_although_their_names_are_equal(self) -> None:
        assert shown(BRUNO.name, [bruno], [homonym]) == [(bruno, "phone"), (homonym, "email")]


class TestOneContact:
    def test_is_neither_the_same_person_nor_different_people(self) -> None:
        # One program announced this case as the same person; its successor as different people.
        assert shown("Ana Lima", [ana], []) == [(ana, "phone")]
        assert shown("Ana Lima", [], [ana]) == [(ana, "email")]

    def test_with_two_people_gives_the_first_where_the_name_fits_both_or_neither(self) -> None:
        assert shown("Bruno", [bruno, homonym], []) == [(bruno, "phone")]
        assert shown("Davi Barbosa", [homonym, bruno], []) == [(homonym, "phone")]

    def test_of_four_people_says_how_many_they_are(self) -> None:
        [owner] = found(None, [ana, bruno, homonym, carla], []).owners

        assert (owner.candidate, owner.sharing) == (ana, 4)


class TestNobody:
    def test_is_what_carla_is_where_no_source_knows_her(self) -> None:
        assert found(CARLA.name, [], []) == Match()


class TestAskingOn:
    def test_is_for_leads_whose_name_speaks_against_all_whom_a_contact_leads_to(self) -> None:
        assert contradicted("Bruno Pereira", [ana])
        assert not contradicted("Bruno Pereira", [ana, bruno])
        assert not contradicted("Bruno Pereira", [Candidate(a_cpf(51), "")])
        assert not contradicted("Cliente WhatsApp", [ana])
        assert not contradicted(None, [ana])


candidates = st.lists(
    st.sampled_from([ana, bruno, homonym, carla, Candidate(ANA.cpf, "")]), max_size=4
)
lead_names = st.sampled_from([None, "", "Ana", "Ana Lima", "Bruno Alves Pereira", "Carla", "teste"])


class TestMatching:
    @given(lead_names, candidates, candidates)
    def test_says_both_exactly_where_both_contacts_lead_there(
        self, name: str | None, one: list[Candidate], other: list[Candidate]
    ) -> None:
        ways = {cpf: [cpf in {each.cpf for each in side} for side in (one, other)]
                for cpf in (each.cpf for each in (*one, *other))}  # fmt: skip

        for candidate, found_by in shown(name, one, other):
            expected = {(True, True): "both", (True, False): "phone", (False, True): "email"}
            assert found_by == expected[tuple(ways[candidate.cpf])]  # type: ignore[index]

    @given(lead_names, candidates, candidates, candidates)
    def test_shows_somebody_of_each_kind_of_contact_and_never_invents_a_person(
        self,
        name: str | None,
        one: list[Candidate],
        other: list[Candidate],
        third: list[Candidate],
    ) -> None:
        people = {candidate.cpf for candidate, _ in shown(name, one, other, third)}
        phones, emails = {c.cpf for c in (*one, *third)}, {c.cpf for c in other}

        assert people <= phones | emails
        assert bool(people & phones) == bool(phones)
        assert bool(people & emails) == bool(emails)
        assert len(people) <= 2
