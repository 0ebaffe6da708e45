"""Suspects run in a process of their own, one at a time: whatever takes that process down takes
nobody along, and everything else goes on meanwhile.

The process is this program once more, with the same environment. It ends when no suspect is due,
and when its standard input does: that is this process's life.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from c2s_enrich.telemetry.lines import get_logger

_log = get_logger("c2s_enrich.queue")

# It holds an event all the time, but for its first seconds. One that holds nothing for so long
# hangs or is stopped, and all suspects wait behind it.
_MOST_IDLE_SECONDS = 30.0

COMMAND = (sys.executable, "-m", "c2s_enrich", "poller", "--suspects")


@dataclass
class SuspectProcess:
    """At most one at a time, each a worker of its own. `command` is None in the process that works
    on suspects itself.
    """

    worker: str
    command: Sequence[str] | None
    _process: asyncio.subprocess.Process | None = None
    _started: int = 0
    _idle: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.worker}.{self._started}"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts it unless it is running. Where the machine has none to give, suspects wait."""
        if self.command is None or self._process is not None:
            return
        self._started += 1
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command, self.name, stdin=asyncio.subprocess.PIPE
            )
        except OSError as error:
            _log.warning("suspect_process_not_started", error=str(error))
        else:
            _log.info("suspect_process_started", pid=self._process.pid)

    def take_ended(self) -> list[str]:
        """The name of the worker whose process has ended since the last call."""
        if self._process is None or self._process.returncode is None:
            return []
        if self._process.returncode:
            _log.warning("suspect_process_died", status=self._process.returncode)
        self._process = None
        return [self.name]

    def end_if_stuck(self, *, at_work: bool, seconds: float) -> None:
        """To be told at each look whether it holds an event, and how long ago the last look was."""
        self._idle = 0.0 if at_work or not self.running else self._idle + seconds
        if self._idle >= _MOST_IDLE_SECONDS and self._process is not None:
            _log.warning("suspect_process_stuck", idle_seconds=round(self._idle))
            self._process.kill()

    async def stop(self, patience: float) -> None:
        """It gives back or finishes what it holds within `patience` seconds, else it is killed."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def end_with_parent(stop: Callable[[], object]) -> None:
    """Calls `stop` when standard input ends: it is the parent's life."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()
    stop()
