"""What went wrong here lately although the request was right: /health tells it in numbers."""

from dataclasses import dataclass

from c2s_enrich.clock import Clock

_ANSWERED_503 = (
    "{count} requests were answered 503 within {within:.0f} s, the last one {ago:.0f} s ago: {why}."
)


@dataclass
class _Run:
    """What failed for one reason without a success in between; times by the clock."""

    count: int
    first: float
    last: float
    why: str


class Faults:
    """By reason, in this process's memory. `sentence` tells of one from `count`, `why`, and the
    seconds `within` and `ago`. `fresh` seconds after the last it has passed, or nobody delivers.
    """

    def __init__(self, clock: Clock, sentence: str = _ANSWERED_503, fresh: float = 600.0) -> None:
        self._clock, self._sentence, self._fresh = clock, sentence, fresh
        self._runs: dict[str, _Run] = {}

    def add(self, reason: str, why: str = "", count: int = 1) -> None:
        """`why` ends a sentence and must hold nothing that a sender wrote."""
        now = self._clock.boottime()
        run = self._runs.get(reason)
        if run is None or now - run.last > self._fresh:
            run = self._runs[reason] = _Run(0, now, now, why)
        run.count, run.last, run.why = run.count + count, now, why

    def end(self, reason: str) -> None:
        self._runs.pop(reason, None)

    def sentences(self) -> list[str]:
        now = self._clock.boottime()
        return [
            self._sentence.format(
                count=run.count, why=run.why, within=now - run.first, ago=now - run.last
            )
            for run in self._runs.values()
            if now - run.last <= self._fresh
        ]
