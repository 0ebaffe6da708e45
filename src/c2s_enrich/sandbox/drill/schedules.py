"""The matrix: every point of an event's life, times every point of its next attempt, times every
answer of C2S, times how long it is until that next attempt. Pure: names the schedules, plays none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from c2s_enrich.sandbox.drill.plan import POINTS

Answer = Literal["yes", "no", "lost before", "lost after", "late"]
"""What becomes of a message: taken; refused before a byte left; lost on its way; taken, and the
answer lost; not answered, and taken at the last moment of the settle time."""
Fate = Literal["dies", "sleeps", "ends"]
"""What happens to the process at that point: killed, or stopped until others have gone on."""
Gap = Literal["reset", "soon", "settled"]
"""Until the next attempt: an operator resets the row at once; the lease is over; the settle time
is over, too."""

ANSWERS: tuple[Answer, ...] = ("yes", "no", "lost before", "lost after", "late")
_ANSWERED = POINTS.index("answered")
BEFORE_THE_ANSWER = POINTS[:_ANSWERED]
_SETTLING = ("settle", "settled")
# Only a clear yes lets the step end as planned.
_AFTER: dict[Answer, tuple[str, ...]] = dict.fromkeys(ANSWERS, _SETTLING) | {
    "yes": (*POINTS[_ANSWERED:], *_SETTLING)
}


@dataclass(frozen=True)
class Attempt:
    """One attempt: how far it comes, what happens to its process there, and what C2S answers to the
    message that it sends (None where it does not come to that).
    """

    fate: Fate
    point: str | None = None
    answer: Answer | None = None

    def __str__(self) -> str:
        where = f" at {self.point}" if self.point else ""
        return f"{self.fate}{where}" + (f" after {self.answer!r}" if self.answer else "")


@dataclass(frozen=True)
class Schedule:
    """Two attempts that are disturbed; what is left then is worked off without trouble."""

    first: Attempt
    gap: Gap
    second: Attempt

    def __str__(self) -> str:
        return f"the first {self.first}, then {self.gap}, the second {self.second}"


def attempts() -> Iterator[Attempt]:
    """All attempts that differ."""
    fates: tuple[Fate, ...] = ("dies", "sleeps")
    for fate, point in product(fates, BEFORE_THE_ANSWER):
        yield Attempt(fate, point)
    for answer in ANSWERS:
        for fate, point in product(fates, _AFTER[answer]):
            yield Attempt(fate, point, answer)
        yield Attempt("ends", None, answer)


def schedules() -> tuple[Schedule, ...]:
    """All of them, in an order in which neighbours have little in common, so that every n-th is a
    fair sample.
    """
    every = [
        Schedule(first, gap, second)
        for first, second in product(attempts(), attempts())
        for gap in _gaps_after(first)
    ]
    step = 1_009  # a prime that divides no size this matrix will have
    return tuple(every[number * step % len(every)] for number in range(len(every)))


def _gaps_after(attempt: Attempt) -> tuple[Gap, ...]:
    """Where nothing was sent, there is nothing to settle."""
    nothing_sent = attempt.point in BEFORE_THE_ANSWER and attempt.point != "permitted"
    return ("reset", "soon") if nothing_sent else ("reset", "soon", "settled")
