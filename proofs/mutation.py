"""Mutations of the product, and what the tests say to them.

A mutant is a small textual change in a copy of the repository. A mutation whose place cannot be
found, or whose tests cannot run, is a fault of the list and never a verdict.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_name("mutants.toml")
Verdict = Literal["killed", "survived"]

# pytest's exit statuses: all passed, some failed. Everything else says nothing about the mutant.
_PASSED, _FAILED = 0, 1
# Ours, for tests that had to be ended.
_ENDLESS = -1
_OPTIONS = ("-q", "-x", "--order=0", "--tb=no")
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


class ListError(Exception):
    """The list of mutants does not fit the repository."""


@dataclass(frozen=True)
class Mutant:
    """`changes` are pairs of texts, each looked for after `within`; without it the first text must
    be in the file exactly once. `reason` says why the mutant may survive.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
    within: str | None = None
    reason: str | None = None

    def applied_to(self, text: str) -> str:
        """The file's text with the mutation in it. Raises ListError where its place is missing."""
        start = 0
        if self.within is not None:
            if text.count(self.within) != 1:
                raise ListError(f"{self.name}: {self.within!r} is not once in {self.file}")
            start = text.index(self.within) + len(self.within)
        for old, new in self.changes:
            found = text.count(old, start)
            if found == 0 or (found > 1 and self.within is None):
                raise ListError(f"{self.name}: {old!r} is {found} times in {self.file}")
            place = text.index(old, start)
            text = text[:place] + new + text[place + len(old) :]
        return text


@dataclass(frozen=True)
class Outcome:
    """What came of one mutant. `by` is the first test that failed, "" where none did."""

    mutant: Mutant
    verdict: Verdict
    by: str
    seconds: float


def read_list(path: Path = LIST) -> list[Mutant]:
    """Every mutant of the list. Raises ListError for one that is incomplete or named twice."""
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
        try:
            changes = ((entry.pop("old"), entry.pop("new")), *map(tuple, entry.pop("also", ())))
            found.append(Mutant(changes=changes, **entry | {"tests": tuple(entry["tests"])}))
        except (KeyError, TypeError) as error:
            raise ListError(f"{entry.get('name')}: {error}") from None
    names = [mutant.name for mutant in found]
    if len(names) != len(set(names)):
        raise ListError("two mutants have one name")
    return found


class Copy:
    """A copy of the repository that tests run in. `database_url` is their databases' server."""

    def __init__(self, folder: Path, database_url: str, longest: float = 120) -> None:
        self.folder = folder
        # A mutant may turn a wait into one without end.
        self._longest = longest
        self._database_url = database_url

    def outcome(self, mutant: Mutant) -> Outcome:
        """Runs the mutant's tests against it, and leaves the copy as it was."""
        file = self.folder / mutant.file
        right = file.read_text(encoding="utf-8")
        began = time.monotonic()
        file.write_text(mutant.applied_to(right), encoding="utf-8")
        try:
            status, output = self.run(mutant.tests)
        except subprocess.TimeoutExpired:
            status, output = _ENDLESS, ""
        finally:
            file.write_text(right, encoding="utf-8")
        if status == _ENDLESS:
            # On a busy machine the right product may be as slow.
            self._must_end(mutant)
            return Outcome(mutant, "killed", "never ends", self._longest)
        if status not in (_PASSED, _FAILED):
            raise ListError(f"{mutant.name}: its tests do not run:\n{output[-1500:]}")
        failed = _FAILURE.search(output)
        return Outcome(
            mutant,
            "survived" if status == _PASSED else "killed",
            failed[1] if failed else "",
            round(time.monotonic() - began, 1),
        )

    def _must_end(self, mutant: Mutant) -> None:
        with suppress(subprocess.TimeoutExpired):
            status, _ = self.run(mutant.tests)
            if status == _PASSED:
                return
        raise ListError(f"{mutant.name}: its tests do not end in time without it either")

    def run(self, tests: Sequence[str], limit: float | None = None) -> tuple[int, str]:
        """Exit status and output of pytest in the copy."""
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *_OPTIONS, *tests],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit or self._longest,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    @property
    def _environment(self) -> Mapping[str, str]:
        return os.environ | {
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TEST_DATABASE_URL": self._database_url,
        }


@contextmanager
def copied(database_url: str) -> Iterator[Copy]:
    """A copy of every file that git knows, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    with tempfile.TemporaryDirectory(prefix="c2s-mutant-") as folder:
        for name in listed.stdout.decode().rstrip("\0").split("\0"):
            if (ROOT / name).is_file():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        yield Copy(Path(folder), database_url)
