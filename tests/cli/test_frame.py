"""What every command shares: tables, JSON, times, visible text, and a database that is away."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

import pytest
from tests.upstreams.conftest import tcp_server

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import guarded
from c2s_enrich.cli.printing import print_json, print_table, visible, when
from c2s_enrich.errors import EnrichError, LeadNotFound

NOON = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    name: str
    at: datetime | None


COLUMNS = {"name": lambda line: line.name, "at": lambda line: line.at}


class TestATable:
    def test_has_a_heading_and_a_line_for_each_row(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_table([Line("a", NOON), Line("long", None)], COLUMNS, as_json=False, empty="None.")

        assert capsys.readouterr().out.splitlines() == [
            "name  at",
            "a     2025-06-01 09:00:00 -03",
            "long",
        ]

    def test_without_rows_says_on_stderr_what_that_means(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_table([], COLUMNS, as_json=False, empty="Nothing waits.")

        assert tuple(capsys.readouterr()) == ("", "Nothing waits.\n")

    @pytest.mark.parametrize("rows", [[], [Line("a", NOON)]], ids=["empty", "one row"])
    def test_as_json_is_an_array_of_the_rows(
        self, rows: list[Line], capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_table(rows, COLUMNS, as_json=True, empty="None.")

        printed = json.loads(capsys.readouterr().out)
        assert printed == [{"name": row.name, "at": "2025-06-01T12:00:00Z"} for row in rows]


class TestAForeignText:
    @pytest.mark.parametrize(
        "text",
        ["\x1b[2J\x1b[31mred", "a\r\nb", "bell\a", "\u202egnp.exe", "tab\t", "\x9b31m", "\ud800"],
    )
    def test_is_one_line_that_no_terminal_obeys(self, text: str) -> None:
        shown = visible(text)

        assert shown.isprintable()
        assert shown != text

    def test_in_json_obeys_no_terminal_and_is_the_same_text(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = "Jo\u00e3o \x1b[2J\x9b31m\u202e\u2028\U000e0041"
        print_json([text])
        printed = capsys.readouterr().out

        assert printed.strip().isprintable()
        assert json.loads(printed) == [text]

    def test_keeps_what_can_be_read(self) -> None:
        assert visible("Conceição — 📞 às 9h") == "Conceição — 📞 às 9h"


class TestATime:
    def test_is_shown_in_the_operators_zone_with_the_zone_named(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert when(NOON) == "2025-06-01 09:00:00 -03"
        monkeypatch.setenv("OPERATOR_TIMEZONE", "Europe/Lisbon")
        assert when(NOON) == "2025-06-01 13:00:00 WEST"

    @pytest.mark.parametrize("zone", ["Mars/Base", "../etc", "America", "-03:00"])
    def test_in_a_zone_that_is_none_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], zone: str
    ) -> None:
        monkeypatch.setenv("OPERATOR_TIMEZONE", zone)

        with pytest.raises(SystemExit):
            when(NOON)

        assert "OPERATOR_TIMEZONE" in capsys.readouterr().err


class TestALeadThatC2sDoesNotKnow:
    def test_is_not_found(self) -> None:
        def ask() -> NoReturn:
            raise LeadNotFound

        with pytest.raises(SystemExit) as ended:
            guarded(ask)

        assert ended.value.code == 3


class TestADatabaseThatIsAway:
    @pytest.mark.parametrize("command", [("events", "list"), ("upstreams", "list", "--json")])
    def test_is_one_sentence_without_the_password(self, command: tuple[str, ...]) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "c2s_enrich", *command],
            capture_output=True,
            text=True,
            timeout=30,
            env={"DATABASE_URL": "postgresql://ana:hunter22@127.0.0.1:1/x"},
        )

        assert (ended.returncode, ended.stdout) == (1, "")
        [sentence] = ended.stderr.splitlines()
        assert sentence.startswith("error: the database cannot be reached: ")
        assert "hunter22" not in sentence

    async def test_that_takes_the_login_and_then_says_nothing_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(frame, "_CONNECT_SECONDS", 0.3)

        async def log_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            welcome = ((b"R", b"\0\0\0\0"), (b"S", b"client_encoding\0UTF8\0"), (b"Z", b"I"))
            for kind, body in welcome:
                writer.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
            await reader.read()

        async with tcp_server(log_in) as url:
            place = url.removeprefix("http://")
            address = f"postgresql://ana@{place}/x?sslmode=disable&gssencmode=disable"
            with pytest.raises(EnrichError, match=r"did not answer in 0\.3 s"):
                await frame.reach(address)


class TestAnOpsProcess:
    @pytest.mark.parametrize("part", [b"X-More: x\r\n", b"\r\n" + b" " * 65536])
    async def test_that_never_ends_its_answer_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], part: bytes
    ) -> None:
        monkeypatch.setattr(frame, "_API_SECONDS", 0.5)

        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)

        async def never(_: object) -> None:
            raise AssertionError

        async with tcp_server(drip) as url:
            with pytest.raises(SystemExit) as ended:
                await asyncio.to_thread(frame.ask, url, "status", never, list[str])

        assert ended.value.code == 1
        assert capsys.readouterr().err.startswith(f"error: {url} cannot be reached: ")
