"""`make mutants`: every mutant of the list against the tests that are meant to kill it.

    make mutants                       all of them; writes the verdicts to proofs/verdicts.md
    make mutants ARGS="permit_send"    those whose name or file holds this text
    make mutants ARGS=pure             every operator of the pure modules (see pure.py)

The exit status is 0 when no mutant survives without a written reason.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue

from c2s_enrich.sandbox import postgres
from proofs.mutation import LIST, Copy, ListError, Mutant, Outcome, copied, read_list

VERDICTS = LIST.with_name("verdicts.md")
_AT_ONCE = 2
_BASELINE_SECONDS = 900.0


def main(words: Sequence[str]) -> int:
    """Returns the exit status."""
    if words and words[0] == "pure":
        from proofs.pure import main as pure

        return pure(words[1:])
    mutants = [
        mutant
        for mutant in read_list()
        if all(word in f"{mutant.name} {mutant.file}" for word in words)
    ]
    if not mutants:
        print(f"no mutant's name or file holds {' and '.join(words)}", file=sys.stderr)
        return 2
    began = time.monotonic()
    try:
        outcomes = run(mutants)
    except ListError as error:
        print(error, file=sys.stderr)
        return 2
    took = round(time.monotonic() - began)
    survivors = [outcome for outcome in outcomes if outcome.verdict == "survived"]
    unexplained = [outcome for outcome in survivors if outcome.mutant.reason is None]
    print(
        f"{len(outcomes)} mutants in {took} s: {len(outcomes) - len(survivors)} killed,"
        f" {len(survivors)} survived, {len(unexplained)} of them without a reason"
    )
    for outcome in unexplained:
        print(f"  survived: {outcome.mutant.name} ({outcome.mutant.file})")
    if not words:
        VERDICTS.write_text(table(outcomes), encoding="utf-8")
    return 1 if unexplained else 0


def run(mutants: Sequence[Mutant]) -> list[Outcome]:
    """The outcomes in the order of the list. Raises ListError where the tests are red without any
    mutation: then no verdict would mean anything.
    """
    copies: SimpleQueue[Copy] = SimpleQueue()
    with ExitStack() as stack:
        server = stack.enter_context(postgres.start_throwaway(settings={"max_connections": "200"}))
        for _ in range(_AT_ONCE):
            copies.put(stack.enter_context(copied(server.url)))

        def judged(mutant: Mutant) -> Outcome:
            copy = copies.get()
            try:
                outcome = copy.outcome(mutant)
            finally:
                copies.put(copy)
            print(f"{outcome.verdict:8} {outcome.seconds:6.1f} s  {mutant.name}", flush=True)
            return outcome

        def check(tests: Sequence[str]) -> None:
            copy = copies.get()
            status, output = copy.run(tests, _BASELINE_SECONDS)
            copies.put(copy)
            if status:
                raise ListError(f"without a mutation the tests must pass:\n{output[-3000:]}")

        tests = sorted({test for mutant in mutants for test in mutant.tests})
        with ThreadPoolExecutor(_AT_ONCE) as workers:
            # An empty share would be the whole suite.
            list(workers.map(check, filter(None, (tests[n::_AT_ONCE] for n in range(_AT_ONCE)))))
            return list(workers.map(judged, mutants))


def table(outcomes: Sequence[Outcome]) -> str:
    """The verdicts as they stand in the repository."""
    lines = [
        "# Verdicts of the mutants",
        "",
        "Written by `make mutants`. A survivor has its reason in `mutants.toml`.",
        "",
        "| mutant | file | verdict | by |",
        "| --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        by = outcome.by.split("::", 1)[-1] or outcome.mutant.reason or "**no reason**"
        lines.append(
            f"| {outcome.mutant.name} | `{outcome.mutant.file}` | {outcome.verdict} | {by} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
