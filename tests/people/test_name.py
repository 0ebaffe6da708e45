"""Names agree word by word, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2s_enrich.people.name import NameAgreement, compare_names, usable_name

SAME, COMPATIBLE, UNSAID, DIFFERENT = (
    NameAgreement.SAME,
    NameAgreement.COMPATIBLE,
    NameAgreement.UNSAID,
    NameAgreement.DIFFERENT,
)


class TestTheSameName:
    @pytest.mark.parametrize(
        ("on_the_lead", "on_the_record"),
        [
            ("Ana Clara de Souza Lima", "ANA CLARA DE SOUZA LIMA"),
            ("joão conceição", "JOAO CONCEICAO"),
            ("Ana Lima", "ANA CLARA DE SOUZA LIMA"),
            ("Clara Souza", "ANA CLARA DE SOUZA LIMA"),
            ("Lima, Ana Clara", "ANA CLARA DE SOUZA LIMA"),
            ("Ana Souza da Lima", "ANA SOUZA LIMA"),
            ("Dra. Ana Lima", "ANA LIMA"),
            ("Luis Sousa", "LUIZ SOUZA"),
            ("Thiago Vitor", "TIAGO VICTOR"),
            ("Ana Lima 🏠", "ANA LIMA"),
            ("analima", "ANA CLARA DE SOUZA LIMA"),
        ],
    )
    def test_is_seen_through_accents_order_particles_and_spelling(
        self, on_the_lead: str, on_the_record: str
    ) -> None:
        assert compare_names(on_the_lead, on_the_record) is SAME


class TestANameThatMayBeTheSame:
    @pytest.mark.parametrize(
        ("on_the_lead", "on_the_record", "why"),
        [
            (
                "Ana",
                "ANA CLARA DE SOUZA LIMA",
                "one word fits everybody of that name: no proof, no contradiction",
            ),
            ("Ana L.", "ANA CLARA DE SOUZA LIMA", "an initial"),
            ("A. Lima", "ANA CLARA DE SOUZA LIMA", "an initial first"),
            ("Zé da Silva", "JOSE DA SILVA", "a nickname"),
            ("Gabi", "GABRIELA COSTA", "a nickname alone"),
            ("Bruno Pereira Filho", "BRUNO PEREIRA", "father and son"),
            ("Gabi S.", "ANA GABRIELA SOUZA", "a nickname of the second name, and an initial"),
            ("Ana Souza Prado", "ANA SOUZA LIMA", "a surname changed"),
            ("Ana Prado Souza", "ANA SOUZA LIMA COSTA", "one came in front of the one that stays"),
        ],
    )
    def test_is_not_called_different(self, on_the_lead: str, on_the_record: str, why: str) -> None:
        assert compare_names(on_the_lead, on_the_record) is COMPATIBLE, why


class TestAnotherName:
    @pytest.mark.parametrize(
        ("on_the_lead", "on_the_record", "why"),
        [
            ("Fernanda Costa", "FERNANDO COSTA", "one letter, two people"),
            ("Mariana Lima", "MARIA LIMA", "not a short form"),
            ("Bruno Pereira", "CARLA PEREIRA", "a family shares its surname"),
            ("Ana Costa", "ANA PEREIRA", "a first name is shared by millions"),
            ("M. Costa", "ANA PEREIRA", "M. is not MARIA"),
            ("Carla", "ANA CLARA DE SOUZA LIMA", "another first name"),
            ("Bruno Beto", "BRUNO COSTA ALBERTO", "a nickname stands for no surname"),
            ("Bruno Costa Beto", "BRUNO COSTA ALBERTO", "nor does it behind one"),
            ("C. Zé", "JOSE ALVES COSTA", "an initial in front is not the last name's"),
        ],
    )
    def test_is_called_different(self, on_the_lead: str, on_the_record: str, why: str) -> None:
        assert compare_names(on_the_lead, on_the_record) is DIFFERENT, why


class TestANameThatSaysNothing:
    @pytest.mark.parametrize(
        "name",
        [None, "", "  ", "teste", "Teste da Silva", "asdf", "Cliente", "Lead Facebook", "🙂", "...",
         "11987650001", "ana@example.com", "xx",
         "Souza Imóveis", "LIMA & LIMA LTDA", "Construtora Alfa S/A", "SEM NOME", "A"],
    )  # fmt: skip
    def test_agrees_and_disagrees_with_nobody(self, name: str | None) -> None:
        assert compare_names(name, "ANA CLARA DE SOUZA LIMA") is UNSAID
        assert compare_names("Ana Lima", name) is UNSAID


class TestWhatIdentifies:
    @pytest.mark.parametrize(
        "written",
        [
            "Ana Lima",
            "ana de lima",
            "Dr(a). Ana Lima",
            "Sr.ª Ana Lima",
            "Dra. Ana Lima",
            "LIMA ANA",
        ],
    )
    def test_is_the_same_for_all_spellings_of_a_name(self, written: str) -> None:
        assert sorted(usable_name(written).split(" ")) == ["ANA", "LIMA"]

    @pytest.mark.parametrize("written", ["Dr(a). Ana", "Sr(o). Ana", "Dra. Ana", "Ana"])
    def test_is_not_the_title(self, written: str) -> None:
        assert usable_name(written) == "ANA"

    def test_is_empty_where_nobody_is_named(self) -> None:
        assert usable_name("teste") == ""
        assert usable_name("Dr.") == ""
        assert usable_name("Sr(a).") == ""


names = st.lists(
    st.sampled_from(
        [
            "Ana",
            "ANA",
            "José",
            "Zé",
            "de",
            "da",
            "Souza",
            "Sousa",
            "Lima",
            "L.",
            "A",
            "Filho",
            "Neto",
            "LTDA",
            "teste",
            "Maria",
            "mariasouza",
        ]
    ),
    max_size=5,
).map(" ".join)


class TestComparing:
    @given(names | st.text(max_size=30), names | st.text(max_size=30))
    def test_is_the_same_from_both_sides(self, one: str, other: str) -> None:
        assert compare_names(one, other) is compare_names(other, one)

    @given(names | st.text(max_size=30))
    def test_never_calls_a_name_different_from_itself(self, name: str) -> None:
        assert compare_names(name, name) is not DIFFERENT
