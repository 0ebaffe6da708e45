"""`c2s-enrich drill`: the stage under fire, then peace, then the audit. Exit status 0 only when
every count of the audit is 0.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import msgspec
from rich.console import Console

from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.drill.audit import Findings, Records, audit
from c2s_enrich.sandbox.drill.fleet import Fleet
from c2s_enrich.sandbox.drill.paid import Asked
from c2s_enrich.sandbox.drill.plan import Strike, schedule
from c2s_enrich.sandbox.drill.proxy import Proxy
from c2s_enrich.sandbox.drill.report import show
from c2s_enrich.sandbox.drill.sender import DrillSender
from c2s_enrich.sandbox.drill.store import DrillStore
from c2s_enrich.sandbox.simulators.population import populate
from c2s_enrich.sandbox.simulators.stream import Stream
from c2s_enrich.sandbox.stage import QUICK, Stage, end_in_order

# Beside being quick: an event meets more crashes in a minute here than in a year elsewhere, so it
# has more attempts and sends before a person must look.
_SETTINGS = QUICK | {
    "ATTEMPT_DEADLINE": "30",
    "SLOT_WAIT": "5",
    "DIRETRIX_TIMEOUT": "2",
    "WORK_API_TIMEOUT": "2",
    "STORE_TIMEOUT": "2",
    "MAX_ATTEMPTS": "100",
    "MAX_SENDS": "100",
}
_PEOPLE = 300
_EVENTS_PER_SECOND = 4
# So long without a single event ending: everything that the settings above can make wait is over
# long before.
_PATIENCE_SECONDS = 60.0
# C2S's echo of the last message comes in after its event has ended.
_QUIET_SECONDS = 1.0


def run_drill(
    *, seed: int, minutes: float, events: int | None, only: str | None, as_json: bool
) -> int:
    """Returns the exit status."""
    console = Console(stderr=as_json)
    seconds = minutes * 60
    end_in_order()
    folder = Path(tempfile.mkdtemp(prefix="c2s-drill-"))
    with postgres.start_throwaway(durable=True) as server:
        drill = _Drill(server, folder, seed, console)
        findings, outcome = asyncio.run(
            drill.run(
                schedule(seed, seconds, only), events or int(seconds * _EVENTS_PER_SECOND), seconds
            )
        )
    show(console, findings, outcome | drill.by_the_way)
    if findings.clean:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        console.print(
            f"logs of all processes, and tables: {folder}", highlight=False, soft_wrap=True
        )
    if as_json:
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
    return 0 if findings.clean else 1


class _Drill:
    """`by_hand` counts what a person did, `by_the_way` what else is worth a line."""

    def __init__(
        self, server: postgres.EmbeddedServer, folder: Path, seed: int, console: Console
    ) -> None:
        self.by_hand = {"sent_through_again_by_hand": 0}
        self.by_the_way: dict[str, int] = {}
        self._server = server
        self._folder = folder
        self._seed = seed
        self._console = console

    async def run(
        self, strikes: tuple[Strike, ...], events: int, seconds: float
    ) -> tuple[Findings, dict[str, float]]:
        """The audit's findings, and the fields of the JSON line."""
        began = time.perf_counter()
        await migrate(self._server.url)
        store = DrillStore(self._server.url)
        await store.keep_diary()
        await store.prepare_disk()
        async with (
            Proxy(self._folder, self._server.url, self._seed) as proxy,
            Stage(
                self._folder, proxy.url, seed=self._seed, size=_PEOPLE, settings=_SETTINGS
            ) as stage,
        ):
            people = populate(self._seed, _PEOPLE)
            stream = Stream(people, self._seed, per_second=1.0)
            fleet, sender = Fleet(stage, self._server, store, proxy), DrillSender(stage, stream)
            await fleet.start()
            staff = asyncio.gather(fleet.supervise(), fleet.mend_credentials())
            self._console.print(
                f"seed {self._seed}: {events} events, {len(strikes)} faults in {seconds:.0f} s",
                highlight=False,
            )
            await self._prove_reading_back(store, sender)
            # Who is not answered 200 long after the last fault never will be: the audit says so.
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(seconds + 2 * _PATIENCE_SECONDS),
                    asyncio.TaskGroup() as group,
                ):
                    group.create_task(sender.send(events, seconds))
                    for strike in strikes:
                        group.create_task(_at_its_time(strike, fleet))
            await fleet.heal()
            self._console.print(
                "the faults have ended; waiting for the queue to drain", highlight=False
            )
            await self._drain(store, stage)
            records = Records(
                said=stream.said,
                accepted=sender.accepted,
                rows=await store.events(),
                outbox=await store.messages(),
                received=await stage.told(),
                people=people,
                asked=await _asked(stage),
                troubles=fleet.troubles,
                restores=fleet.restores,
            )
            self.by_hand |= {
                "rows_reset_by_hand": fleet.resets,
                "pauses_ended_by_hand": fleet.resumed,
            }
            self.by_the_way = {
                "deliveries refused, sent again": sender.refusals,
                "rows held locked": fleet.held,
                "restores": len(fleet.restores),
                "answers of the database lost": proxy.swallowed,
            }
            staff.cancel()
            with suppress(asyncio.CancelledError):
                await staff
            findings = audit(records)
            if not findings.clean:
                await store.keep_tables(self._folder)
            await asyncio.to_thread(fleet.close)
        took = round(time.perf_counter() - began, 1)
        return findings, {
            "seed": self._seed,
            **findings.counts,
            **self.by_hand,
            "faults": len(strikes),
            "kills": fleet.kills,
            "restarts": fleet.restarts,
            "seconds": took,
        }

    async def _prove_reading_back(self, store: DrillStore, sender: DrillSender) -> None:
        """The first events have peace: before a message was read back, all that is unclear would
        wait for a person, and the faults would prove little.
        """
        for events in range(1, 6):
            await sender.send(events, seconds=0.1)
            while await store.count_open():
                await asyncio.sleep(0.1)
            if await store.reads_back():
                return

    async def _drain(self, store: DrillStore, stage: Stage) -> None:
        """Until everything has ended or nothing moves any more; the audit says which."""
        fewest = await store.count_open()
        progress = quiet_since = time.monotonic()
        while (
            time.monotonic() - progress < _PATIENCE_SECONDS
            and time.monotonic() - quiet_since < _QUIET_SECONDS
        ):
            await asyncio.sleep(0.2)
            count = await store.count_open()
            if count < fewest:
                fewest, progress = count, time.monotonic()
            if count:
                quiet_since = time.monotonic()
                continue
            judged = await store.judge_unclear(await stage.told())
            if again := judged + await store.send_through_again():
                self.by_hand["sent_through_again_by_hand"] += again
                fewest, quiet_since = again, time.monotonic()


async def _asked(stage: Stage) -> list[Asked]:
    """Every call of a source that got its answer; one that a fault has spoilt is not paid for."""
    answer = await stage.ask_simulators("GET", "/_sim/calls")
    return [
        Asked(f"{call['upstream']} {call['kind']}", call["subject"], call["started"], call["ended"])
        for call in answer.json()["calls"]
        if call["upstream"] in ("diretrix", "work_api")
        and call["fault"] in (None, "slow")
        and call["status"] in (200, 400, 404)
    ]


async def _at_its_time(strike: Strike, fleet: Fleet) -> None:
    await asyncio.sleep(strike.at)
    await fleet.strike(strike)
