"""Ends a process whose claim loop no longer comes round; its supervisor starts it again."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.logs import log_stream

_log = get_logger("c2s_enrich.queue")

# Exit status of a process that the watchdog ended (EX_SOFTWARE).
WEDGED = 70

_TICK = 1.0
# Seconds for the line that says why.
_LAST_WORDS = 1.0


class Watchdog:
    """A thread, because a blocked event loop can run no task. `alive()` must be called at least
    every `seconds`.

    It counts its own ticks instead of asking a clock: a process that was stopped or a machine that
    slept has not ticked either, and is given the whole time again.
    """

    def __init__(self, seconds: float) -> None:
        self._limit = seconds
        self._alive_at = time.monotonic()
        self._over = threading.Event()

    def alive(self) -> None:
        self._alive_at = time.monotonic()

    def silent_for(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._alive_at

    def stuck(self) -> str | None:
        """A sentence from half of the time limit on, for whoever can restart the process."""
        silent = self.silent_for()
        return f"The claim loop hangs for {silent:.0f} s." if silent > self._limit / 2 else None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches while inside; ends the process with status 70 when nothing calls `alive`."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self) -> None:
        seen, silent = self._alive_at, 0.0
        while not self._over.wait(_TICK):
            silent = silent + _TICK if self._alive_at == seen else 0.0
            seen = self._alive_at
            if silent >= self._limit:
                # The exit must not depend on whoever holds a lock, so another thread says why.
                teller = threading.Thread(target=_tell, args=(silent,), daemon=True)
                teller.start()
                teller.join(_LAST_WORDS)
                os._exit(WEDGED)


def _tell(silent: float) -> None:
    _log.critical("wedged", seconds=round(silent))
    if (stream := log_stream()) is not None:
        stream.drain(_LAST_WORDS)
