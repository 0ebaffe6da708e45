"""A brokerage in one process: simulated upstreams, a real database, and the product's own pollers
between them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from tests.conftest import Database

from c2s_enrich.queue.poller import Poller
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring import build_poller

Boundary = Callable[[str], Awaitable[None]]


class Brokerage:
    """The verbs of a CRM and of the poller processes. `people` all have a record, a phone and an
    e-mail of their own.
    """

    def __init__(self, db: Database) -> None:
        self.db = db
        self.world = World(7, size=60)
        self.people = [person for person in self.world.people if person.has_record]
        self.transport = SimulatedTransport(build_simulators(self.world))
        self._moment = 0

    async def accept(self, lead_id: str, person: Person, **customer: Any) -> UUID:
        """C2S knows the lead and intake has stored its event. Keywords replace fields of the
        customer.
        """
        contact = {
            "name": person.name,
            "phone": f"55{person.phone}",
            "email": person.email,
        } | customer
        lead = self.world.add_lead(lead_id, **contact)
        self._moment += 1
        event_id: UUID = await self.db.value(
            "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
            " values (%s, %s::timestamptz + %s * interval '1 us', 'on_create_lead', %s) returning"
            " id",
            (
                lead_id,
                lead.updated_at,
                self._moment,
                json.dumps({"hook_action": "on_create_lead", "data": lead.to_json()}),
            ),
        )
        return event_id

    @asynccontextmanager
    async def poller(
        self, *, boundary: Boundary | None = None, **settings: Any
    ) -> AsyncIterator[Poller]:
        """A poller like that of a process, whose network ends at the simulators."""
        async with build_poller(
            self.db.settings("poller", **settings),
            Metrics(),
            boundary=boundary,
            transport=self.transport,
        ) as built:
            yield built

    async def work(self, *, pollers: int = 1, **settings: Any) -> None:
        """That many pollers at once, until nothing is due."""

        async def one() -> None:
            async with self.poller(**settings) as built:
                await built.drain()

        await asyncio.gather(*[one() for _ in range(pollers)])

    async def outcomes(self) -> dict[str, str]:
        """By lead: its newest event's outcome, or else its status."""
        rows = await self.db.fetch(
            "select distinct on (lead_id) lead_id, coalesce(outcome, status) as stands from"
            " webhook_events"
            " order by lead_id, updated_at desc"
        )
        return {row.lead_id: row.stands for row in rows}

    def messages(self, lead_id: str) -> list[str]:
        """What the seller reads on the lead."""
        return [message.body for message in self.world.leads[lead_id].messages]

    async def everything_stored(self) -> str:
        """The whole database as text."""
        tables = await self.db.fetch(
            "select tablename from pg_tables where schemaname = 'public' and tablename <>"
            " 'schema_migrations' order by 1"
        )
        parts = [
            row.line
            for table in tables
            for row in await self.db.fetch(f'select t::text as line from "{table.tablename}" t')
        ]
        raw = await self.db.fetch("select encode(raw, 'escape') as line from rejected_deliveries")
        return "\n".join([*parts, *(row.line for row in raw)])
