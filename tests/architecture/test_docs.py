"""What the documents say is true of the code."""

import re
from dataclasses import fields
from pathlib import Path

from c2s_enrich.settings import Settings

ROOT = Path(__file__).parents[2]


class TestTheReadme:
    def test_has_every_setting_with_its_default_and_reason(self) -> None:
        readme = (ROOT / "README.md").read_text()

        for option in fields(Settings):
            default = f"`{option.metadata['default']}`" if option.metadata["default"] else ""
            assert (
                f"| `{option.metadata['env']}` | {default} | {option.metadata['why']} |" in readme
            )

    def test_names_no_setting_that_does_not_exist(self) -> None:
        known = {option.metadata["env"] for option in fields(Settings)}

        assert (
            set(
                re.findall(r"^\| `([A-Z_0-9]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
            )
            == known
        )

    def test_names_only_targets_that_make_has(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

        assert set(re.findall(r"make ([a-z]+)", (ROOT / "README.md").read_text())) - targets <= {
            "and"
        }


class TestTheExampleEnvironment:
    def test_lists_the_same_settings(self) -> None:
        known = {option.metadata["env"] for option in fields(Settings)}

        assert (
            set(re.findall(r"^#?([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
            == known
        )
