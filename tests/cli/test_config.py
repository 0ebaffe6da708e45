"""What is installed here and how it is set: config show, completion, --version."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from c2s_enrich.cli.main import app
from c2s_enrich.settings import described


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for option in described():
        monkeypatch.delenv(option.env, raising=False)
    return monkeypatch


def shown() -> dict[str, dict[str, Any]]:
    ended = CliRunner().invoke(app, ["config", "show", "--json"])
    return {line["name"]: line for line in json.loads(ended.stdout)}


class TestConfigShow:
    def test_says_of_every_setting_what_is_in_force_and_where_it_comes_from(
        self, bare: pytest.MonkeyPatch
    ) -> None:
        bare.setenv("CONCURRENCY", "40")

        lines = shown()

        assert list(lines) == [option.env for option in described()]
        assert (lines["CONCURRENCY"]["value"], lines["CONCURRENCY"]["source"]) == (
            "40",
            "environment",
        )
        assert (lines["PORT"]["value"], lines["PORT"]["source"]) == ("8080", "default")
        assert (lines["DATABASE_POOL_SIZE"]["value"], lines["DATABASE_POOL_SIZE"]["source"]) == (
            "15",
            "derived",
        )

    def test_takes_nothing_for_derived_that_is_its_default(self, bare: pytest.MonkeyPatch) -> None:
        derived = [name for name, line in shown().items() if line["source"] == "derived"]

        assert derived == ["DATABASE_POOL_SIZE"]

    def test_masks_every_secret(self, bare: pytest.MonkeyPatch) -> None:
        for option in described():
            if option.secret:
                bare.setenv(option.env, "https://canary-value.example/x")

        ended = CliRunner().invoke(app, ["config", "show", "--json"])

        assert "canary" not in ended.output

    def test_says_what_is_wrong(self, bare: pytest.MonkeyPatch) -> None:
        bare.setenv("PORT", "80808")
        bare.setenv("WEBHOOK_SECRETS", "x")

        ended = CliRunner().invoke(app, ["config", "show"])

        assert ended.exit_code == 1
        assert "PORT must be a whole number from 0 to 65535" in ended.stderr
        assert "did you mean WEBHOOK_SECRET?" in ended.stderr


class TestTheVersion:
    def test_names_the_revision_that_the_image_was_built_from(
        self, bare: pytest.MonkeyPatch
    ) -> None:
        bare.setenv("REVISION", "3f2c1ab")

        assert CliRunner().invoke(app, ["--version"]).stdout == "c2s-enrich 0.1.0+3f2c1ab\n"


class TestCompletion:
    def test_completes_commands_in_the_shell(self) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "c2s_enrich"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={
                **os.environ,
                "_C2S_ENRICH_COMPLETE": "complete_bash",
                "COMP_WORDS": "c2s-enrich ups",
                "COMP_CWORD": "1",
            },
        )

        assert ended.stdout.split() == ["upstreams"]

    def test_prints_the_script_of_each_shell(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            script = CliRunner().invoke(app, ["completion", shell]).stdout
            assert "_C2S_ENRICH_COMPLETE" in script

    def test_knows_no_other_shell(self) -> None:
        assert CliRunner().invoke(app, ["completion", "basic"]).exit_code == 2
