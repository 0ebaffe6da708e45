"""Time inside one process: naps and countdowns. Every time that is stored is the database's."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the program needs of time; tests pass one that records naps instead of taking them."""

    def boottime(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def boottime(self) -> float:
        """Seconds since boot; they go on while all is suspended, as a lease does."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
