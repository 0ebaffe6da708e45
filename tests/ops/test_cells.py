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
