"""The real poller with a handler that does nothing. Runs with either version of the product.

Says "ready", waits for a line, works until SIGTERM. With --tell it prints the monotonic time of
each event's first line, for the measurement of pick-up.
"""

import asyncio
import gc
import signal
import sys
import time
from functools import partial

from c2s_enrich import wiring
from c2s_enrich.queue.claim import Done
from c2s_enrich.settings import Settings

try:
    from c2s_enrich.telemetry.logs import configure_logging
    from c2s_enrich.telemetry.metrics import Metrics
except ModuleNotFoundError:  # before the rooms were laid out
    from c2s_enrich.telemetry import Metrics, configure_logging  # type: ignore[no-redef]

try:
    import uvloop

    from c2s_enrich.cli.ending import run as run_on

    # As the product's own poller (`cli/entry.py`).
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    run = partial(run_on, loop_factory=uvloop.new_event_loop)
except ImportError:
    run = asyncio.run  # type: ignore[assignment]

TELL = "--tell" in sys.argv


async def noop(*_: object) -> Done:
    if TELL:
        print(time.perf_counter(), flush=True)
    return Done("enriched")


async def main() -> None:
    import os

    settings = Settings.load(os.environ, "poller")
    configure_logging(settings, "poller")
    wiring.build_pipeline = lambda *_, **__: noop  # type: ignore[assignment]
    async with wiring.build_poller(settings, Metrics()) as poller:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, poller.stop)
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        await poller.run()


run(main())
