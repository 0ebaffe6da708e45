"""An accepted webhook is never lost: what was answered 200 ends, whatever is killed meanwhile."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from psycopg import AsyncConnection
from tests.promises.conftest import Product

from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.postgres_leftovers import StopMode
from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import QUICK, WEBHOOK_TOKEN, Stage


class TestAnAcceptedWebhook:
    async def test_survives_kill_9_of_web_and_of_the_poller(self, product: Product) -> None:
        leads = [f"{number:032x}" for number in range(1, 13)]
        # One message that was read back: before it, an unclear delivery waits for a person.
        await product.deliver(leads[0], product.people[0])
        product.stage.start_poller("zeroth")
        await product.until_all_ended()
        product.stage.kill("zeroth")
        for number, lead in enumerate(leads[1:6], start=1):
            await product.deliver(lead, product.people[number])
        product.stage.kill("web")
        product.stage.start_poller("first", CONCURRENCY="3")
        await product.until(
            "the first poller is at work",
            "exists (select from webhook_events where status = 'processing')",
        )
        product.stage.kill("first")

        await product.stage.start_web()
        for number, lead in enumerate(leads[6:], start=6):
            await product.deliver(lead, product.people[number])
        product.stage.start_poller("second")
        await product.until_all_ended()

        messages = await product.messages()
        assert {lead: len(messages.get(lead, [])) for lead in leads} == dict.fromkeys(leads, 1)
        assert (
            # Echoes of our own messages may still come in.
            await product.db.value("select count(*) from webhook_events where status = 'failed'")
            == 0
        )


class TestWhileTheDatabaseIsAway:
    async def test_web_says_503_and_when_to_come_back_and_pollers_go_on_without_a_restart(
        self, tmp_path: Path
    ) -> None:
        with postgres.start_throwaway(durable=True) as server:
            await migrate(server.url)
            async with Stage(
                tmp_path, server.url, size=60, settings=QUICK | {"STORE_TIMEOUT": "1"}
            ) as stage:
                await stage.start_simulators()
                await stage.start_web()
                stage.start_poller()
                with World(1, size=60) as world:
                    people = [person for person in world.people if person.has_record]
                accepted: list[str] = []
                refused = 0

                modes: tuple[StopMode, ...] = ("fast", "immediate")
                for number, mode in enumerate(modes):
                    accepted += await _deliver_until(
                        stage, people[4 * number : 4 * number + 2], f"{number:016x}"
                    )
                    await asyncio.to_thread(server.stop, mode)
                    away = f"{number:015x}f{1:016x}"
                    answer = await _offer(stage, away, people[4 * number + 2])
                    refused += answer.status_code == 503
                    assert answer.status_code == 503, answer.text
                    assert 1 <= int(answer.headers["retry-after"]) <= 10
                    await _until_health_is(503, stage)
                    assert (await stage.client.get(f"{stage.web_url}/livez")).status_code == 200
                    await asyncio.to_thread(server.start)
                    # As C2S does, it is delivered again until it is taken.
                    accepted += await _deliver_until(
                        stage, [people[4 * number + 2]], f"{number:015x}f", first=1
                    )

                ends = await _until_all_ended(server.url)
                messages = (await stage.client.get(f"{stage.simulators_url}/_sim/messages")).json()[
                    "leads"
                ]
                pids = {
                    name: process.pid
                    for name, process in stage.processes.items()
                    if stage.alive(name)
                }

                assert refused == 2
                assert {lead: len(messages.get(lead, [])) for lead in accepted} == dict.fromkeys(
                    accepted, 1
                ), ends
                assert set(pids) == {"simulators", "web", "poller"}
                async with (
                    asyncio.timeout(40),
                    await AsyncConnection.connect(server.url, autocommit=True) as connection,
                ):
                    while not await _listens(connection):
                        await asyncio.sleep(0.2)


async def _offer(stage: Stage, lead: str, person: Person) -> httpx.Response:
    customer = {"name": person.name, "phone": f"55{person.phone}", "email": person.email}
    known = f"{stage.simulators_url}/_sim/leads/{lead}"
    (await stage.client.put(known, json=customer)).raise_for_status()
    body = {
        "id": lead,
        "hook_action": "on_create_lead",
        "attributes": {"updated_at": "2025-06-01T10:00:00-03:00", "customer": customer},
    }
    return await stage.client.post(
        f"{stage.web_url}/api/v1/webhooks/c2s",
        json=body,
        headers={"X-Webhook-Token": WEBHOOK_TOKEN},
    )


async def _until_health_is(status: int, stage: Stage) -> None:
    """What it says is at most some seconds old."""
    async with asyncio.timeout(10):
        while (await stage.client.get(f"{stage.web_url}/health")).status_code != status:
            await asyncio.sleep(0.1)


async def _deliver_until(
    stage: Stage, people: list[Person], prefix: str, first: int = 0
) -> list[str]:
    """Delivers each until it is answered 200; the leads' ids."""
    leads = []
    async with asyncio.timeout(40):
        for number, person in enumerate(people, start=first):
            lead = f"{prefix}{number:016x}"
            while (await _offer(stage, lead, person)).status_code != 200:
                await asyncio.sleep(0.2)
            leads.append(lead)
    return leads


async def _until_all_ended(url: str) -> list[tuple[Any, ...]]:
    """How the events ended, and how many of them so."""
    async with (
        asyncio.timeout(60),
        await AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        while True:
            rows = await connection.execute(
                "select count(*) from webhook_events where status in ('received', 'processing')"
            )
            if await rows.fetchone() == (0,):
                break
            await asyncio.sleep(0.2)
        rows = await connection.execute(
            "select status, outcome, error_kind, count(*) from webhook_events group by 1, 2, 3"
        )
        return await rows.fetchall()


async def _listens(connection: AsyncConnection[Any]) -> bool:
    """Whether the poller has its direct session again: it listens there, and it is its pulse."""
    rows = await connection.execute(
        "select count(*) from pg_stat_activity"
        " where starts_with(application_name, 'c2s-enrich pulse ')"
    )
    return await rows.fetchone() == (1,)
