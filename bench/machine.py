"""What the measurements share: processes with their CPU and memory, databases, checkouts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).parents[1]
DRIVERS = Path(__file__).with_name("drivers")
# The last commit before the work on cost began; every ratio to "the last release" is to this one.
BASELINE = "87b648c"
_TICKS = os.sysconf("SC_CLK_TCK")

# One lead as C2S sends it, some 600 bytes. Peers get the same bytes.
PAYLOAD: dict[str, Any] = {
    "id": "lead",
    "attributes": {
        "updated_at": "2025-01-20T10:00:00Z",
        "customer": {
            "name": "Lead de Teste",
            "email": "lead@example.com",
            "phone": "5511900000001",
        },
        "pad": "x" * 430,
    },
}


@dataclass(frozen=True)
class Checkout:
    """One version of the product: this one, or the baseline in a git worktree."""

    name: str
    folder: Path

    def env(self, url: str, **more: str) -> dict[str, str]:
        """A process environment with that version first on the path, and no rate limits. Raises
        RuntimeError where this clone does not have it.
        """
        if not (self.folder / "src").is_dir():
            raise RuntimeError(f"{self.name} is not here: git fetch --unshallow")
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return kept | {
            "PYTHONPATH": f"{self.folder / 'src'}:{ROOT}",
            "DATABASE_URL": url,
            "HOST": "127.0.0.1",
            "WEBHOOK_SECRET": "bench-webhook-token",
            "HASH_KEY": "bench-hash-key-of-no-value-at-all",
            "C2S_TOKEN": "a-c2s-token",
            "WORK_API_TOKEN": "a-work-token",
            "DIRETRIX_USER": "a-user",
            "DIRETRIX_PASS": "a-password",
            "C2S_MIN_INTERVAL": "0",
            "WORK_API_MIN_INTERVAL": "0",
            "METRICS_PORT": "0",
            **more,
        }


@contextmanager
def baseline() -> Iterator[Checkout]:
    """The baseline in a worktree of its own, removed at the end."""
    folder = ROOT / ".bench" / BASELINE
    subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
    if not folder.exists():
        command = ["git", "worktree", "add", "--quiet", "--detach", str(folder), BASELINE]
        subprocess.run(command, cwd=ROOT, check=False)
    try:
        yield Checkout(BASELINE, folder)
    finally:
        command = ["git", "worktree", "remove", "--force", str(folder)]
        subprocess.run(command, cwd=ROOT, check=False)


HERE = Checkout("this commit", ROOT)


@contextmanager
def database(server: str, name: str, checkout: Checkout | None = HERE) -> Iterator[str]:
    """A database of its own, migrated by `checkout` (None: empty); yields its address."""
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        )
        admin.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    url = re.sub(r"/postgres\?", f"/{name}?", server)
    try:
        if checkout is not None:
            command = [sys.executable, "-m", "c2s_enrich", "migrate"]
            subprocess.run(command, env=checkout.env(url), check=True, stdout=subprocess.DEVNULL)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create extension if not exists pg_stat_statements")
        yield url
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(
                sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            )


@contextmanager
def process(
    command: Sequence[str | Path], env: Mapping[str, str], log: Path, *, talk: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A process whose output goes to `log`; with `talk` its stdin and stdout are pipes."""
    pipe = subprocess.PIPE if talk else None
    with log.open("ab") as sink:
        started = subprocess.Popen(
            [str(part) for part in command], env=dict(env), stderr=sink, text=True,
            stdin=pipe or subprocess.DEVNULL, stdout=pipe or sink,
        )  # fmt: skip
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            try:
                started.wait(40)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


def driver(name: str, *arguments: object) -> list[str]:
    """The command of one of `bench/drivers`."""
    return [sys.executable, str(DRIVERS / f"{name}.py"), *map(str, arguments)]


def hear(stream: IO[str] | None, word: str) -> None:
    """Waits for a line of a driver. Raises RuntimeError when another one comes, or the end."""
    line = stream.readline().strip() if stream is not None else ""
    if line != word:
        raise RuntimeError(f"a driver said {line!r} instead of {word!r}; see the logs")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> float:
    """Resident memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return round(int(found[1]) / 1024, 1) if found else 0.0


def machine() -> dict[str, object]:
    """What this machine is and how busy it was when the run began."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": model[1] if model else "unknown",
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "commit": commit.stdout.strip(),
    }


def statements(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Calls by statement since the last reset, of this database, without this question."""
    rows = connection.execute(
        "select left(regexp_replace(query, '\\s+', ' ', 'g'), 200), sum(calls)::int"
        "  from pg_stat_statements s join pg_database d on d.oid = s.dbid"
        " where d.datname = current_database() and query not like '%pg_stat_statements%'"
        " group by 1 order by 2 desc"
    )
    return dict(rows.fetchall())


def wait_until_settled(connection: psycopg.Connection[Any], seconds: float = 600) -> None:
    """Returns when no event waits or runs. Raises TimeoutError."""
    until = time.monotonic() + seconds
    open_events = "select 1 from webhook_events where status in ('received', 'processing') limit 1"
    while connection.execute(open_events).fetchone() is not None:
        if time.monotonic() > until:
            raise TimeoutError("events are still open")
        time.sleep(0.05)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def rounds(times: int, systems: Mapping[str, Callable[[], dict[str, Any]]]) -> dict[str, Any]:
    """Runs each system in turn, `times` times over; the median of each number, and all of them.

    A system that cannot run is named with its reason instead of being dropped.
    """
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    failed: dict[str, str] = {}
    for _ in range(times):
        for name, run in systems.items():
            if name in failed:
                continue
            try:
                seen[name].append(run())
                said = "  ".join(
                    f"{key} {value:g}"
                    for key, value in seen[name][-1].items()
                    if isinstance(value, int | float)
                )
                print(f"    {name:16} {said}", flush=True)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {str(error)[:200]}"
                print(f"    {name:16} could not run: {failed[name]}", flush=True)
    medians: dict[str, Any] = {
        name: {key: _middle([result[key] for result in results]) for key in results[0]}
        | {"range": {key: [r[key] for r in results] for key in results[0]}}
        for name, results in seen.items()
        if results
    }
    return medians | {name: {"cannot run": reason} for name, reason in failed.items()}


def _middle(values: list[Any]) -> Any:
    """The median of numbers; of anything else the last."""
    return median(values) if all(isinstance(each, int | float) for each in values) else values[-1]


def run_json(command: Sequence[str], env: Mapping[str, str], log: Path, seconds: float) -> Any:
    """Runs a driver to its end and reads its last line as JSON."""
    with log.open("ab") as sink:
        ended = subprocess.run(
            command, env=dict(env), stdout=subprocess.PIPE, stderr=sink, timeout=seconds, check=True
        )
    return json.loads(ended.stdout.decode().strip().splitlines()[-1])
