"""How SQL is written here: one width, one indentation, one semicolon that ends each statement."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from c2s_enrich.database import sql_folder, statements

MIGRATIONS = sorted((sql_folder() / "migrations").glob("*.sql"))
QUERIES = sorted((sql_folder() / "queries").glob("*.sql"))
WIDTH = 110
BEGINS = re.compile(r"(?:select|insert|update|delete)\b")
# The keywords of a statement end in one column, as `select` does.
CLAUSE = re.compile(
    r" *(from|where|and|set|order by|group by|limit|left join|join|for (?:update|share))\b"
)


def misplaced(text: str) -> list[str]:
    """Lines whose first keyword does not end where their statement's `select` does."""
    wrong: list[str] = []
    # The column at which the statement of each open parenthesis begins; None before it does.
    columns: list[int | None] = [None]
    for line in re.sub(r"--.*|'[^']*'|%\(\w+\)s", lambda m: "·" * len(m[0]), text).split("\n"):
        clause, column = CLAUSE.match(line), columns[-1]
        if (
            clause
            and column is not None
            and clause.end(1) != column + 6 + len(clause[1]) - len(clause[1].split()[0])
        ):
            wrong.append(line)
        for place, sign in enumerate(line):
            if sign == "(":
                columns.append(None)
            elif sign == ")":
                columns.pop()
            elif (
                columns[-1] is None
                and BEGINS.match(line, place)
                and line[place - 1 : place] in ("", " ", "(")
            ):
                columns[-1] = place
            elif sign == ";":
                columns = [None]
    return wrong


@pytest.mark.parametrize("file", [*MIGRATIONS, *QUERIES], ids=lambda file: file.stem)
class TestEveryFile:
    def test_is_at_most_110_columns_wide(self, file: Path) -> None:
        lines = file.read_text(encoding="utf-8").split("\n")

        assert [line for line in lines if len(line) > WIDTH] == []

    def test_has_no_tab_and_no_space_at_the_end_of_a_line(self, file: Path) -> None:
        assert re.findall(r"\t|[ ]+$", file.read_text(encoding="utf-8"), re.MULTILINE) == []


@pytest.mark.parametrize("file", QUERIES, ids=lambda file: file.stem)
class TestEveryStatement:
    def test_ends_with_its_only_semicolon(self, file: Path) -> None:
        for name, statement in statements(file.stem).items():
            code = re.sub(r"--.*|'[^']*'", "", statement).strip()

            assert code.index(";") == len(code) - 1, name

    def test_lines_its_keywords_up(self, file: Path) -> None:
        assert misplaced(file.read_text(encoding="utf-8")) == []

    def test_says_why_it_reads_two_clocks(self, file: Path) -> None:
        for name, statement in with_comments(file):
            comment = "".join(re.findall(r"--.*", statement))
            code = re.sub(r"--.*", "", statement)
            if re.search(r"\bnow\(\)", code) and "clock_timestamp()" in code:
                assert re.search(r"\bnow\(\).*clock_timestamp\(\)", comment), name


def with_comments(file: Path) -> Iterator[tuple[str, str]]:
    """The statements as they are written; what psycopg gets has no comments."""
    _, *parts = re.split(r"^-- name: (\w+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return zip(parts[::2], parts[1::2], strict=True)
