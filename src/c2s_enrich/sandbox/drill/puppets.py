"""Poller processes on strings, for the matrix: a poller that dies or falls asleep at a named point,
whose clock moves by hand and whose network loses what it is told to lose.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx

from c2s_enrich.clock import Clock
from c2s_enrich.errors import EnrichError
from c2s_enrich.queue.poller import Poller
from c2s_enrich.sandbox.drill.schedules import Answer, Attempt
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport

_STANDSTILL_SECONDS = 0.3
_NAP = timedelta(seconds=10)
_UNDISTURBED = Attempt("ends", None, "yes")


class Died(BaseException):
    """The process is gone. No handler of the product catches it."""


class Stopped(EnrichError):
    """A schedule that does not end: nothing moves in it any more."""


class HandClock(Clock):
    """A process's own clock: it stands still until somebody moves it."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._moved = asyncio.Condition()

    def boottime(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        until = self._now + seconds
        async with self._moved:
            await self._moved.wait_for(lambda: self._now >= until)

    async def move(self, time: timedelta) -> None:
        async with self._moved:
            self._now += time.total_seconds()
            self._moved.notify_all()


class Line(httpx.AsyncBaseTransport):
    """One process's network: what becomes of the next message is given, all else is answered."""

    def __init__(self, inner: SimulatedTransport) -> None:
        self._inner = inner
        self.answer: Answer | None = None
        self.late: deque[Callable[[], Any]] = deque()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.answer if request.url.path.endswith("/create_message") else None
        if answer is None:
            return await self._inner.handle_async_request(request)
        self.answer = None
        if answer == "no":
            raise httpx.ConnectError("refused")
        if answer in ("lost before", "late"):
            # The first byte leaves: from now on nobody can object.
            request.extensions["before_send"]()
            if answer == "late":
                # The bytes are on their way: whether they may leave was asked long ago.
                on_its_way = httpx.Request(
                    request.method, request.url, headers=request.headers, content=request.content
                )
                self.late.append(lambda: self._inner.handle_async_request(on_its_way))
            raise httpx.ReadTimeout("silent")
        taken = await self._inner.handle_async_request(request)
        if answer == "lost after":
            raise httpx.ReadError("cut")
        return taken


class Process:
    """One poller process that can be told where to die or to fall asleep."""

    def __init__(self, line: Line) -> None:
        self.clock, self.line = HandClock(), line
        self.poller: Poller
        self._attempt = Attempt("ends")
        self._reached, self._awake = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def boundary(self, point: str) -> None:
        if point != self._attempt.point:
            return
        fate, self._attempt = self._attempt.fate, Attempt("ends")
        self._reached.set()
        if fate == "dies":
            raise Died
        await self._awake.wait()

    async def work(self, attempt: Attempt = _UNDISTURBED) -> None:
        """Works off what is due; returns when it has ended, died or fallen asleep."""
        self._attempt, self.line.answer = attempt, attempt.answer
        self._reached.clear()
        self._awake.clear()
        self._task = asyncio.create_task(self.poller.drain())
        reached = asyncio.create_task(self._reached.wait())
        await asyncio.wait({self._task, reached}, return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
        if attempt.fate != "sleeps" or not self._reached.is_set():
            await self._end()

    async def wake(self) -> None:
        """Goes on where it fell asleep, to its end."""
        self._awake.set()
        await self._end()

    async def _end(self) -> None:
        task, self._task, self._attempt = self._task, None, Attempt("ends")
        if task is None:
            return
        for _ in range(100):
            await asyncio.wait({task}, timeout=_STANDSTILL_SECONDS)
            if task.done():
                break
            # It takes a nap: its heartbeat comes round.
            await self.clock.move(_NAP)
        else:
            task.cancel()
            raise Stopped("a poller does not come to an end")
        try:
            await task
        except BaseExceptionGroup as error:
            if error.split(Died)[1] is not None:
                raise
