"""Plays the scenarios on the stage and judges how they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from c2s_enrich.database import statements
from c2s_enrich.errors import EnrichError
from c2s_enrich.sandbox.simulators.payloads import Delivery
from c2s_enrich.sandbox.simulators.scenarios import Expected, Scenario
from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage

# A scenario that is not worked off by then has failed: its outage and backoff take some ten
# seconds.
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Progress:
    """One event as the demo shows it. `steps` as the journal keeps them; `seconds` count from its
    arrival to its end.
    """

    lead_id: str
    updated_at: datetime
    status: str
    outcome: str | None
    error_message: str | None
    attempts: int
    waits: bool
    steps: list[dict[str, Any]] | None
    seconds: float

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")


@dataclass
class Verdict:
    """What came of it. `problems` holds one sentence for each thing that is not as it should be."""

    received: int = 0
    completed: int = 0
    failed: int = 0
    messages_sent: int = 0
    messages_duplicated: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Story:
    """The scenarios of one demo, played side by side."""

    def __init__(
        self,
        stage: Stage,
        connection: psycopg.AsyncConnection[Any],
        scenarios: tuple[Scenario, ...],
    ) -> None:
        self._stage = stage
        self._connection = connection
        self._sql = statements("demo")
        self.scenarios = scenarios
        self.titles = {
            done.lead_id: scenario.title for scenario in scenarios for done in scenario.expected
        }

    async def play(self, stagger: float) -> None:
        """Posts every scenario, `stagger` seconds apart, and returns when all events have ended.
        Raises EnrichError otherwise.
        """
        await asyncio.gather(
            *(
                self._play(scenario, number * stagger)
                for number, scenario in enumerate(self.scenarios)
            )
        )
        # C2S answers each message of ours with an update hook; those events have to end as well.
        await self._until_ended(None)

    async def progress(self) -> list[Progress]:
        """Every event, newest first."""
        async with self._connection.cursor(row_factory=class_row(Progress)) as cursor:
            await cursor.execute(self._sql["progress"])
            return await cursor.fetchall()

    async def judge(self) -> Verdict:
        """Compares what the database and C2S hold with what the scenarios say."""
        events = {(event.lead_id, event.updated_at): event for event in await self.progress()}
        told = (await self._stage.ask_simulators("GET", "/_sim/messages")).json()
        verdict = Verdict(
            received=len(events),
            completed=sum(event.status == "completed" for event in events.values()),
            failed=sum(event.status == "failed" for event in events.values()),
            messages_sent=told["sent"],
            messages_duplicated=told["duplicated"],
        )
        expected = {
            (done.lead_id, datetime.fromisoformat(done.updated_at)): done
            for story in self.scenarios
            for done in story.expected
        }
        for key, event in events.items():
            problem = _compare(event, expected.get(key))
            if problem:
                verdict.problems.append(
                    f"{self.titles.get(event.lead_id, event.lead_id)}: {problem}"
                )
        verdict.problems += [
            f"{self.titles[key[0]]}: its event never arrived"
            for key in expected.keys() - events.keys()
        ]
        for scenario in self.scenarios:
            for lead_id in {done.lead_id for done in scenario.expected}:
                bodies = [message["body"] for message in told["leads"].get(lead_id, [])]
                mark = scenario.messages.get(lead_id)
                wanted = 0 if mark is None else 1
                if len(bodies) != wanted:
                    verdict.problems.append(
                        f"{scenario.title}: {len(bodies)} messages instead of {wanted}"
                    )
                elif mark and mark not in bodies[0]:
                    verdict.problems.append(f"{scenario.title}: its message lacks {mark}")
        return verdict

    async def a_message(self) -> str | None:
        """One message exactly as the seller sees it: of the first scenario that has one."""
        told = (await self._stage.ask_simulators("GET", "/_sim/messages")).json()["leads"]
        for scenario in self.scenarios:
            for lead_id in scenario.messages:
                if told.get(lead_id):
                    return str(told[lead_id][0]["body"])
        return None

    async def a_failed_lead(self, customer: Mapping[str, str]) -> str | None:
        """A lead that got nothing, for somebody who wants to ask why. Meanwhile C2S has learned its
        `customer`: reprocessed, its seller is told.
        """
        failed = (event.lead_id for event in await self.progress() if event.status == "failed")
        if lead_id := next(failed, None):
            await self._put(f"/_sim/leads/{lead_id}", customer)
        return lead_id

    async def _play(self, scenario: Scenario, delay: float) -> None:
        await asyncio.sleep(delay)
        for upstream, faults in scenario.faults.items():
            await self._put(f"/_sim/faults/{upstream}", [asdict(fault) for fault in faults])
        for number, deliveries in enumerate(scenario.rounds):
            if number:
                await self._until_ended({done.lead_id for done in scenario.expected})
            for delivery in deliveries:
                await self._deliver(delivery)
        await self._until_ended({done.lead_id for done in scenario.expected})

    async def _deliver(self, delivery: Delivery) -> None:
        for lead in delivery.leads:
            await self._put(f"/_sim/leads/{lead.lead_id}", lead.to_json())
        for _ in range(delivery.copies):
            answer = await self._stage.client.post(
                f"{self._stage.web_url}/api/v1/webhooks/c2s",
                json=delivery.body,
                headers={"X-Webhook-Token": WEBHOOK_TOKEN},
            )
            if answer.status_code != 200:
                raise EnrichError(
                    f"a webhook was answered {answer.status_code}: {answer.text[:300]}"
                )

    async def _put(self, path: str, body: object) -> None:
        (await self._stage.ask_simulators("PUT", path, body)).raise_for_status()

    async def _until_ended(self, leads: set[str] | None) -> None:
        """Until the events of these leads (None: of all) have ended."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # What is waited for happens in other processes.
                while any(
                    not event.ended
                    for event in await self.progress()
                    if leads is None or event.lead_id in leads
                ):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise EnrichError(
                f"events are still open after {_PATIENCE_SECONDS:.0f} s; "
                f"the logs are in {self._stage.folder}"
            ) from None


def _compare(event: Progress, done: Expected | None) -> str | None:
    if done is None:
        # Nobody posted it: C2S's echo of our own message.
        return (
            None
            if (event.status, event.outcome) == ("completed", "unchanged")
            else f"C2S's echo ended {event.status}, {event.outcome}"
        )
    found = (event.status, event.outcome, event.error_message if done.error else None)
    wanted = (done.status, done.outcome, done.error)
    return None if found == wanted else f"ended {found} instead of {wanted}"
