"""The list of mutants fits the repository, and the run tells a killed mutant from a survivor."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from proofs.mutants import main, table
from proofs.mutation import ROOT, Copy, ListError, Mutant, Outcome, copied, read_list

MUTANTS = read_list()
# Killed by tests without a database, so that it takes a second.
SHORT = Mutant(
    name="a wait may be zero",
    file="src/c2s_enrich/queue/verdict.py",
    changes=(("(0.1 + 0.9 * chance)", "chance"),),
    tests=("tests/queue/test_backoff_and_verdict.py",),
)


class TestTheList:
    def test_is_long(self) -> None:
        assert len(MUTANTS) >= 60

    @pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
    def test_finds_the_place_of_each_mutant(self, mutant: Mutant) -> None:
        right = (ROOT / mutant.file).read_text(encoding="utf-8")

        assert mutant.applied_to(right) != right

    @pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
    def test_names_tests_that_exist(self, mutant: Mutant) -> None:
        assert mutant.tests
        for test in mutant.tests:
            assert (ROOT / test.partition("::")[0]).is_file()

    def test_has_a_verdict_for_each_of_them(self) -> None:
        written = (ROOT / "proofs" / "verdicts.md").read_text(encoding="utf-8")

        assert set(re.findall(r"^\| (.+?) \| `", written, re.MULTILINE)) == {
            mutant.name for mutant in MUTANTS
        }
        assert "no reason" not in written


class TestAMutantWhosePlaceIsGone:
    @pytest.mark.parametrize(
        "lost",
        [
            replace(SHORT, changes=(("no such text", "x"),)),
            replace(SHORT, within="no such text"),
            replace(SHORT, changes=(("attempts", "x"),)),
        ],
        ids=["its text", "what is in front of it", "it is in several places"],
    )
    def test_gets_no_verdict(self, lost: Mutant) -> None:
        with pytest.raises(ListError):
            lost.applied_to((ROOT / lost.file).read_text(encoding="utf-8"))


class TestAWordThatNamesNothing:
    @pytest.mark.parametrize("words", [["--help"], ["pure", "nam"]])
    def test_runs_nothing_and_says_so(
        self, words: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(words) == 2

        assert words[-1] in capsys.readouterr().err


@pytest.fixture(scope="module")
def copy() -> Iterator[Copy]:
    """The address of its databases leads nowhere: these mutants need none."""
    with copied("postgresql://nobody@127.0.0.1:9/none") as whole:
        yield whole


class TestARun:
    def test_tells_a_killed_mutant_from_a_survivor(self, copy: Copy) -> None:
        harmless = replace(SHORT, changes=(("(0.1 + 0.9 * chance)", "(0.9 * chance + 0.1)"),))

        killed, survived = copy.outcome(SHORT), copy.outcome(harmless)

        assert (killed.verdict, survived.verdict) == ("killed", "survived")
        assert killed.by.startswith("tests/queue/test_backoff_and_verdict.py::")
        assert "chance)" in (copy.folder / SHORT.file).read_text()

    def test_gives_no_verdict_where_the_tests_do_not_run(self, copy: Copy) -> None:
        broken = replace(SHORT, changes=(("(0.1 + 0.9 * chance)", "(("),))

        with pytest.raises(ListError, match="do not run"):
            copy.outcome(broken)

    def test_gives_no_verdict_where_the_right_product_is_as_slow(self, copy: Copy) -> None:
        with pytest.raises(ListError, match="without it either"):
            Copy(copy.folder, "", longest=0.01).outcome(SHORT)

    def test_that_only_the_mutant_keeps_from_ending_is_a_kill(self, copy: Copy) -> None:
        class Endless(Copy):
            def run(self, tests: Sequence[str], limit: float | None = None) -> tuple[int, str]:
                if "0.1 + 0.9" not in (self.folder / SHORT.file).read_text():
                    raise subprocess.TimeoutExpired("pytest", 120)
                return 0, ""

        outcome = Endless(copy.folder, "").outcome(SHORT)

        assert (outcome.verdict, outcome.by) == ("killed", "never ends")


class TestTheTable:
    def test_says_who_killed_whom_and_why_one_may_live(self) -> None:
        explained = replace(SHORT, name="another", reason="it is the same")
        lines = table(
            [
                Outcome(SHORT, "killed", "tests/a.py::TestA::test_b", 1.0),
                Outcome(explained, "survived", "", 1.0),
            ]
        ).splitlines()

        assert lines[-2].endswith("| killed | TestA::test_b |")
        assert lines[-1].endswith("| survived | it is the same |")
