"""A command imports what it works with, and nothing else: help comes at once, and production never
loads what runs the product on one machine.
"""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print("\\n" + json.dumps(sorted(sys.modules))))
from c2s_enrich.cli.main import app
app(sys.argv[1:], prog_name="c2s-enrich")
"""
ENTRY = """
import atexit, json, sys
atexit.register(lambda: print("\\n" + json.dumps(sorted(sys.modules))))
from c2s_enrich.cli.entry import main
main()
"""
# The words of an event filter are options, so help names them.
PURE = {"c2s_enrich.ops", "c2s_enrich.ops.filters", "c2s_enrich.errors"}
# Each of these takes longer to import than help takes to print.
HEAVY = {
    "psycopg",
    "starlette",
    "uvicorn",
    "httpx",
    "asyncio",
    "prometheus_client",
    "ssl",
    "http",
}


def imported(program: str, *arguments: str) -> set[str]:
    """All modules that a fresh interpreter has loaded when the program ends, without settings."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert ended.stdout, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


def parts(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


class TestHelp:
    @pytest.mark.parametrize(
        "arguments", [("--help",), ("events", "--help"), ("events", "reprocess", "--help")]
    )
    def test_loads_nothing_that_a_command_works_with(self, arguments: tuple[str, ...]) -> None:
        modules = imported(PROGRAM, *arguments)

        assert not parts(modules) & (HEAVY | {"rich"})
        ours = {name for name in modules if name.startswith("c2s_enrich.")}
        assert {name for name in ours if not name.startswith("c2s_enrich.cli")} <= PURE


class TestAProcessOfProduction:
    @pytest.mark.parametrize(
        "arguments", [("web",), ("poller",), ("ops",), ("poller", "--suspects", "p")]
    )
    def test_never_loads_the_sandbox_or_the_library_of_commands(
        self, arguments: tuple[str, ...]
    ) -> None:
        modules = imported(ENTRY, *arguments)

        assert "c2s_enrich.wiring" in modules
        assert not parts(modules) & {"typer", "pydantic"}
        assert not [name for name in modules if name.startswith("c2s_enrich.sandbox")]

    def test_is_put_together_without_what_only_draws(self) -> None:
        program = "import json, sys, c2s_enrich.wiring; print(json.dumps(sorted(sys.modules)))"

        modules = imported(program)

        assert not parts(modules) & {"rich", "pygments"}
        assert not [name for name in modules if name.startswith("c2s_enrich.sandbox")]
