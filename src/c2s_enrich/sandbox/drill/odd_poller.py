"""A real poller with something wrong: `python -m c2s_enrich.sandbox.drill.odd_poller die_at POINT`,
`… sleep_at POINT` or `… clock SECONDS`.

It kills itself with SIGKILL at a named point of an event's life, or once freezes there past its
lease without noticing, or its clocks are wrong by so many seconds. The product needs no switch for
any of it: all come in where the tests hand in theirs.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from c2s_enrich.clock import Clock
from c2s_enrich.sandbox.drill.plan import FROZEN_SECONDS
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.logs import configure_logging
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring import Boundary, build_poller

# A sleeper ends so long after it has woken.
_TO_SETTLE_SECONDS = 1.0


class WrongClock(Clock):
    """Seconds since a boot that was at another time."""

    def __init__(self, wrong_by: float) -> None:
        self._wrong_by = wrong_by

    def boottime(self) -> float:
        return super().boottime() + self._wrong_by


def die_at(point: str) -> Boundary:
    """Ends this process at that point as the kernel would: nothing is closed, nothing is said."""

    async def boundary(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return boundary


class Sleepwalker(Clock):
    """A clock that stood still while the process did, so that its countdown cannot tell that a
    lease is over.
    """

    def __init__(self, point: str) -> None:
        self._point = point
        self._slept = 0.0

    def boottime(self) -> float:
        return super().boottime() - self._slept

    async def boundary(self, reached: str) -> None:
        """Freezes the whole process, its heartbeat too, the first time that it comes to the
        point.
        """
        if reached == self._point and not self._slept:
            self._slept = FROZEN_SECONDS
            time.sleep(FROZEN_SECONDS)  # noqa: ASYNC251 the loop has to stand still
            asyncio.get_running_loop().call_later(_TO_SETTLE_SECONDS, sys.exit)


def set_wall_clock(wrong_by: float) -> None:
    """Shifts what this process takes for the time of day."""
    right = time.time
    time.time = lambda: right() + wrong_by


async def run(boundary: Boundary | None, clock: Clock) -> None:
    """Works as `c2s-enrich poller` does, until a signal."""
    settings = Settings.load(os.environ, "poller")
    configure_logging(settings, "poller")
    async with build_poller(settings, Metrics(), boundary=boundary, clock=clock) as poller:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, poller.stop)
        await poller.run()


def main(kind: str, value: str) -> None:
    """Reads the call."""
    if kind == "die_at":
        asyncio.run(run(die_at(value), Clock()))
    elif kind == "sleep_at":
        sleepwalker = Sleepwalker(value)
        asyncio.run(run(sleepwalker.boundary, sleepwalker))
    else:
        set_wall_clock(float(value))
        asyncio.run(run(None, WrongClock(float(value))))


if __name__ == "__main__":
    main(*sys.argv[1:])
