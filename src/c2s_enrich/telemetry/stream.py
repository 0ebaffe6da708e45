"""Where log lines leave: by a thread, so that a full disk or an unread pipe stops no work."""

import io
import os
import threading
import time
from queue import SimpleQueue

# Characters that may wait. Beyond them lines are dropped and counted.
_ROOM = 4 * 1024 * 1024
# Lines that come close together leave together: one system call for all of them.
_GATHER_SECONDS = 0.005
# Between tries while nothing can be written.
_NAP_SECONDS = 0.5
# How long /health tells of a drop.
_FRESH_SECONDS = 600.0


class LogStream(io.TextIOBase):
    """In front of a descriptor; None is a closed one. One thread at a time may write."""

    def __init__(self, descriptor: int | None) -> None:
        super().__init__()
        self.dropped = 0
        self._dropped_at = float("-inf")
        self._why = "nobody reads it"
        self._descriptor = descriptor
        self._lines: SimpleQueue[str] = SimpleQueue()
        # Characters in and out: each number has one thread that changes it.
        self._in = 0
        self._out = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> int:
        if self._in - self._out > _ROOM:
            self._drop(1)
        else:
            self._in += len(text)
            self._lines.put(text)
        return len(text)

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def drain(self, seconds: float) -> None:
        """Waits until all lines are written, no longer than `seconds`: for the end of a process."""
        until = time.monotonic() + seconds
        while self._in > self._out and time.monotonic() < until:
            time.sleep(0.005)

    def problem(self) -> str | None:
        if time.monotonic() - self._dropped_at > _FRESH_SECONDS:
            return None
        return f"{self.dropped} log lines were dropped: stderr cannot be written ({self._why})."

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._dropped_at = time.monotonic()

    def _run(self) -> None:
        told = 0
        while True:
            lines = [self._lines.get()]
            time.sleep(_GATHER_SECONDS)
            lines += [self._lines.get() for _ in range(self._lines.qsize())]
            taken = sum(map(len, lines))
            if self.dropped > told:
                lines.append(f'{{"event": "log_lines_dropped", "count": {self.dropped - told}}}\n')
            if self._write_out("".join(lines).encode(errors="backslashreplace")):
                told = self.dropped
            else:
                self._drop(len(lines))
                time.sleep(_NAP_SECONDS)
            self._out += taken

    def _write_out(self, data: bytes) -> bool:
        try:
            if self._descriptor is None:
                raise OSError("closed")
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            self._why = os.strerror(error.errno) if error.errno else "closed"
            return False
        return True
