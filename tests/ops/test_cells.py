"""Rows as a spreadsheet gets them."""

import csv
import io

import pytest

from c2s_enrich.ops.cells import as_csv


class TestACell:
    @pytest.mark.parametrize(
        "text",
        ["=1+1", "+1", "-1", "@x", "\t=1", " =1", "\n=1", "＝1+1", "Ana;=1+1", "Ana\n@x", ";; +1"],
    )
    def test_is_not_a_formula_wherever_a_spreadsheet_may_see_it_begin(self, text: str) -> None:
        [_, [cell]] = csv.reader(io.StringIO(as_csv([{"name": text}])))

        for part in cell.replace("\n", ";").split(";"):
            assert not part.strip() or part.strip()[0] not in "=+-@＝"

    @pytest.mark.parametrize("text", ["Ana-Maria; 3 = 4", "a+b@example.com", "2025-06-01", ""])
    def test_else_stays_as_it_is(self, text: str) -> None:
        [_, [cell]] = csv.reader(io.StringIO(as_csv([{"name": text}])))

        assert cell == text

    def test_repaints_no_terminal(self) -> None:
        assert as_csv([{"name": "a\x1b[31m\x9b1m\u202eb"}]).replace("\n", "").isprintable()

    @pytest.mark.parametrize("unit", ["\n", "\t", ";", " ", "; ", "="])
    def test_of_any_length_is_read_once(self, unit: str) -> None:
        # With the blanks behind each blank looked at again it takes minutes.
        assert as_csv([{"name": unit * 200_000}])
