"""The log is not a single point of failure: a line that cannot be written stops no work, and is
counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from c2s_enrich.telemetry import stream as module
from c2s_enrich.telemetry.stream import LogStream

PROGRAM = """
import sys, time
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.logs import configure_logging, log_stream
{before}
configure_logging(Settings.load({{}}, 'tool'), 'test')
log = get_logger('test')
{work}
print('done', log_stream().dropped, flush=True)
"""
# More than the stream has room for; numbers, because they are not searched for secrets.
MANY = "for n in range(1000): log.info('a_line', n=n, numbers=[0.123456789] * 600)"
WATCHDOG = """
import threading
from c2s_enrich.queue.watchdog import Watchdog
with Watchdog(1.0).watching():
    time.sleep(60)
"""


def program(work: str, before: str = "") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(work=work, before=before)]


def until(true: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not true():
        assert time.monotonic() < give_up
        time.sleep(0.01)


class TestAProcess:
    def test_whose_stderr_nobody_reads_goes_on_and_counts(self) -> None:
        reading, writing = os.pipe()
        try:
            done = subprocess.run(
                program(MANY), stdout=subprocess.PIPE, stderr=writing, timeout=60, check=True
            )
        finally:
            os.close(reading)
            os.close(writing)

        word, dropped = done.stdout.split()
        assert (word, int(dropped) > 0) == (b"done", True)

    @pytest.mark.parametrize(
        ("stderr", "redirect"),
        [("a full disk", "2>/dev/full"), ("nothing", "2>&-"), ("a reader that left", "")],
    )
    def test_whose_stderr_cannot_be_written_goes_on(self, stderr: str, redirect: str) -> None:
        work = "for n in range(100): log.info('a_line')\ntime.sleep(0.2)"
        command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *program(work)]
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=writing if not redirect else None,
                timeout=60,
                check=True,
            )
        finally:
            os.close(writing)

        word, dropped = done.stdout.split()
        assert (word, int(dropped) > 0) == (b"done", True)

    def test_without_stderr_writes_into_nobody_elses_file(self, tmp_path: Path) -> None:
        file = tmp_path / "first file opened"
        before = f"opened = open({str(file)!r}, 'w')\nassert opened.fileno() <= 3"
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *program("log.info('a_line')", before)]

        subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)

        assert file.read_text() == ""

    def test_without_any_standard_file_gives_their_numbers_to_no_socket(
        self, tmp_path: Path
    ) -> None:
        work = (
            "import os, sys; from c2s_enrich.cli import entry; sys.argv[1:] = ['web'];"
            f" note = lambda: open({str(tmp_path / 'next')!r}, 'w').write(str(os.dup(0)));"
            " entry.PROCESSES = {'web': note}; entry.main()"
        )
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", work]

        subprocess.run(command, timeout=60, check=True)

        assert int((tmp_path / "next").read_text()) > 2

    def test_that_ends_has_written_all_of_its_lines(self) -> None:
        work = "for n in range(2000): log.info('a_line', n=n)"

        done = subprocess.run(program(work), capture_output=True, timeout=60, check=True)

        assert done.stderr.count(b"a_line") == 2000

    @pytest.mark.parametrize("read", [True, False])
    def test_that_is_wedged_ends_whatever_becomes_of_its_last_line(self, read: bool) -> None:
        reading, writing = os.pipe()
        if not read:
            os.set_blocking(writing, False)
            with suppress(BlockingIOError):
                while True:
                    os.write(writing, b"x" * 4096)
            os.set_blocking(writing, True)
        try:
            done = subprocess.run(
                program(WATCHDOG), stdout=subprocess.PIPE, stderr=writing, timeout=60, check=False
            )
            said = os.read(reading, 1 << 16)
        finally:
            os.close(reading)
            os.close(writing)

        assert done.returncode == 70
        assert (b"wedged" in said) == read


class TestAStream:
    def test_says_how_many_lines_were_lost_once_it_can(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "_ROOM", 200_000)
        reading, writing = os.pipe()
        stream = LogStream(writing)
        for _ in range(1000):
            stream.write("x" * 999 + "\n")
        until(lambda: stream.dropped > 0)
        problem = stream.problem()
        read = b""
        while b"log_lines_dropped" not in read:
            read += os.read(reading, 1 << 20)
            stream.write("y\n")

        assert problem is not None
        assert "log lines were dropped" in problem
        assert read.count(b"x" * 999) + stream.dropped >= 1000

    def test_that_is_well_has_nothing_to_say(self, tmp_path: Path) -> None:
        with (tmp_path / "log").open("wb") as file:
            stream = LogStream(file.fileno())
            stream.write("a line\n")
            stream.drain(5.0)

        assert (tmp_path / "log").read_text() == "a line\n"
        assert (stream.problem(), stream.dropped) == (None, 0)
