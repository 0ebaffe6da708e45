"""The rules of the house that a machine can check: layers, types, style, and what must not be in
the repository.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> None:
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]


def tracked() -> list[Path]:
    """The files that git tracks or would track; in an unpacked archive, all that are not made by
    tools.
    """
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return [
            path
            for path in ROOT.rglob("*")
            if path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
        ]
    return [ROOT / line for line in listed.splitlines() if (ROOT / line).is_file()]


class TestTheCode:
    def test_keeps_its_layers(self) -> None:
        run(BIN / "lint-imports")

    def test_is_typed_strictly(self) -> None:
        run(BIN / "mypy")

    def test_keeps_its_style(self) -> None:
        run(BIN / "ruff", "check", ".")

    def test_is_formatted(self) -> None:
        run(BIN / "ruff", "format", "--check", ".")

    @pytest.mark.parametrize("library", ["httpx", "tenacity"])
    def test_imports_http_libraries_in_one_place_of_the_product(self, library: str) -> None:
        importing = {
            str(path.relative_to(ROOT / "src/c2s_enrich"))
            for path in (ROOT / "src/c2s_enrich").rglob("*.py")
            if re.search(rf"^\s*(import|from) {library}\b", path.read_text(), re.MULTILINE)
        }

        # What runs the product in the sandbox stands outside: it is a client of its own.
        place = "upstreams/transport.py" if library == "httpx" else "upstreams/http.py"
        assert {path for path in importing if not path.startswith("sandbox/")} == {place}


class TestItsSize:
    def test_is_small_file_by_file(self) -> None:
        lengths = {
            str(path.relative_to(ROOT / "src/c2s_enrich")): len(path.read_text().splitlines())
            for path in (ROOT / "src").rglob("*.py")
        }

        assert {name: length for name, length in lengths.items() if length >= 300} == {}
        assert lengths["queue/poller.py"] < 250

    def test_is_narrow_line_by_line(self) -> None:
        """The tests, too. Ruff looks away where a line says so; this does not."""
        wide = [
            f"{path.relative_to(ROOT)}: {line}"
            for path in tracked()
            if path.suffix == ".py"
            for line in path.read_text().splitlines()
            if len(re.split("  # (?:noqa|type:)", line)[0]) > 100
        ]

        assert wide == []

    def test_defines_no_class_name_twice(self) -> None:
        names = Counter(
            node.name
            for path in (ROOT / "src").rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef)
        )

        assert {name for name, count in names.items() if count > 1} == set()

    def test_holds_nothing_that_nobody_calls(self) -> None:
        """Fields of dataclasses are left out: JSON reads them."""
        ended = subprocess.run(
            [BIN / "vulture"], cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode in (0, 3), ended.stderr
        unused = [line for line in ended.stdout.splitlines() if "unused variable" not in line]

        assert unused == []


class TestTheRepository:
    def test_names_no_package_index(self) -> None:
        for path in tracked():
            if path.suffix in (".lock", ".txt", ".toml") or path.name in (
                "Makefile",
                "Dockerfile",
                "run",
            ):
                text = path.read_text(errors="replace")
                assert not re.search(
                    r"--(extra-)?index-url|--find-links|files\.pythonhosted|pypi\.org", text
                ), path

    def test_locks_every_package_with_hashes(self) -> None:
        for name in ("requirements.lock", "requirements-dev.lock"):
            text = (ROOT / name).read_text()
            packages = re.findall(r"^[a-z0-9][\w.\-\[\]]*==", text, re.MULTILINE)
            assert len(packages) > 20
            assert text.count("--hash=sha256:") >= len(packages)
