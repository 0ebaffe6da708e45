"""Servers that nobody owns any more: their owner and their watching shell were both killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

StopMode = Literal["smart", "fast", "immediate"]

PREFIX = "c2s-pg-"
STOP_SIGNAL: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
# Crash recovery of a demo's database takes far less.
PATIENCE = 60.0


def take(base: Path) -> IO[bytes] | None:
    """The lock on a folder, which ends with this process however it ends; None where it is
    taken.
    """
    file = (base / "owner").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def sweep() -> None:
    """Ends throwaway servers whose owner and whose watching shell were both killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            # Without the file, its owner may just be making it.
            if (folder / "owner").exists() and (owner := take(folder)):
                with owner:
                    stop_leftover(folder / "data")
                    shutil.rmtree(folder, ignore_errors=True)


def stop_leftover(data: Path) -> None:
    """Stops a server that runs in `data` although nobody owns it; one that is stopping is
    awaited.
    """
    modes: list[StopMode] = ["fast", "immediate"]
    while (pid := _server_pid(data)) is not None and modes:
        os.kill(pid, STOP_SIGNAL[modes.pop(0)])
        until = time.monotonic() + PATIENCE / 6
        while _server_pid(data) == pid and time.monotonic() < until:
            time.sleep(0.02)


def _server_pid(data: Path) -> int | None:
    """The postmaster of this data folder; None when its number is gone or belongs to another."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
        # macOS has no /proc, and numbers come back late there.
        here = Path("/proc").exists() is False or Path(f"/proc/{pid}/cwd").samefile(data)
    except (OSError, ValueError):
        return None
    return pid if here else None


def forget_reused_pid(lock_file: Path) -> None:
    """Removes a dead server's lock file whose number another program has now: Postgres would take
    that for a running server. A number that nobody has is left to Postgres, which also looks for
    children that outlived their postmaster.
    """
    with suppress(ValueError, FileNotFoundError, ProcessLookupError):
        pid = int(lock_file.read_text().split("\n", 1)[0])
        with suppress(PermissionError):
            os.kill(pid, 0)
        lock_file.unlink()
