"""A real poller that kills itself with SIGKILL at one named point of an event's life: poller_that_dies.py POINT"""

import asyncio
import os
import signal
import sys

from c2s_enrich.settings import Settings
from c2s_enrich.telemetry import Metrics, configure_logging
from c2s_enrich.wiring import build_poller


async def run(point: str) -> None:
    async def boundary(reached: str) -> None:
        if reached == point:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings.load(os.environ, "poller")
    configure_logging(settings, "poller")
    async with build_poller(settings, Metrics(), boundary=boundary) as poller:
        await poller.run()


asyncio.run(run(sys.argv[1]))
