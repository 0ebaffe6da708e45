"""What the documents say is true of the code. `make docs` writes what is generated."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from c2s_enrich.options import Option
from c2s_enrich.settings import described

ROOT = Path(__file__).parents[2]
HEAD = "| variable | default | what it is |\n| --- | --- | --- |\n"
# Nothing works without these: they stand in .env.example without a comment sign.
ALWAYS = {
    "DATABASE_URL",
    "DATABASE_URL_DIRECT",
    "WEBHOOK_SECRET",
    "HASH_KEY",
    "C2S_TOKEN",
    "DIRETRIX_USER",
    "DIRETRIX_PASS",
    "WORK_API_TOKEN",
}


def table(options: Iterable[Option]) -> str:
    """The settings as Markdown."""
    return HEAD + "".join(
        f"| `{each.env}` | {f'`{each.default}`' if each.default else ''} | {each.why} |\n"
        for each in options
    )


def example() -> str:
    """A file .env with every setting that a person must or may well set."""
    lines = ["# Copy to .env and fill in. What is commented out shows its default.\n"]
    for each in described():
        if not each.tuning:
            sign = "" if each.env in ALWAYS else "#"
            lines.append(f"# {each.why}\n{sign}{each.env}={each.default}\n")
    return "\n".join(lines)


def with_table(text: str, tuning: bool) -> str:
    """The document with the table that the code gives."""
    before, head, rest = text.partition(HEAD)
    assert head, "the document has lost its table"
    _, _, after = rest.partition("\n\n") if "\n\n" in rest else ("", "", "")
    written = table(each for each in described() if each.tuning is tuning)
    return before + written + (f"\n{after}" if after else "")


class TestTheSettings:
    @pytest.mark.parametrize("name", ["README.md", "docs/settings.md", ".env.example"])
    def test_are_documented_as_they_are(self, name: str) -> None:
        path = ROOT / name
        text = path.read_text()
        wanted = (
            example() if name == ".env.example" else with_table(text, name == "docs/settings.md")
        )
        if os.environ.get("DOCS") == "write":
            path.write_text(wanted)

        assert path.read_text() == wanted, "run `make docs`"

    def test_that_a_person_meets_are_thirty_at_most(self) -> None:
        assert len([each for each in described() if not each.tuning]) <= 30

    def test_named_in_a_document_exist(self) -> None:
        known = {each.env for each in described()}
        prefixes = {name.partition("_")[0] for name in known} - {"DATABASE", "LOG"}

        for path in [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")]:
            named = set(
                re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", path.read_text())
            )
            assert {name for name in named if name.partition("_")[0] in prefixes} <= known, path


class TestTheReadme:
    def test_names_only_targets_that_make_has(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

        assert set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text())) - targets <= {
            "and"
        }
