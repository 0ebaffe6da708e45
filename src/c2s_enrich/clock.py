"""Time inside one process: naps, and its last second. Every time that is stored is the
database's.
"""

import asyncio
import os
import threading
import time


class Clock:
    """What the program needs of time; tests pass one that records naps instead of taking them."""

    def boottime(self) -> float:
        """Seconds since boot; they go on while all is suspended, as a lease does."""
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def leave_soon(status: int) -> threading.Timer:
    """Ends this process with `status` a second from now, unless it is cancelled before. A name
    server that says nothing keeps a loop and the interpreter from ending for half a minute.
    """
    timer = threading.Timer(1.0, os._exit, [status])
    timer.daemon = True
    timer.start()
    return timer
