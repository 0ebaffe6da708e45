"""Clocks that tests hand in."""

from __future__ import annotations

from c2s_enrich.clock import Clock


class Naps(Clock):
    """A clock that records naps instead of taking them."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def boottime(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)
