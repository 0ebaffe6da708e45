"""`make mutants ARGS=pure`: every operator of the pure modules, changed one at a time; or those of
some modules, `ARGS="pure match skip"`.

A mutator of our own: mutmut runs a copy of the tree from its own folder and finds its mutant in the
environment, which our tests clear, and cosmic-ray starts a pytest for each mutant, which takes
longer than all tests that matter here. This one collects the tests once, notes which test comes by
which place, and forks for each mutant: some 20 ms a mutant and the tests that reach it.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from proofs.mutation import ROOT
from proofs.operators import Place, switched

MODULES = (
    "c2s_enrich.enrichment.match",
    "c2s_enrich.enrichment.message",
    "c2s_enrich.enrichment.skip",
    "c2s_enrich.people.contact",
    "c2s_enrich.people.cpf",
    "c2s_enrich.people.name",
    "c2s_enrich.queue.verdict",
)
TESTS = (
    "tests/people",
    "tests/enrichment/test_match.py",
    "tests/enrichment/test_message.py",
    "tests/enrichment/test_skip.py",
    "tests/enrichment/test_who_is_shown.py",
    "tests/queue/test_backoff_and_verdict.py",
)
VERDICTS = ROOT / "proofs" / "pure.md"
EQUIVALENT = ROOT / "proofs" / "equivalent.txt"
GOAL = 0.95
# A mutant may loop for ever. What its tests take is counted in processor time, not by the clock:
# on a busy machine every survivor would count as killed.
_LONGEST_SECONDS, _LONGEST_TIMES = 5.0, 5
_AT_ONCE = 2
_OPTIONS = ("-q", "--order=0", "--tb=no", "-m", "not database")


class _Loader(SourceLoader):
    """Compiles a module with all its switches in it."""

    def __init__(self, name: str, places: list[Place]) -> None:
        self._path = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
        self._places = places

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_data(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        file = str(self._path.relative_to(ROOT))
        tree, places = switched(self._path.read_text(), file, len(self._places))
        self._places += places
        return compile(tree, str(self._path), "exec")


class _Finder(MetaPathFinder):
    def __init__(self, modules: Sequence[str]) -> None:
        self.places: list[Place] = []
        self._modules = modules

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._modules:
            return None
        return spec_from_loader(name, _Loader(name, self.places))


class _Session:
    """A pytest plugin that, in place of the tests, runs them against one mutant after another."""

    def __init__(self, places: list[Place]) -> None:
        self.places = places
        self.survivors: list[Place] = []
        self.unreached: list[Place] = []
        self._chosen = -1
        self._reached: set[int] | None = None
        self._cost: dict[pytest.Item, float] = {}

    def is_chosen(self, number: int) -> bool:
        """What the switches ask."""
        if self._reached is not None:
            self._reached.add(number)
        return number == self._chosen

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        reaching = self._who_reaches(session)
        waiting = [place for place in self.places if place.number in reaching]
        self.unreached = [place for place in self.places if place.number not in reaching]
        running: dict[int, Place] = {}
        while waiting or running:
            while waiting and len(running) < _AT_ONCE:
                place = waiting.pop()
                running[self._start(session, place, reaching[place.number])] = place
            pid, status = os.wait()
            place = running.pop(pid)
            if status == 0:
                self.survivors.append(place)
        return True

    def _who_reaches(self, session: pytest.Session) -> dict[int, list[pytest.Item]]:
        """The tests by mutant, the fastest first. Raises where one fails without any mutant."""
        reaching: dict[int, list[tuple[float, pytest.Item]]] = {}
        self._reached = set()
        for item in session.items:
            self._reached.clear()
            began = time.process_time()
            if not _passes(session, item):
                raise pytest.UsageError(f"without a mutation {item.nodeid} must pass")
            self._cost[item] = time.process_time() - began
            for number in self._reached:
                reaching.setdefault(number, []).append((self._cost[item], item))
        self._reached = None
        return {
            number: [item for _, item in sorted(found, key=lambda pair: pair[0])]
            for number, found in reaching.items()
        }

    def _start(self, session: pytest.Session, place: Place, items: Sequence[pytest.Item]) -> int:
        pid = os.fork()
        if pid:
            return pid
        allowed = _LONGEST_SECONDS + _LONGEST_TIMES * sum(self._cost[item] for item in items)
        signal.setitimer(signal.ITIMER_PROF, allowed)
        _forget_answers()
        self._chosen = place.number
        os._exit(0 if all(_passes(session, item) for item in items) else 1)


def _forget_answers() -> None:
    """What a module remembers from before its mutation would hide it."""
    for name in MODULES:
        for value in vars(sys.modules.get(name, builtins)).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _passes(session: pytest.Session, item: pytest.Item) -> bool:
    failed = session.testsfailed
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return session.testsfailed == failed


def main(words: Sequence[str]) -> int:
    """Returns the exit status: 0 where enough mutants are killed. `words`: only the modules whose
    names end so; what they come to is printed and not written down.
    """
    by_name = {name.rpartition(".")[2]: name for name in MODULES}
    if unknown := [word for word in words if word not in by_name]:
        print(f"no pure module {unknown[0]!r}: {', '.join(by_name)}", file=sys.stderr)
        return 2
    os.chdir(ROOT)
    began = time.monotonic()
    modules = [by_name[word] for word in words or by_name]
    finder = _Finder(modules)
    session = _Session(finder.places)
    builtins.__mutant__ = session.is_chosen  # type: ignore[attr-defined]
    sys.meta_path.insert(0, finder)
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        status = pytest.main([*_OPTIONS, *TESTS], plugins=[session])
    if status not in (0, 5):
        return int(status)
    return _report(session, round(time.monotonic() - began), write=not words)


def _report(session: _Session, seconds: int, *, write: bool) -> int:
    listed = EQUIVALENT.read_text(encoding="utf-8").splitlines()
    known = {line.partition(" # ")[0] for line in listed}
    alive = session.survivors + session.unreached
    equivalent = [place for place in alive if _named(place) in known]
    left = [place for place in alive if _named(place) not in known]
    counted = len(session.places) - len(equivalent)
    share = (counted - len(left)) / counted
    files = Counter(place.file for place in session.places)
    lines = [
        "# The pure modules under every operator",
        "",
        "Written by `make mutants ARGS=pure`. Equivalent ones are in `equivalent.txt`.",
        "",
        f"{len(session.places)} mutants, {len(equivalent)} of them equivalent; of the others"
        f" {share:.1%} were killed.",
        "",
        "| file | mutants | alive |",
        "| --- | --- | --- |",
        *(
            f"| `{file}` | {count} | {sum(place.file == file for place in left)} |"
            for file, count in sorted(files.items())
        ),
        "",
        *(f"- {_named(place)}" for place in sorted(left, key=lambda place: place.number)),
    ]
    if write:
        VERDICTS.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    print(lines[4], *left, f"{seconds} s", sep="\n")
    return 0 if share >= GOAL else 1


def _named(place: Place) -> str:
    """Without the line's number, which moves."""
    return f"`{Path(place.file).name}`: `{place.right}` → `{place.changed}`"
