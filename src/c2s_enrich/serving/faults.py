"""What went wrong here lately although the request was right: /health tells it in numbers."""

from dataclasses import dataclass

from c2s_enrich.clock import Clock

# Seconds after the last one: by then it has passed, or nobody delivers.
_FRESH = 600.0


@dataclass
class _Run:
    """Requests that failed for one reason without one that succeeded in between."""

    count: int
    first: float
    last: float
    why: str


class OwnFaults:
    """Requests answered 503, by reason, in this process's memory."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._runs: dict[str, _Run] = {}

    def add(self, reason: str, why: str) -> None:
        """One more. `why` ends a sentence and must hold nothing that a sender wrote."""
        now = self._clock.boottime()
        run = self._runs.get(reason)
        if run is None or now - run.last > _FRESH:
            run = self._runs[reason] = _Run(0, now, now, why)
        run.count, run.last, run.why = run.count + 1, now, why

    def end(self, reason: str) -> None:
        self._runs.pop(reason, None)

    def sentences(self) -> list[str]:
        now = self._clock.boottime()
        return [
            f"{run.count} requests were answered 503 within {now - run.first:.0f} s, the last one"
            f" {now - run.last:.0f} s ago: {run.why}."
            for run in self._runs.values()
            if now - run.last <= _FRESH
        ]
