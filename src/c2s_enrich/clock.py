"""Time inside one process: naps and countdowns. Every time that is stored is the database's."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the program needs of time; tests pass one that records naps instead of taking them."""

    def boottime(self) -> float:
        """Seconds since boot, going on while the machine sleeps or the process is stopped."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...


class SystemClock:
    """CLOCK_BOOTTIME, because a lease goes on running while a laptop or a VM is suspended."""

    def boottime(self) -> float:
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME)
            if hasattr(time, "CLOCK_BOOTTIME")
            else time.monotonic()
        )

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
