"""Who the lead is: decided from CPFs; names only choose among several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2s_enrich.enrichment.match import (
    DifferentPeople,
    Match,
    Nobody,
    OneSource,
    SamePerson,
    found_people,
    match,
)
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.upstreams.work_record import candidates_from_diretrix
from cast import ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA, a_cpf, with_check_digits

ana, bruno, homonym, carla = (person.candidate for person in (ANA, BRUNO, BRUNO_THE_HOMONYM, CARLA))


class TestTheSamePerson:
    def test_is_one_cpf_behind_phone_and_email(self) -> None:
        assert match("Ana Lima", [ana], [ana]) == SamePerson(ana)

    def test_is_one_cpf_even_where_the_lead_has_another_name(self) -> None:
        assert match("Carla Rocha", [ana], [ana]) == SamePerson(ana)

    def test_is_seen_where_one_source_punctuates_the_cpf_and_the_other_lost_its_zero(self) -> None:
        # Compared as texts these are two people.
        cpf = Cpf.parse(with_check_digits("012345678"))
        assert cpf is not None
        by_phone = candidates_from_diretrix([{"nome": "ANA", "cpf": cpf.formatted}])
        by_email = candidates_from_diretrix([{"nome": "ANA", "cpf": int(cpf.digits)}])
        assert isinstance(by_phone, tuple)
        assert isinstance(by_email, tuple)

        assert match(None, by_phone, by_email) == SamePerson(Candidate(cpf, "ANA"))

    def test_is_the_one_in_both_answers_however_many_others_there_are(self) -> None:
        assert match("Bruno Pereira", [bruno, carla, ana], [homonym, ana]) == SamePerson(ana)

    def test_is_the_one_with_the_leads_name_where_several_are_in_both(self) -> None:
        assert match("Ana Lima", [bruno, ana], [bruno, ana]) == SamePerson(ana)

    def test_is_the_one_named_first_where_the_lead_says_nothing(self) -> None:
        assert match("teste", [carla, ana], [carla, ana]) == SamePerson(carla)

    def test_takes_its_name_from_the_source_that_has_one(self) -> None:
        assert (
            match(None, [Candidate(ANA.cpf, "")], [ana])
            == match(None, [ana], [Candidate(ANA.cpf, "")])
            == SamePerson(ana)
        )


class TestDifferentPeople:
    def test_are_two_cpfs(self) -> None:
        assert match("Ana Lima", [ana], [carla]) == DifferentPeople(by_phone=ana, by_email=carla)

    def test_are_two_homonyms_although_their_names_are_equal(self) -> None:
        assert match(BRUNO.name, [bruno], [homonym]) == DifferentPeople(
            by_phone=bruno, by_email=homonym
        )

    def test_are_on_each_side_the_one_with_the_leads_name(self) -> None:
        assert match("Ana Lima", [bruno, ana], [carla, homonym]) == DifferentPeople(
            by_phone=ana, by_email=carla
        )


class TestOneSource:
    def test_is_neither_the_same_person_nor_different_people(self) -> None:
        # One program announced this case as the same person; its successor as different people.
        assert match("Ana Lima", [ana], []) == OneSource(ana, "phone")
        assert match("Ana Lima", [], [ana]) == OneSource(ana, "email")

    def test_with_two_people_gives_the_one_with_the_leads_name(self) -> None:
        # Numbers change hands: the first of the list may be a former owner.
        assert match("Ana Lima", [bruno, ana], []) == OneSource(ana, "phone")

    def test_with_two_people_gives_the_first_where_the_name_fits_both_or_neither(self) -> None:
        assert match("Bruno", [bruno, homonym], []) == OneSource(bruno, "phone")
        assert match("Davi Barbosa", [homonym, bruno], []) == OneSource(homonym, "phone")

    def test_prefers_a_whole_name_to_a_first_name(self) -> None:
        other_ana = Candidate(a_cpf(50), "ANA")

        assert match("Ana Lima", [other_ana, ana], []) == OneSource(ana, "phone")

    def test_prefers_a_person_without_a_name_to_one_with_another_name(self) -> None:
        nameless = Candidate(a_cpf(51), "")

        assert match("Ana Lima", [bruno, nameless], []) == OneSource(nameless, "phone")


class TestNobody:
    def test_is_what_carla_is_where_no_source_knows_her(self) -> None:
        assert match(CARLA.name, [], []) == Nobody()


class TestThePeopleFound:
    @pytest.mark.parametrize(
        ("found", "people"),
        [
            (SamePerson(ana), ((ANA.cpf, "both"),)),
            (DifferentPeople(ana, carla), ((ANA.cpf, "phone"), (CARLA.cpf, "email"))),
            (OneSource(ana, "email"), ((ANA.cpf, "email"),)),
        ],
    )
    def test_come_with_what_led_to_them(
        self, found: SamePerson | DifferentPeople | OneSource, people: object
    ) -> None:
        assert found_people(found) == people


candidates = st.lists(
    st.sampled_from([ana, bruno, homonym, carla, Candidate(ANA.cpf, "")]), max_size=4
)
lead_names = st.sampled_from([None, "", "Ana", "Ana Lima", "Bruno Alves Pereira", "Carla", "teste"])


def mirrored(found: Match) -> Match:
    match found:
        case DifferentPeople(by_phone, by_email):
            return DifferentPeople(by_email, by_phone)
        case OneSource(candidate, found_by):
            return OneSource(candidate, "email" if found_by == "phone" else "phone")
        case _:
            return found


class TestMatching:
    @given(lead_names, candidates, candidates)
    def test_is_the_same_with_phone_and_email_swapped(
        self, name: str | None, one: list[Candidate], other: list[Candidate]
    ) -> None:
        assert mirrored(match(name, one, other)) == match(name, other, one)

    @given(lead_names, candidates, candidates)
    def test_says_same_person_exactly_where_a_cpf_is_in_both(
        self, name: str | None, one: list[Candidate], other: list[Candidate]
    ) -> None:
        shared = {candidate.cpf for candidate in one} & {candidate.cpf for candidate in other}

        found = match(name, one, other)

        assert isinstance(found, SamePerson) == bool(shared)
        assert not isinstance(found, SamePerson) or found.candidate.cpf in shared

    @given(lead_names, candidates, candidates)
    def test_never_invents_a_person(
        self, name: str | None, one: list[Candidate], other: list[Candidate]
    ) -> None:
        known = {candidate.cpf for candidate in (*one, *other)}

        assert {
            candidate.cpf for candidate, _ in getattr(match(name, one, other), "people", ())
        } <= known
