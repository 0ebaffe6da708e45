"""The peers: other Postgres queues for Python, each in a process of the peers' own environment."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from bench.machine import DRIVERS, ROOT, database

LOCK = ROOT / "bench/requirements-peers.lock"
# Events and slots with which each was fastest and a drain takes some seconds.
SYSTEMS = {
    "pgqueuer": (20_000, 100),
    "awa": (20_000, 200),
    "oban": (10_000, 100),
    "chancy": (6_000, 200),
    "procrastinate": (4_000, 64),
}


def environment() -> Path:
    """The peers' Python, installed from the lock once. oban needs Python 3.12 or newer.

    Raises RuntimeError with the installer's last words.
    """
    folder = ROOT / ".bench/peers"
    python = folder / "bin/python"
    stamp = folder / "ready"
    if stamp.exists() and stamp.read_text() == LOCK.read_text():
        return python
    newest = next(filter(None, map(_works, _candidates())), "python3")
    commands = (
        [newest, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)],
    )
    for command in commands:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(ended.stderr.strip().splitlines()[-1][:300])
    stamp.write_text(LOCK.read_text())
    return python


def _candidates() -> list[str]:
    """The newest first; a version manager's own folder where its shims refuse."""
    managed = sorted(Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python"), reverse=True)
    return ["python3.14", "python3.13", "python3.12", *map(str, managed), "python3"]


def _works(name: str) -> str | None:
    """A Python that starts: the shim of a version manager may not."""
    found = shutil.which(name)
    if found is None:
        return None
    ended = subprocess.run([found, "-c", "import venv"], capture_output=True, check=False)
    return found if ended.returncode == 0 else None


def run(
    server: str, folder: Path, python: Path, system: str, payload: object, *, share: float = 1.0
) -> dict[str, float]:
    """One drain of a `share` of the events and one pick-up of one peer. Raises RuntimeError with
    its last words.
    """
    whole, slots = SYSTEMS[system]
    events = max(1, round(whole * share / 1000)) * 1000
    with database(server, f"bench_{system}", None) as url:
        command = [str(python), str(DRIVERS / "peer.py"), url, system]
        ended = subprocess.run(
            [*command, str(events), str(slots), "200"],
            input=json.dumps(payload), capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
    (folder / f"{system}.log").write_text(ended.stderr)
    if ended.returncode:
        words = ended.stderr.strip().splitlines() or ["no word"]
        raise RuntimeError(words[-1][:300])
    return dict(json.loads(ended.stdout.strip().splitlines()[-1]))
