"""A real poller with one habit: poller_that_misbehaves.py crashes-on LEAD | freezes-at POINT |
stands-still-at POINT

`crashes-on` ends the process with os._exit, as a crash in a C extension does, each time it begins
to work on that lead. `freezes-at` stops the process with SIGSTOP, once, when an event first reaches
that named point. `stands-still-at` does the same, and its clock has not moved when it goes on.
"""

import asyncio
import os
import signal
import sys
from functools import partial

from c2s_enrich.clock import Clock
from c2s_enrich.queue.claim import Claim, Done, Journal, Lease
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.logs import configure_logging
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring import build_poller


class StoppingClock(Clock):
    """A clock that can lose time, as on a machine that was suspended."""

    lost = 0.0

    def boottime(self) -> float:
        return super().boottime() - self.lost


async def run(habit: str, subject: str, suspects: str = "") -> None:
    frozen: list[str] = []
    clock = StoppingClock()

    async def boundary(reached: str) -> None:
        if habit in ("freezes-at", "stands-still-at") and reached == subject and not frozen:
            frozen.append(reached)
            before = clock.boottime()
            os.kill(os.getpid(), signal.SIGSTOP)
            if habit == "stands-still-at":
                clock.lost = clock.boottime() - before

    settings = Settings.load(os.environ, "poller")
    configure_logging(settings, "poller")
    command = None if suspects else (sys.executable, __file__, habit, subject)
    async with build_poller(
        settings, Metrics(), boundary=boundary, clock=clock, suspects=command, worker=suspects
    ) as poller:
        work = poller.handler

        async def handler(claim: Claim, lease: Lease, journal: Journal) -> Done:
            if habit == "crashes-on" and claim.lead_id == subject:
                # Late enough that the claim's other events are in flight too: they are to be
                # suspected, and to be cleared.
                await asyncio.sleep(0.2)
                os._exit(139)
            return await work(claim, lease, journal)

        poller.handler = handler
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, partial(poller.stop))
        await (poller.drain() if suspects else poller.run())


asyncio.run(run(*sys.argv[1:4]))
