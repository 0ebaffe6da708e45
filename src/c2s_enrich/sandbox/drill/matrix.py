"""Plays the matrix: real pollers against a real Postgres, in one process, one event at a time.

A process that dies is a poller whose task ends at a named point with nothing cleaned up; one that
sleeps is a poller that stands still there while others go on. Time does not pass by itself: rows
are moved instead, so that a settle time takes no longer than a statement. The audit is the drill's.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection
from rich.console import Console

from c2s_enrich.database import statements
from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.drill.audit import Findings, Records, audit
from c2s_enrich.sandbox.drill.paid import Asked
from c2s_enrich.sandbox.drill.puppets import Line, Process, Stopped
from c2s_enrich.sandbox.drill.report import show
from c2s_enrich.sandbox.drill.schedules import Attempt, Gap, Schedule, schedules
from c2s_enrich.sandbox.drill.store import DrillStore
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.payloads import written
from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.stream import Said
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring import build_poller

# Nothing listens at port 9; every call ends at the simulators in this process.
_ENVIRONMENT = {
    **{f"{name}_BASE_URL": f"http://127.0.0.1:9/{name.lower()}" for name in ("C2S", "DIRETRIX")},
    "WORK_API_BASE_URL": "http://127.0.0.1:9/work_api",
    "C2S_TOKEN": "a-c2s-token",
    "DIRETRIX_USER": "a-user",
    "DIRETRIX_PASS": "a-password",
    "WORK_API_TOKEN": "a-work-token",
    "C2S_MIN_INTERVAL": "0",
    "WORK_API_MIN_INTERVAL": "0",
    "HASH_KEY": "matrix-hash-key-of-no-secret-at-all-0000",
    "CONCURRENCY": "1",
    "DATABASE_POOL_SIZE": "5",
}
_SECOND = timedelta(seconds=1)
# The lease is 30 s, the settle time 120 s.
_GAPS: dict[Gap, timedelta] = {"reset": 0 * _SECOND, "soon": 35 * _SECOND, "settled": 150 * _SECOND}
_APPLIED_WITHIN = 119 * _SECOND
# Two deaths, two looks and a resend take six attempts.
_ATTEMPTS_AT_MOST = 15
# A little more than the cores of a small machine: each waits for Postgres half of its time.
_WORKERS = 3
# Nothing unclear is sent again before C2S has once shown a message that it has for sure.
_FIRST_OF_ALL = Schedule(Attempt("ends", None, "yes"), "reset", Attempt("ends", None, "yes"))
_EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


class Matrix:
    """Plays schedules on one database, each with a lead and a person of its own."""

    def __init__(self, url: str, schedules: Sequence[Schedule], seed: int = 1) -> None:
        self._url = url
        self._schedules = (_FIRST_OF_ALL, *schedules)
        self._sql = statements("drill")
        self._said: list[Said] = []
        self.world = World(seed, size=len(schedules) + len(schedules) // 5 + 30)
        self._people = [person for person in self.world.people if person.has_record]

    async def play(self) -> Findings:
        """The verdict; each problem names its schedule."""
        store = DrillStore(self._url)
        await store.keep_diary()
        stopped = []
        async with (
            self._processes() as processes,
            await AsyncConnection.connect(self._url, autocommit=True) as self._connection,
        ):
            for number, schedule in enumerate(self._schedules):
                try:
                    await self._play(number, schedule, *processes)
                except Stopped as error:
                    stopped.append(f"stuck: {schedule}: {error}")
        findings = audit(
            Records(
                said=self._said,
                accepted={(said.lead_id, said.updated_at): 0.0 for said in self._said},
                rows=await store.events(),
                outbox=await store.messages(),
                received={
                    lead.id: [message.body for message in lead.messages]
                    for lead in self.world.leads.values()
                },
                people=self.world.people,
                asked=[
                    Asked(
                        f"{upstream} {call.kind}",
                        call.subject,
                        call.started,
                        call.ended or call.started,
                    )
                    for upstream in ("diretrix", "work_api")
                    for call in self.world.asked(upstream)
                ],
            )
        )
        problems = (*stopped, *(self._explained(problem) for problem in findings.problems))
        return replace(findings, stuck=findings.stuck + len(stopped), problems=problems)

    async def _play(
        self, number: int, schedule: Schedule, first: Process, second: Process, third: Process
    ) -> None:
        event_id = await self._post(number, self._people[number])
        self._event_id, self._waited = event_id, timedelta()
        self._late = (first.line.late, second.line.late, third.line.late)
        await first.work(schedule.first)
        await self._pass(
            _GAPS[schedule.gap], [first] if schedule.first.point == "permitted" else ()
        )
        if schedule.gap == "reset" or (await self._stands())[0] != "processing":
            await self._run("reset_one", event_id=event_id)
        await self._wait_until_due(second)
        await second.work(schedule.second)
        if schedule.first.fate == "sleeps":
            await first.wake()
        if schedule.second.fate == "sleeps":
            gap = max(_GAPS[schedule.gap], _GAPS["soon"])
            await self._pass(gap, [second] if schedule.second.point == "permitted" else ())
            await self._wait_until_due(third)
            await third.work()
            await second.wake()
        await self._finish(third)

    async def _finish(self, third: Process) -> None:
        for _ in range(_ATTEMPTS_AT_MOST):
            if (await self._stands())[0] not in ("received", "processing"):
                await self._apply_late()
                return
            await self._pass(_GAPS["soon"])
            await self._wait_until_due(third)
            await third.work()
        raise Stopped(f"the event is still {(await self._stands())[0]}")

    async def _post(self, number: int, person: Person) -> Any:
        lead_id, moment = f"{number:032x}", _EPOCH + number * _SECOND
        phone = "55" + person.phone
        lead = self.world.add_lead(
            lead_id, name=person.name, phone=phone, email=person.email, updated_at=written(moment)
        )
        self._said.append(Said(lead_id, moment, phone, person.email))
        payload = msgspec.json.encode({"data": lead.to_json()}).decode()
        [row] = await self._rows("post_event", lead_id=lead_id, updated_at=moment, payload=payload)
        return row[0]

    async def _pass(self, time: timedelta, awake: Iterable[Process] = ()) -> None:
        """Lets time go by, for the database and for the clocks of these processes."""
        self._waited += time
        if self._waited > _APPLIED_WITHIN:
            await self._apply_late()
        await self._run("pass_time", event_id=self._event_id, time=time)
        for process in awake:
            await process.clock.move(time)

    async def _apply_late(self) -> None:
        for late in self._late:
            while late:
                await late.popleft()()

    async def _wait_until_due(self, process: Process) -> None:
        await process.poller.store.reclaim()
        _, wait = await self._stands()
        if wait:
            await self._pass(wait)

    async def _stands(self) -> tuple[str, timedelta | None]:
        [(status, wait)] = await self._rows("stands", event_id=self._event_id)
        return status, wait

    async def _rows(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        return await (await self._connection.execute(self._sql[name], parameters)).fetchall()

    async def _run(self, name: str, **parameters: object) -> None:
        await self._connection.execute(self._sql[name], parameters)

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[list[Process]]:
        settings = Settings.load(_ENVIRONMENT | {"DATABASE_URL": self._url}, "poller")
        network = SimulatedTransport(build_simulators(self.world))
        async with AsyncExitStack() as stack:
            processes = [Process(Line(network)) for _ in range(3)]
            for process in processes:
                process.poller = await stack.enter_async_context(
                    build_poller(
                        settings,
                        Metrics(),
                        boundary=process.boundary,
                        clock=process.clock,
                        transport=process.line,
                    )
                )
            yield processes

    def _explained(self, problem: str) -> str:
        """The problem with the schedule of its lead."""
        for word in problem.replace(",", "").split():
            with suppress(ValueError, IndexError):
                if len(word) == 32:
                    return f"{problem} [{self._schedules[int(word, 16)]}]"
        return problem


def run_matrix(*, size: int | None, as_json: bool) -> int:
    """Plays the matrix, or a fair sample of about `size` schedules; returns the exit status."""
    console = Console(stderr=as_json)
    every = schedules()
    chosen = every[:: max(1, len(every) // size)] if size else every
    console.print(f"{len(chosen)} of {len(every)} schedules", highlight=False)
    began = time.perf_counter()
    parts = [chosen[number::_WORKERS] for number in range(_WORKERS)]
    with (
        postgres.start_throwaway() as server,
        ProcessPoolExecutor(_WORKERS, get_context("spawn")) as workers,
    ):
        urls = [server.url_of(f"matrix{number}") for number in range(_WORKERS)]
        with psycopg.connect(server.url, autocommit=True) as connection:
            for number in range(_WORKERS):
                connection.execute(f"create database matrix{number}".encode())
        findings = _merged(list(workers.map(_play_part, urls, parts)))
    took = round(time.perf_counter() - began, 1)
    outcome = {"schedules": len(chosen), **findings.counts, "seconds": took}
    show(console, findings, outcome)
    if as_json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    return 0 if findings.clean else 1


def _play_part(url: str, part: Sequence[Schedule]) -> Findings:
    """In a process of its own."""
    # Processes that die close their connections all the time.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

    async def play() -> Findings:
        await migrate(url)
        return await Matrix(url, part).play()

    return asyncio.run(play())


def _merged(parts: Sequence[Findings]) -> Findings:
    sums = {name: sum(part.counts[name] for part in parts) for name in parts[0].counts}
    problems = tuple(problem for part in parts for problem in part.problems)
    return Findings(**{name: int(count) for name, count in sums.items()}, problems=problems)
