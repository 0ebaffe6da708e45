"""The processes that stay, as commands."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import ENVIRONMENT

# A resolver that waits for its name server looks like this to a loop.
WAITS_FOR_A_NAME = """
import asyncio, time
from c2s_enrich.cli.ending import run

async def work():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
    await asyncio.sleep(0)
    {end}

run(work(), {loop})
"""


class TestTheEndOfAProcess:
    def test_waits_for_no_name_server_that_says_nothing(self) -> None:
        ways = {1: ("raise OSError('away')", "None"), 0: ("", "asyncio.new_event_loop")}
        ending = {
            status: subprocess.Popen(
                [sys.executable, "-c", WAITS_FOR_A_NAME.format(end=end, loop=loop)],
                stderr=subprocess.DEVNULL,
            )
            for status, (end, loop) in ways.items()
        }

        for status, process in ending.items():
            try:
                assert process.wait(timeout=30) == status
            finally:
                process.kill()

    def test_that_finds_its_port_taken_is_one_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            given = {"HOST": "127.0.0.1", "PORT": port, "OPS_HOST": "127.0.0.1", "OPS_PORT": port}
            more = {"DATABASE_URL": "postgresql://ana@/x", "ADMIN_TOKEN": "an-admin-token" * 3}
            ending = [
                subprocess.Popen(
                    [sys.executable, "-m", "c2s_enrich", name],
                    stderr=subprocess.PIPE,
                    env={"PATH": os.environ["PATH"], **ENVIRONMENT, **given, **more},
                    text=True,
                )
                for name in ("web", "ops")
            ]
            said = [process.communicate(timeout=30)[1] for process in ending]

        assert [process.returncode for process in ending] == [1, 1]
        for words in said:
            assert f"error: cannot listen on 127.0.0.1:{port}: " in words
            assert "Traceback" not in words


class TestAProcessForSuspects:
    def test_whose_parent_has_ended_does_not_wait_for_the_database(self, tmp_path: Path) -> None:
        away = {"DATABASE_URL": f"postgresql://ana@/x?host={tmp_path}", "METRICS_PORT": "0"}
        command = [sys.executable, "-m", "c2s_enrich", "poller", "--suspects", "a-name"]

        ended = subprocess.run(
            command,
            input="",
            capture_output=True,
            env={"PATH": os.environ["PATH"], **ENVIRONMENT, **away},
            text=True,
            timeout=30,
            check=False,
        )

        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
        assert '"stopped"' in ended.stderr


class TestAPoller:
    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the limits of others")
    def test_has_files_for_all_its_connections(self, tmp_path: Path) -> None:
        more = {"DATABASE_URL": f"postgresql:///x?host={tmp_path}", "METRICS_PORT": "0"}
        process = subprocess.Popen(
            ["sh", "-c", 'ulimit -S -n 256 && exec "$0" -m c2s_enrich poller', sys.executable],
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], **ENVIRONMENT, **more},
        )
        limits = Path(f"/proc/{process.pid}/limits")
        try:
            until = time.monotonic() + 30
            while not re.search(r"Max open files +4080", limits.read_text()):
                assert time.monotonic() < until, limits.read_text()
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
