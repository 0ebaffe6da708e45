"""Every command that a document names exists, with every option that it is given."""

from __future__ import annotations

import re
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from c2s_enrich.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "fly.toml", "Procfile")
    ),
    ROOT / "compose.yaml",
    *sorted((ROOT / "docs").rglob("*.md")),
]

# What flyctl's reference lists (read in November 2026), as far as the documents use it.
FLY = {
    "apps create": set(),
    "deploy": {"-a", "--process-groups", "--skip-release-command", "--image", "--ha"}
    | {"--no-public-ips"},
    "proxy": {"-a"},
    "releases": {"-a", "--image"},
    "scale count": {"-a"},
    "secrets set": {"-a", "--stage"},
    "secrets unset": {"-a"},
    "ssh console": {"-a", "-g", "-C"},
    "status": {"-a"},
}


def calls(text: str) -> set[str]:
    """What stands behind `c2s-enrich` up to the end of the code: a backtick, a quote, a comment."""
    found = re.findall(r"c2s-enrich((?: +[^\s`\"'#|;&→)]+)+)", text)
    return {" ".join(words.split()) for words in found}


# Putting all commands together takes 20 ms.
command_line = cache(partial(get_command, app))


def problem(call: str) -> str | None:
    words = call.split()
    command: Any = command_line()
    while words and hasattr(command, "commands"):
        if words[0].startswith("-"):
            break
        inner = command.commands.get(words[0])
        if inner is None:
            return f"no command {words[0]!r} in {call!r}"
        command = inner
        words = words[1:]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    for word in words:
        option = word.split("=")[0]
        if re.fullmatch(r"--?[a-z][a-z-]*", option) and option not in known:
            return f"no option {option} in {call!r}"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestADocument:
    def test_names_only_commands_that_exist(self, document: Path) -> None:
        # Prose such as "c2s-enrich is …" is not a call: a call stands in code.
        text = document.read_text()
        code = "\n".join(re.findall(r"`([^`\n]*c2s-enrich[^`\n]*)`", text))
        code += "\n".join(line for line in text.splitlines() if line.startswith("    "))
        if document.suffix != ".md":
            code = text

        problems = [problem(call) for call in sorted(calls(code))]
        assert [each for each in problems if each] == []

    def test_links_only_to_pages_that_exist(self, document: Path) -> None:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())

        assert [link for link in links if not (document.parent / link).exists()] == []

    def test_calls_fly_as_its_reference_says(self, document: Path) -> None:
        if document.suffix != ".md":
            return
        text = document.read_text().replace("\\\n", " ")
        for call in re.findall(r"(?:^    |`)fly ([^`\n]+)", text, re.MULTILINE):
            # What is quoted belongs to the command that runs on the Machine.
            words = re.sub(r'"[^"]*"', "", call).split()
            name = next((name for name in FLY if words[: len(name.split())] == name.split()), None)
            assert name is not None, call
            options = {word.split("=")[0] for word in words if word.startswith("-")}
            assert options <= FLY[name], call
            assert name == "apps create" or "-a" in options, f"which app? {call}"
