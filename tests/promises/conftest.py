"""The whole product as real processes, around this process's database."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Database

from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import QUICK, WEBHOOK_TOKEN, Stage


class Product:
    """The stage, and the verbs of a CRM and of an operator."""

    def __init__(self, stage: Stage, db: Database, people: list[Person]) -> None:
        self.stage = stage
        self.db = db
        self.people = people
        self._moment = 0

    async def deliver(
        self, lead_id: str, person: Person, *, email: str | None = None
    ) -> dict[str, Any]:
        """C2S gets to know the lead and delivers its webhook; the answer's JSON."""
        self._moment += 1
        customer = {
            "name": person.name,
            "phone": f"55{person.phone}",
            "email": email or person.email,
        }
        await self.stage.client.put(
            f"{self.stage.simulators_url}/_sim/leads/{lead_id}", json=customer
        )
        body = {
            "id": lead_id,
            "hook_action": "on_create_lead",
            "attributes": {
                "updated_at": f"2025-06-01T10:{self._moment // 60:02}:{self._moment % 60:02}-03:00",
                "customer": customer,
            },
        }
        answer = await self.stage.client.post(
            f"{self.stage.web_url}/api/v1/webhooks/c2s",
            json=body,
            headers={"X-Webhook-Token": WEBHOOK_TOKEN},
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def fault(self, upstream: str, *faults: dict[str, Any]) -> None:
        (
            await self.stage.client.put(
                f"{self.stage.simulators_url}/_sim/faults/{upstream}", json=list(faults)
            )
        ).raise_for_status()

    async def messages(self) -> dict[str, list[str]]:
        """The messages that C2S has taken, by lead."""
        told = (await self.stage.client.get(f"{self.stage.simulators_url}/_sim/messages")).json()[
            "leads"
        ]
        return {lead: [message["body"] for message in messages] for lead, messages in told.items()}

    async def calls(self) -> dict[str, Any]:
        return dict((await self.stage.client.get(f"{self.stage.simulators_url}/_sim/calls")).json())

    async def until(self, sentence: str, condition: str, seconds: float = 30.0) -> None:
        """Waits until the SQL condition is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.db.value(f"select {condition}"):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            rows = await self.db.fetch(
                "select lead_id, status, outcome, attempts, error_kind, error_message from"
                " webhook_events"
            )
            pytest.fail(f"not within {seconds:g} s: {sentence}; events: {rows}")

    async def until_it_logs(self, process: str, event: str, seconds: float = 30.0) -> None:
        """Waits until a process has said so."""
        async with asyncio.timeout(seconds):
            while f'"event":"{event}"' not in self.stage.log_of(process).read_text().replace(
                '": "', '":"'
            ):
                await asyncio.sleep(0.1)

    async def until_frozen(self, process: str, seconds: float = 60.0) -> None:
        """Waits until a process has stopped itself with SIGSTOP."""
        running = self.stage.processes[process]
        stopped = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
        async with asyncio.timeout(seconds):
            while os.waitid(os.P_PID, running.pid, stopped) is None:  # noqa: ASYNC222 at once
                assert running.poll() is None, self.stage.log_of(process).read_text()[-2000:]
                await asyncio.sleep(0.05)

    async def until_all_ended(self, seconds: float = 40.0) -> None:
        await self.until(
            "every event has ended",
            "not exists (select from webhook_events where status in ('received', 'processing'))",
            seconds,
        )


@pytest.fixture
async def product(db: Database, tmp_path: Path) -> AsyncIterator[Product]:
    """Simulators and web are running; the test starts its pollers itself."""
    async with Stage(tmp_path, db.url, size=60, settings=QUICK) as stage:
        await stage.start_simulators()
        await stage.start_web()
        with World(1, size=60) as world:
            people = [person for person in world.people if person.has_record]
        yield Product(stage, db, people)


@pytest.fixture
def lead_id() -> Callable[[int], str]:
    return lambda number: f"{number:032x}"
