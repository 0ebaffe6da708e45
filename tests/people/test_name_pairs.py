"""Names as Brazilians write them against names as registers hold them: a table to read and to add
to, in name_pairs.txt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from c2s_enrich.people.name import NameAgreement, compare_names

PAIRS = [
    tuple(part.strip() for part in line.split("|"))
    for line in (Path(__file__).parent / "name_pairs.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def verdict(lead: str, record: str) -> str:
    agreement = compare_names(lead, record)
    if agreement is NameAgreement.UNSAID:
        return "unsaid"
    return "different" if agreement is NameAgreement.DIFFERENT else "fits"


class TestThePairsOfNames:
    @pytest.mark.parametrize(("expected", "lead", "record", "habit"), PAIRS)
    def test_are_judged_as_a_brazilian_would(
        self, expected: str, lead: str, record: str, habit: str
    ) -> None:
        assert verdict(lead, record) == verdict(record, lead) == expected, habit

    def test_are_enough_of_each_kind(self) -> None:
        kinds = [expected for expected, *_ in PAIRS]

        assert len(PAIRS) >= 100
        assert kinds.count("different") >= 40
