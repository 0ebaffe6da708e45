"""What a run of the bench says."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.machine import rounds
from bench.report import Goal, between, chart, markdown, ratio, table


class TestAGoal:
    @pytest.mark.parametrize(
        ("value", "verdict"),
        [(0.14, "beyond"), (0.25, "reached"), (0.26, "missed"), (None, "not measured")],
    )
    def test_that_should_be_small(self, value: float | None, verdict: str) -> None:
        assert Goal("cost", value, 0.25, 0.15).verdict == verdict

    @pytest.mark.parametrize(
        ("value", "verdict"), [(1.5, "beyond"), (1, "reached"), (0.9, "missed")]
    )
    def test_that_should_be_large(self, value: float, verdict: str) -> None:
        assert Goal("rate", value, 1.0, 1.5, at_most=False).verdict == verdict

    def test_without_a_measurement_has_no_ratio(self) -> None:
        assert ratio(None, 3) is None
        assert ratio(3, 0) is None
        assert ratio(1, 3) == 0.333

    def test_is_a_line_of_the_table(self) -> None:
        assert "≥1.5  missed" in table([Goal("rate", 1.2, 1.5, at_most=False)])

    def test_is_a_row_between_the_comments_of_a_document(self) -> None:
        rows = markdown([Goal("rate", 1.2, 1.5, at_most=False), Goal("cost", None, 2)])
        page = "above\n<!-- bench -->\nold\n<!-- end of bench -->\nbelow\n"

        filled = between(page, "bench", rows)

        assert filled.startswith("above\n<!-- bench -->\n| | seen | goal | |\n")
        assert "| rate | 1.2 | ≥ 1.5 | missed |\n| cost | – | ≤ 2 | not measured |\n" in filled
        assert filled.endswith("<!-- end of bench -->\nbelow\n")
        assert between(filled, "bench", "old") == page
        with pytest.raises(ValueError, match="no place for bench"):
            between("nothing", "bench", rows)


class TestASystem:
    def test_that_cannot_run_is_named_with_its_reason(self) -> None:
        def broken() -> dict[str, float]:
            raise RuntimeError("no such package")

        results = rounds(2, {"ours": lambda: {"per_second": 3.0}, "peer": broken})

        assert results["ours"]["per_second"] == 3.0
        assert results["ours"]["range"] == {"per_second": [3.0, 3.0]}
        assert results["peer"] == {"cannot run": "RuntimeError: no such package"}


class TestAChart:
    def test_is_a_picture_with_its_numbers_as_text(self, tmp_path: Path) -> None:
        chart(tmp_path / "drain.svg", "Drain <now>", "a second", {"ours": 9000, "peer": 1}, "ours")

        texts = [e.text for e in ElementTree.parse(tmp_path / "drain.svg").iter() if e.text]  # noqa: S314
        assert {"9,000", "1", "ours", "peer", "Drain <now> (a second)"} <= set(texts)
