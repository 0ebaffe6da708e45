"""What holds for every command that shows something: JSON that parses, a sentence where nothing is
there, one sentence where the database is away, and a table that fits the terminal.
"""

import asyncio
import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from typing import Any

import pytest
from tests.brokerage import Brokerage
from tests.conftest import ENVIRONMENT, Database
from typer.main import get_command
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.telemetry.lines import Logger

LEAD = "a27acb6706163126e6369bba649160ae"
NOBODY = "00000000-0000-4000-8000-000000000000"
# What a command is given. None: it shows nothing of the database, or has a test of its own.
GIVEN: dict[str, list[str] | None] = {
    "explain": [LEAD],
    "events show": ["{event}"],
    "events reprocess": ["--lead", LEAD, "--dry-run"],
    "events fail": ["--lead", LEAD, "--because", "test", "--dry-run"],
    "leads show": [LEAD],
    "doctor": None,
    "demo": None,
    "drill": None,
    "config show": None,
    "privacy places": None,
}
# Those without --json, and those that ask C2S.
OTHERS: dict[str, list[str]] = {
    "migrate": [],
    "reconcile": [],
    "restored": ["--since", "2020-01-01T00:00-03:00"],
    "erase": ["--lead", "x", "--yes"],
    "subscribe": ["https://web.example", "--yes"],
    "unsubscribe": ["--yes"],
    "messages delivered": [NOBODY],
    "messages not-delivered": [NOBODY],
    "messages visible-to": ["sellers"],
    "upstreams pause": ["c2s"],
    "upstreams resume": ["c2s"],
    "upstreams budget": ["c2s", "9"],
    "rejects show": [NOBODY],
    "rejects replay": [NOBODY],
    "rejects dismiss": [NOBODY, "--because", "test"],
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
    if GIVEN.get(name, []) is not None and name not in OTHERS
]


@pytest.fixture
def type_(db: Database, monkeypatch: pytest.MonkeyPatch) -> Type:
    for name, value in (ENVIRONMENT | {"DATABASE_URL": db.url}).items():
        monkeypatch.setenv(name, value)

    async def typed(name: str, *more: str, event: str = NOBODY) -> Result:
        words = [each.replace("{event}", event) for each in GIVEN.get(name) or OTHERS.get(name, [])]
        done = await asyncio.to_thread(CliRunner().invoke, app, [*name.split(" "), *words, *more])
        Logger.write = None  # its stream is closed by now
        return done

    return typed


class TestEveryCommand:
    """Each test types all of them, so that one brokerage's day is enough."""

    async def test_prints_json_that_parses(self, brokerage: Brokerage, type_: Type) -> None:
        event_id = await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()

        said = {name: await type_(name, "--json", event=str(event_id)) for name in EVERY}

        assert {name: each.output for name, each in said.items() if each.exit_code > 1} == {}
        for each in said.values():
            json.loads(each.stdout)

    async def test_says_what_it_means_that_nothing_is_there(
        self, db: Database, type_: Type
    ) -> None:
        said = {name: (await type_(name)).output for name in EVERY}

        assert [name for name, each in said.items() if not each.strip()] == []
        assert [name for name, each in said.items() if "Traceback" in each] == []

    @pytest.mark.parametrize("name", sorted({*EVERY, *OTHERS} - {"runbook"}))
    async def test_is_one_sentence_within_five_seconds_where_the_database_is_away(
        self, type_: Type, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://ana:hunter22@127.0.0.1:1/x")
        began = time.monotonic()

        said = await type_(name)

        assert said.exit_code == 1, said.output
        assert time.monotonic() - began < 5
        [sentence] = [line for line in said.output.splitlines() if line.startswith("error: ")]
        assert sentence.startswith("error: the database cannot be reached")
        assert "hunter22" not in said.output


class Terminal(io.StringIO):
    """What a person sees of a width."""

    def isatty(self) -> bool:
        return True


class TestATerminal:
    async def test_shows_no_line_that_is_wider_than_it_is(
        self, brokerage: Brokerage, type_: Type, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        await brokerage.db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " error_kind, error_message) values (%s, now(), '{}', 'failed', now(), 'bug', %s)",
            ("b" * 32, "TypeError: " + "a long story " * 20),
        )

        for words in (["events", "list"], ["messages", "sent"], ["upstreams", "list"], ["errors"]):
            for columns in (80, 120):
                monkeypatch.setenv("COLUMNS", str(columns))
                with redirect_stdout(Terminal()) as terminal:
                    await asyncio.to_thread(app, words, standalone_mode=False)
                lines = terminal.getvalue().splitlines()
                assert len(lines) > 1, words
                assert [line for line in lines if len(line) > columns] == []

    async def test_that_is_a_real_one_shows_the_same(self, db: Database) -> None:
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, error_message)"
            " values (%s, now(), '{}', %s)",
            ("b" * 32, "a long story " * 20),
        )

        lines = await asyncio.to_thread(on_a_terminal, db.url, 80, ("events", "list"))

        assert len(lines) > 1
        assert [line for line in lines if len(line) > 80] == []


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
