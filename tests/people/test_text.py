"""Text from outside becomes one harmless line, or nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2s_enrich.people.text import plain, readable


class TestReadableText:
    @pytest.mark.parametrize(
        "nothing",
        [
            "",
            " ",
            "\n",
            "SEM INFORMAÇÃO",
            "sem informacao",
            " Sem  Informação. ",
            "None",
            "null",
            "NaN",
            "N/A",
            "-",
            "...",
            "\u202e",
            "\x00",
            "Não informado",
        ],
    )
    def test_that_says_nothing_is_none(self, nothing: str) -> None:
        assert readable(nothing) is None

    def test_is_one_line(self) -> None:
        assert (
            readable("ANA\r\n\n💰 DADOS\u2028FINANCEIROS\x85RENDA\tX")
            == "ANA 💰 DADOS FINANCEIROS RENDA X"
        )

    def test_has_no_marks_that_turn_the_reading_direction(self) -> None:
        assert readable("ana\u202egnp.exe\u2066\u200f\ufeff") == "anagnp.exe"

    def test_is_cut_at_its_longest(self) -> None:
        assert readable("x" * 10_000, longest=80) == "x" * 80

    def test_may_be_of_another_script(self) -> None:
        assert readable("Иван") == "Иван"

    @given(st.text())
    def test_is_always_fit_for_postgres_and_for_one_line(self, text: str) -> None:
        line = readable(text)

        if line is not None:
            assert line == line.strip() != ""
            assert len(line) <= 120
            assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in line)
            assert readable(line) == line


class TestPlainText:
    def test_is_upper_case_letters_and_digits_without_accents(self) -> None:
        assert plain("  São-João d'Água, 3º ") == "SAO JOAO D AGUA 3O"
