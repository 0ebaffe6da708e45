"""What was paid for, judged from the calls that came in and the trouble that was made. Pure.

An answer is paid for once. A second answer to the same question is excused only by trouble of ours
between the first one and its storing, and each piece of trouble excuses no more questions than it
can have cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

# From an answer on the wire to its COMMIT, on a busy machine.
_STORED_WITHIN_SECONDS = 2.0


@dataclass(frozen=True)
class Asked:
    """One answered call. `kind` names the source and what it was asked by; times are seconds of
    CLOCK_MONOTONIC on this machine.
    """

    kind: str
    subject: str
    started: float
    ended: float


@dataclass(frozen=True)
class Trouble:
    """Something of ours that can cut off at most `most` calls, between two times of the same
    clock.
    """

    began: float
    ended: float
    most: int


@dataclass(frozen=True)
class Restore:
    """The database was put back: what happened between these two times it may have forgotten, also
    that it told what was `told` by then (lead and text). Before `ended` no poller ran again.
    """

    began: float
    ended: float
    told: frozenset[tuple[str, str]] = frozenset()

    def forgot(self, moment: float, late: float = 0.0) -> bool:
        """Whether what happened then, and was stored up to `late` seconds after, may be gone."""
        return self.began - late <= moment <= self.ended


@dataclass(frozen=True)
class Bill:
    """One sentence for each answer that was paid for without need, and how many were asked again
    for a reason.
    """

    problems: tuple[str, ...]
    excused: int


def bill(
    asked: Iterable[Asked],
    needed: frozenset[tuple[str, str]],
    troubles: Sequence[Trouble],
    restores: Sequence[Restore],
) -> Bill:
    """Judges every call. `needed` holds the questions that the traffic gives rise to."""
    answers: dict[tuple[str, str], list[Asked]] = {}
    for call in sorted(asked, key=lambda call: call.started):
        answers.setdefault((call.kind, call.subject), []).append(call)
    problems = [
        f"paid: a {kind} that no event gave rise to was asked for"
        for kind, subject in answers
        if (kind, subject) not in needed
    ]
    # Earliest first, and each excused by the trouble that is over first: no other choice excuses
    # more of them.
    again = sorted(
        (pair for calls in answers.values() for pair in pairwise(calls)),
        key=lambda pair: pair[0].ended,
    )
    left = {number: trouble.most for number, trouble in enumerate(troubles)}
    order = sorted(left, key=lambda number: troubles[number].ended)
    excused = 0
    for first, second in again:
        if any(
            each.forgot(first.ended, _STORED_WITHIN_SECONDS) and each.ended <= second.started
            for each in restores
        ):
            excused += 1
            continue
        reason = next((n for n in order if left[n] and _cuts_off(troubles[n], first)), None)
        if reason is None:
            problems.append(
                f"paid: a {first.kind} that was answered at {first.ended:.1f} s was asked for again"
                f" at {second.started:.1f} s"
            )
        else:
            left[reason] -= 1
            excused += 1
    return Bill(tuple(problems), excused)


def _cuts_off(trouble: Trouble, call: Asked) -> bool:
    return trouble.began <= call.ended + _STORED_WITHIN_SECONDS and call.started <= trouble.ended
