"""Processes that begin as forks: each is what a fresh interpreter would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from c2s_enrich.sandbox import warm

SHOW = "import os, random, sys; print(sys.argv[1:], __name__, os.getcwd(), dict(os.environ))\n"
SLEEP = "import time; time.sleep(60)"
# Starts a child of its own, says which, and waits to be killed.
CALLER = """
import sys, time
from pathlib import Path
from c2s_enrich.sandbox import warm
print(warm.start([sys.argv[1]], {}, Path("/"), sys.stderr.buffer).pid, flush=True)
time.sleep(60)
"""


def start(folder: Path, program: str, *arguments: str) -> tuple[warm.Child, Path]:
    """The child, and the file that takes what it says."""
    script, said = folder / "program.py", folder / "said"
    script.write_text(program)
    with said.open("wb") as output:
        child = warm.start([str(script), *arguments], {"WORD": "a"}, folder, output)
    assert isinstance(child, warm.Child)
    return child, said


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class TestAForkedProcess:
    def test_has_its_arguments_its_folder_and_no_environment_but_its_own(
        self, tmp_path: Path
    ) -> None:
        child, said = start(tmp_path, SHOW, "one", "two")

        assert child.wait(20) == 0
        assert said.read_text() == f"['one', 'two'] __main__ {tmp_path} {{'WORD': 'a'}}\n"

    def test_draws_other_numbers_than_its_siblings(self, tmp_path: Path) -> None:
        drawn = set()
        for _ in range(3):
            child, said = start(tmp_path, "import random; print(random.random())")
            assert child.wait(20) == 0
            drawn.add(said.read_text())

        assert len(drawn) == 3

    @pytest.mark.parametrize(
        ("program", "status"),
        [("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os; os._exit(139)", 139)],
    )
    def test_ends_with_its_own_status(self, tmp_path: Path, program: str, status: int) -> None:
        child, said = start(tmp_path, program)

        assert child.wait(20) == status
        assert ("ZeroDivisionError" in said.read_text()) == (status == 1)

    def test_is_our_child_and_ends_with_a_signal(self, tmp_path: Path) -> None:
        child, _ = start(tmp_path, SLEEP)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        assert os.getsid(child.pid) == child.pid

        child.kill()

        assert child.wait(20) == -signal.SIGKILL

    def test_ends_with_its_caller(self, tmp_path: Path) -> None:
        script = tmp_path / "sleeps.py"
        script.write_text(SLEEP)
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                [sys.executable, "-c", CALLER, script], stdout=subprocess.PIPE, stderr=said
            ) as caller,
        ):
            assert caller.stdout is not None
            pid = int(caller.stdout.readline())
            assert not is_gone(pid)

            caller.kill()

        until = time.monotonic() + 20
        while not is_gone(pid):
            assert time.monotonic() < until
            time.sleep(0.02)
