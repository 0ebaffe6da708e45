"""A CPF is read strictly: whatever could be another number is no CPF."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.cast import ANA, with_check_digits
from validate_docbr import CNPJ

from c2s_enrich.people.cpf import Cpf

nine_digits = st.text("0123456789", min_size=9, max_size=9).filter(
    lambda digits: len(set(digits)) > 1
)


class TestReadingACpf:
    @pytest.mark.parametrize(
        "written",
        ["529.982.247-25", "52998224725", 52998224725, " 529982247-25 ", "529 982 247 25"],
    )
    def test_reads_the_same_person_however_it_is_punctuated(self, written: object) -> None:
        assert Cpf.parse(written) == Cpf("52998224725")

    def test_reads_the_fourteen_digits_that_the_work_api_pads_with_three_zeros(self) -> None:
        assert Cpf.parse("00052998224725") == Cpf("52998224725")

    def test_takes_a_fourteen_digit_cnpj_for_no_cpf_even_where_its_last_digits_would_pass(
        self,
    ) -> None:
        # An earlier program kept the last eleven digits of anything long and so invented people.
        cnpj_shaped = "123" + ANA.cpf.digits

        assert Cpf.parse(cnpj_shaped) is None
        assert Cpf.parse("11222333000181") is None

    @pytest.mark.parametrize("bank", ["00000000000191", "00.000.000/0001-91", 191])
    def test_takes_a_cnpj_that_begins_with_zeros_for_no_cpf(self, bank: object) -> None:
        # 00.000.000/0001-91 is a company, and without its padding it would even have the check
        # digits of a CPF.
        assert Cpf.parse(bank) is None
        assert Cpf.parse("00000000191") == Cpf("00000000191")

    @pytest.mark.parametrize("digits", ["52998224724", "52998224735", "12345678900"])
    def test_refuses_wrong_check_digits(self, digits: str) -> None:
        assert Cpf.parse(digits) is None

    @pytest.mark.parametrize("digit", "0123456789")
    def test_refuses_one_digit_eleven_times_although_its_check_digits_are_right(
        self, digit: str
    ) -> None:
        assert Cpf.parse(digit * 11) is None

    @pytest.mark.parametrize("zeros", [1, 2, 3])
    def test_puts_lost_leading_zeros_back(self, zeros: int) -> None:
        whole = with_check_digits("0" * zeros + "123456789"[zeros:])

        assert Cpf.parse(int(whole)) == Cpf.parse(whole) == Cpf(whole)

    def test_takes_a_number_of_seven_digits_for_something_else(self) -> None:
        assert Cpf.parse(int(with_check_digits("000012345"))) is None

    @pytest.mark.parametrize("hidden", ["529.***.247-25", "***.982.247-**", "529xxx24725"])
    def test_never_fills_in_the_digits_that_a_mask_hides(self, hidden: str) -> None:
        assert Cpf.parse(hidden) is None

    def test_takes_an_rg_for_no_cpf_with_lost_zeros(self) -> None:
        whole = with_check_digits("001234567")

        assert Cpf.parse(f"{whole[2:4]}.{whole[4:7]}.{whole[7:10]}-{whole[10]}") is None

    @pytest.mark.parametrize(
        "other",
        [None, True, 5.0, [], {}, "", "abc", 10**40, -52998224725, "５２９９８２２４７２５"],
    )
    def test_answers_none_for_anything_else(self, other: object) -> None:
        assert Cpf.parse(other) is None

    def test_answers_none_for_a_number_too_long_for_python_to_write(self) -> None:
        assert Cpf.parse(10**5000) is None


class TestShowingACpf:
    def test_is_masked_wherever_python_shows_it(self) -> None:
        cpf = Cpf("52998224725")

        assert [repr(cpf), str(cpf), f"{cpf}", repr([cpf])] == ["Cpf(***.982.247-**)"] * 3 + [
            "[Cpf(***.982.247-**)]"
        ]

    def test_is_punctuated_for_the_message(self) -> None:
        assert Cpf("52998224725").formatted == "529.982.247-25"


class TestCheckDigits:
    @given(nine_digits)
    def test_every_number_with_its_own_check_digits_is_read(self, nine: str) -> None:
        assert Cpf.parse(with_check_digits(nine)) is not None

    @given(nine_digits, st.sampled_from([9, 10]), st.integers(1, 9))
    def test_changing_either_check_digit_is_noticed(
        self, nine: str, place: int, shift: int
    ) -> None:
        digits = with_check_digits(nine)
        changed = digits[:place] + str((int(digits[place]) + shift) % 10) + digits[place + 1 :]

        assert Cpf.parse(changed) is None

    @given(nine_digits)
    @example("000000001")
    def test_reading_what_it_writes_changes_nothing(self, nine: str) -> None:
        cpf = Cpf.parse(with_check_digits(nine))

        assert cpf is not None
        assert Cpf.parse(cpf.formatted) == Cpf.parse(cpf.digits) == cpf
        padded = "000" + cpf.digits
        # The few that are a company's number at the same time (000000001 is a bank) are taken for
        # the company.
        is_a_company = padded[8:10] == "00" and CNPJ().validate(padded)
        assert Cpf.parse(padded) == (None if is_a_company else cpf)
