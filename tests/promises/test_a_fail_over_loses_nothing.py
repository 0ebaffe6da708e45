"""Another server takes over, a synchronous standby or an old copy: no lead is lost, and no seller
is told twice.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import AsyncConnection
from tests.promises.test_an_accepted_webhook_is_never_lost import _deliver_until, _until_all_ended

from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres
from c2s_enrich.sandbox.simulators.world import World
from c2s_enrich.sandbox.stage import QUICK, Stage

REPLICATING = {"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}


class TestAFailOverToASynchronousStandby:
    async def test_loses_no_lead_and_tells_none_twice(self, tmp_path: Path) -> None:
        with (
            postgres.start_throwaway(durable=True, settings=REPLICATING) as primary,
            postgres.start_throwaway(
                durable=True, settings=REPLICATING, copy_of=primary, standby=True
            ) as standby,
        ):
            await migrate(primary.url)
            await _follow(primary)
            folders = ",".join(quote(str(server.base), safe="") for server in (standby, primary))
            both = f"postgresql://postgres@/postgres?host={folders}&port=5432,5432"
            quick = QUICK | {"STORE_TIMEOUT": "2"}
            async with Stage(tmp_path, both, size=60, settings=quick) as stage:
                await stage.start_simulators()
                await stage.start_web()
                stage.start_poller()
                with World(1, size=60) as world:
                    people = [person for person in world.people if person.has_record][:16]

                # Messages that C2S shows afterwards: from then on a look proves something.
                accepted = await _deliver_until(stage, people[:2], f"{7:016x}")
                await _until_all_ended(primary.url)
                deliveries = asyncio.create_task(
                    _deliver_until(stage, people[2:], f"{7:016x}", first=2)
                )
                while await _stored(primary) < 8:
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(primary.stop, "immediate")
                async with await AsyncConnection.connect(standby.url, autocommit=True) as there:
                    await there.execute("select pg_promote()")
                accepted += await deliveries

                await _until_all_ended(standby.url)
                answer = await stage.client.get(f"{stage.simulators_url}/_sim/messages")
                messages = answer.json()["leads"]

            told = {lead: len(messages.get(lead, [])) for lead in accepted}
            assert told == dict.fromkeys(accepted, 1), await _endings(standby)
            assert await _stored(standby) == len(people)


class TestARestoreToAnEarlierMoment:
    async def test_tells_none_twice_and_finds_what_the_copy_never_knew(
        self, tmp_path: Path
    ) -> None:
        with (
            World(1, size=60) as world,
            postgres.start_throwaway(durable=True, settings=REPLICATING) as primary,
        ):
            await migrate(primary.url)
            people = [person for person in world.people if person.has_record][:10]
            async with Stage(tmp_path, primary.url, size=60, settings=QUICK) as stage:
                await stage.start_simulators()
                await stage.start_web()
                stage.start_poller()
                # Messages that C2S shows afterwards: from then on a look proves something.
                accepted = await _deliver_until(stage, people[:2], f"{8:016x}")
                await _until_all_ended(primary.url)
                since = datetime.now(UTC)
                deliveries = asyncio.create_task(
                    _deliver_until(stage, people[2:6], f"{8:016x}", first=2)
                )
                with await asyncio.to_thread(
                    postgres.start_throwaway,
                    durable=True,
                    settings=REPLICATING,
                    copy_of=primary,
                    standby=True,
                ) as copy:
                    # The copy stays where it is, and the world goes on.
                    copy.stop("immediate")
                    accepted += await deliveries
                    accepted += await _deliver_until(stage, people[6:], f"{8:016x}", first=6)
                    await _until_all_ended(primary.url)
                    for process in ("poller", "web"):
                        stage.kill(process)
                    primary.stop("immediate")

                    copy.start()
                    async with await AsyncConnection.connect(copy.url, autocommit=True) as there:
                        await there.execute("select pg_promote()")
                    known = await _stored(copy)
                    stage.database_url = copy.url
                    assert await stage.command("restored", "--since", since.isoformat())
                    await stage.start_web()
                    stage.start_poller()
                    await _until_all_ended(copy.url)
                    answer = await stage.client.get(f"{stage.simulators_url}/_sim/messages")
                    messages = answer.json()["leads"]
                    stored = await _stored(copy)

        assert known < len(people)
        assert {lead: len(messages.get(lead, [])) for lead in accepted} == dict.fromkeys(
            accepted, 1
        )
        assert stored == len(people)


async def _endings(server: postgres.EmbeddedServer) -> list[Any]:
    async with await AsyncConnection.connect(server.url, autocommit=True) as connection:
        rows = await connection.execute(
            "select lead_id, status, outcome, error_kind, error_message from webhook_events"
        )
        return await rows.fetchall()


async def _stored(server: postgres.EmbeddedServer) -> int:
    async with await AsyncConnection.connect(server.url, autocommit=True) as connection:
        rows = await connection.execute(
            "select count(distinct lead_id)::integer from webhook_events"
        )
        [[count]] = await rows.fetchall()
        return int(count)


async def _follow(primary: postgres.EmbeddedServer) -> None:
    """Every commit waits for the standby from here on."""
    async with await AsyncConnection.connect(primary.url, autocommit=True) as connection:
        await connection.execute("alter system set synchronous_standby_names = '*'")
        await connection.execute("select pg_reload_conf()")
        async with asyncio.timeout(20):
            while True:
                rows = await connection.execute(
                    "select count(*) from pg_stat_replication where sync_state = 'sync'"
                )
                if await rows.fetchone() == (1,):
                    return
                await asyncio.sleep(0.05)
