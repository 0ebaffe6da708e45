"""What holds for every command that shows something: JSON that parses, a sentence where nothing is
there, one sentence where the database is away, and a table that fits the terminal.
"""

import asyncio
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database
from typer.main import get_command
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app

LEAD = "a27acb6706163126e6369bba649160ae"
NOBODY = "00000000-0000-4000-8000-000000000000"
# What each command is given. None: it needs C2S, and has a test of its own.
GIVEN: dict[str, list[str] | None] = {
    "explain": [LEAD],
    "events show": ["{event}"],
    "events reprocess": ["--lead", LEAD, "--dry-run"],
    "events fail": ["--lead", LEAD, "--because", "test", "--dry-run"],
    "leads show": [LEAD],
    "rejects show": None,
    "reconcile": None,
    "subscriptions": None,
    "doctor": None,
    "demo": None,
    "drill": None,
    "config show": None,
}
Type = Callable[..., Any]


def commands(group: Any, before: str = "") -> Iterator[str]:
    """Every command that has --json, by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        elif any("--json" in each.opts for each in command.params):
            yield before + name


EVERY = [
    name
    for name in commands(get_command(app))
    if GIVEN.get(name, []) is not None and not name.startswith("privacy ")
]


@pytest.fixture
def type_(db: Database, monkeypatch: pytest.MonkeyPatch) -> Type:
    monkeypatch.setenv("DATABASE_URL", db.url)

    async def typed(name: str, *more: str, event: str = NOBODY) -> Result:
        words = [each.replace("{event}", event) for each in GIVEN.get(name) or []]
        return await asyncio.to_thread(CliRunner().invoke, app, [*name.split(" "), *words, *more])

    return typed


@pytest.mark.parametrize("name", EVERY)
class TestEveryCommand:
    async def test_prints_json_that_parses(
        self, brokerage: Brokerage, type_: Type, name: str
    ) -> None:
        event_id = await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        said = await type_(name, "--json", event=str(event_id))

        assert said.exit_code in (0, 1), said.output
        json.loads(said.stdout)

    async def test_says_what_it_means_that_nothing_is_there(
        self, db: Database, type_: Type, name: str
    ) -> None:
        said = await type_(name)

        assert said.output.strip(), "silence"
        assert "Traceback" not in said.output

    async def test_is_one_sentence_within_five_seconds_where_the_database_is_away(
        self, type_: Type, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        if name == "runbook":
            pytest.skip("its list of questions needs no database")
        monkeypatch.setenv("DATABASE_URL", "postgresql://ana:hunter22@127.0.0.1:1/x")
        began = time.monotonic()

        said = await type_(name)

        assert said.exit_code == 1
        assert time.monotonic() - began < 5
        [sentence] = said.output.strip().splitlines()
        assert sentence.startswith("error: the database cannot be reached")


class TestATerminal:
    @pytest.mark.parametrize("columns", [80, 120])
    @pytest.mark.parametrize(
        "words",
        [("events", "list"), ("messages", "sent"), ("upstreams", "list"), ("errors",)],
        ids=str,
    )
    async def test_shows_no_line_that_is_wider_than_it_is(
        self, brokerage: Brokerage, words: tuple[str, ...], columns: int
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        await brokerage.db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind, error_message) values (%s, now(), '{}', 'failed', now(), 'bug', %s)",
            ("b" * 32, "TypeError: " + "a long story " * 20),
        )

        lines = await asyncio.to_thread(on_a_terminal, brokerage.db.url, columns, words)

        assert len(lines) > 1
        assert [line for line in lines if len(line) > columns] == []


def on_a_terminal(url: str, columns: int, words: tuple[str, ...]) -> list[str]:
    """What a person sees who types it."""
    mine, theirs = pty.openpty()
    environment = {"DATABASE_URL": url, "COLUMNS": str(columns), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-m", "c2s_enrich", *words],
        stdout=theirs, stderr=subprocess.DEVNULL, env=environment,
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        while chunk := _read(mine):
            said += chunk
        process.wait(timeout=30)
    os.close(mine)
    return said.decode().replace("\r", "").splitlines()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""  # its other end is closed
