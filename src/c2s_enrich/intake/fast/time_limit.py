"""`asyncio.timeout` for very many short waits of one length: all of them share one timer, where
asyncio makes one for each.

A delivery waits twice, for its body and for its COMMIT, and both waits are over in milliseconds:
two timers made and thrown away were a tenth of web's processor time.
"""

from __future__ import annotations

import asyncio
from types import TracebackType


class TimeLimit:
    """`with limit():` around an await. Raises TimeoutError after `seconds`, at the await, as
    `asyncio.timeout` does.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # Those who wait, in the order in which their time ends: it is equally long for all.
        self._waits: dict[Wait, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> Wait:
        return Wait(self)

    def add(self, wait: Wait) -> None:
        """For `Wait` alone."""
        loop = asyncio.get_running_loop()
        wait.until = loop.time() + self._seconds
        self._waits[wait] = None
        if self._timer is None:
            self._timer = loop.call_at(wait.until, self._look, loop)

    def remove(self, wait: Wait) -> None:
        """For `Wait` alone."""
        self._waits.pop(wait, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waits:
            wait = next(iter(self._waits))
            if wait.until > now:
                self._timer = loop.call_at(wait.until, self._look, loop)
                return
            del self._waits[wait]
            wait.end()


class Wait:
    """One wait of one task."""

    __slots__ = ("_cancellations", "_ended", "_limit", "_task", "until")

    def __init__(self, limit: TimeLimit) -> None:
        self.until = 0.0
        self._limit = limit
        self._ended = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit is for a task")
        self._task = task
        self._cancellations = task.cancelling()
        self._limit.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._limit.remove(self)
        # Cancelled by somebody else as well: theirs goes on.
        if (
            self._ended
            and self._task.uncancel() <= self._cancellations
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def end(self) -> None:
        """The time is over."""
        self._ended = True
        self._task.cancel()
