"""The embedded server: nothing of it outlives its owner, and a durable folder keeps its data."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from c2s_enrich.sandbox import postgres, postgres_leftovers, postgres_programs

# Starts a server, says where it is, and waits to be killed.
OWNER = """
import sys, time
from pathlib import Path
from c2s_enrich.sandbox import postgres, postgres_leftovers, postgres_programs
server = postgres.start(Path(sys.argv[1])) if sys.argv[1:] else postgres.start_throwaway()
print(server.pid, server._watcher.pid, server.base, flush=True)
time.sleep(600)
"""


def own_a_server(*arguments: str) -> tuple[subprocess.Popen[str], int, int, Path]:
    """Another process with a server: that process, the server's and the watcher's number, the
    server's folder.
    """
    command = [sys.executable, "-c", OWNER, *arguments]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    server, watcher, folder = owner.stdout.readline().split()
    return owner, int(server), int(watcher), Path(folder)


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.communicate()


def runs(pid: int) -> bool:
    """Whether that process is there and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "30 s were not enough"
        time.sleep(0.02)


class TestAfterAKillOfItsOwner:
    def test_neither_the_server_nor_its_folder_is_left(self) -> None:
        owner, server, _, folder = own_a_server()

        kill(owner)

        until(lambda: not runs(server) and not folder.exists())

    def test_the_next_start_ends_what_the_watcher_could_not(self) -> None:
        owner, server, watcher, folder = own_a_server()
        os.kill(watcher, signal.SIGKILL)
        kill(owner)
        assert runs(server)

        with postgres.start_throwaway():
            assert not runs(server)
            assert not folder.exists()

    def test_the_next_start_in_a_durable_folder_takes_it_over(self, tmp_path: Path) -> None:
        owner, server, watcher, _ = own_a_server(str(tmp_path))
        os.kill(watcher, signal.SIGKILL)
        kill(owner)

        with postgres.start(tmp_path) as successor:
            assert not runs(server)
            assert runs(successor.pid or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    with postgres.start(folder):
        return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """As a first start has left it; making one takes a second."""
    shutil.copytree(made / "data", tmp_path / "data", symlinks=True)
    return tmp_path


class TestADurableFolder:
    def test_keeps_its_data(self, folder: Path) -> None:
        with postgres.start(folder) as server, psycopg.connect(server.url) as connection:
            connection.execute("create table kept as select 1 as one")

        with postgres.start(folder) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("select one from kept").fetchone() == (1,)

    def test_has_one_user_at_a_time(self, folder: Path) -> None:
        with postgres.start(folder):
            with pytest.raises(postgres_programs.EmbeddedError, match="another process uses"):
                postgres.start(folder)

    def test_may_have_a_name_that_is_too_long_for_a_socket(self, tmp_path: Path) -> None:
        with (
            postgres.start(tmp_path / ("a" * 100)) as server,
            psycopg.connect(server.url) as connection,
        ):
            assert connection.execute("select 1").fetchone() == (1,)

    def test_forgets_a_server_whose_number_another_program_has_now(self, folder: Path) -> None:
        with postgres.start(folder):
            pass
        for name in ("data/postmaster.pid", f".s.PGSQL.{postgres.PORT}.lock"):
            (folder / name).write_text(f"{os.getppid()}\n{folder / 'data'}\n")

        with postgres.start(folder) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


class TestStoppingAndStarting:
    def test_keeps_what_was_committed_and_the_address(self) -> None:
        modes: list[postgres_leftovers.StopMode] = ["smart", "fast", "immediate"]
        with postgres.start_throwaway(durable=True) as server:
            for stops, mode in enumerate(modes):
                with psycopg.connect(server.url) as connection:
                    connection.execute(f"create table kept_{stops} as select 1 as one".encode())

                server.stop(mode)
                assert server.pid is None
                server.start()

                with psycopg.connect(server.url) as connection:
                    found = connection.execute(f"select one from kept_{stops}".encode()).fetchone()
                assert found == (1,), mode

    def test_says_why_it_does_not_start(self) -> None:
        with pytest.raises(postgres_programs.EmbeddedError, match="work_mem"):
            postgres.start_throwaway(settings={"work_mem": "a lot"})
