"""What one lead costs the database: statements, round trips and write-ahead log, counted."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.brokerage import Brokerage

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, Statements, sql_folder, wire_statements
from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox import postgres

pytestmark = pytest.mark.database

# One statement each for what the lead says, three questions and their answers, the list of those
# who opposed, the result, the leave of C2S's limits, and the right to send. Claiming and settling
# are shared among leads.
OF_ONE_LEAD = Counter(
    begin_work=1, ask=3, keep_lookup=2, suppressed=1, keep_person=1, store_result=1, admit=1,
    permit_send=1,
)  # fmt: skip
LEADS = 20
# Measured: 13,700. Half of it are the rows that a claim and a settlement write again, with their
# payloads.
WAL_BYTES_OF_ONE_LEAD = 16_000


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """A server of its own: all databases of a server write one log."""
    with postgres.start_throwaway() as server:
        asyncio.run(migrate(server.url))
        yield server.url


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what is executed, by its name in sql/queries; what has no name by its text."""
    topics = [path.stem for path in (sql_folder() / "queries").glob("*.sql")]
    names = {text: name for topic in topics for name, text in wire_statements(topic).items()}
    seen: Counter[str] = Counter()
    right, ours = psycopg.AsyncCursor.execute, Connection.ask

    async def ask(connection: Any, statement: Any, *given: Any, **named: Any) -> Any:
        # The settlement has the facts' statement in it.
        seen[names.get(statement, "settle")] += 1
        return await ours(connection, statement, *given, **named)

    async def execute(cursor: Any, query: Any, *given: Any, **named: Any) -> Any:
        seen[query if isinstance(query, str) else repr(query)] += 1
        return await right(cursor, query, *given, **named)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)
    monkeypatch.setattr(Connection, "ask", ask)
    return seen


async def warmed_up(brokerage: Brokerage) -> None:
    """The first lead of a database also pays for what is done once."""
    for number in range(5):
        await brokerage.accept(f"first-{number}", brokerage.people[number])
    await brokerage.work()


class TestALead:
    async def test_costs_eleven_statements_each_of_them_one_round_trip(
        self, brokerage: Brokerage, ran: Counter[str]
    ) -> None:
        await warmed_up(brokerage)
        for number in range(LEADS):
            await brokerage.accept(f"lead-{number}", brokerage.people[10 + number])
        async with brokerage.poller() as poller:
            ran.clear()
            await poller.drain()

        assert set((await brokerage.outcomes()).values()) == {"enriched"}
        of_leads = Counter({name: ran[name] for name in OF_ONE_LEAD})
        assert of_leads == Counter({name: n * LEADS for name, n in OF_ONE_LEAD.items()})
        # All that ran, with the settlements, and what each connection says at its start.
        claims = ran["claim"]
        assert ran.total() - claims <= 13 * LEADS
        # Whenever slots come free it looks for more, on a slow machine for each of them.
        assert claims <= 3 * LEADS
        # Nothing stands around the statements: no transaction, no pipeline, no look at the pool.
        assert not {name for name in ran if name.strip().lower() in ("", "begin", "commit")}

    async def test_whose_answers_are_remembered_pays_and_waits_for_no_admission(
        self, brokerage: Brokerage, ran: Counter[str]
    ) -> None:
        await warmed_up(brokerage)
        await brokerage.accept("again", brokerage.people[0])
        await brokerage.db.execute(
            "update upstreams set paused_until = now() + interval '1 hour' where name <> 'c2s'"
        )
        ran.clear()

        await brokerage.work()

        assert (await brokerage.outcomes())["again"] == "enriched"
        assert (ran["ask"], ran["keep_lookup"], ran["keep_person"]) == (3, 0, 0)

    async def test_writes_little_log(self, brokerage: Brokerage) -> None:
        await warmed_up(brokerage)
        written = "select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        costs = []
        # Twice: after a checkpoint the first change of a page writes all of it.
        for turn in range(2):
            for number in range(LEADS):
                await brokerage.accept(f"lead-{turn}-{number}", brokerage.people[10 + number])
            await brokerage.db.execute("update people set expires_at = now()")
            await brokerage.db.execute("update contact_lookups set expires_at = now()")
            async with brokerage.poller() as poller:
                before = await brokerage.db.value(written)
                await poller.drain()
                costs.append((await brokerage.db.value(written) - before) / LEADS)

        assert set((await brokerage.outcomes()).values()) == {"enriched"}
        assert min(costs) < WAL_BYTES_OF_ONE_LEAD


class TestTheFirstLeads:
    async def test_notice_a_new_database_once(
        self, brokerage: Brokerage, ran: Counter[str]
    ) -> None:
        for number in range(10):
            await brokerage.accept(f"lead-{number}", brokerage.people[number])

        async with brokerage.poller() as poller:
            await poller.drain()

        assert set((await brokerage.outcomes()).values()) == {"enriched"}
        assert ran["notice_restore"] == 1


class TestWhatACrashMayForget:
    @pytest.mark.parametrize(("topic", "name"), [("enrichment", "begin_work"), ("queue", "beat")])
    async def test_waits_for_no_disk_and_what_follows_does(
        self, brokerage: Brokerage, pool: Pool, topic: str, name: str
    ) -> None:
        await brokerage.accept("lead", brokerage.people[0])
        [[event_id, token]] = await brokerage.db.fetch("select id, lease_token from webhook_events")
        given: dict[str, Any] = dict.fromkeys(wire_statements(topic)[name].names)
        given |= {
            "event_id": event_id,
            "lease_token": token,
            "refs": [],
            "hashes": [],
            "closed": False,
        }
        given |= {"in_flight": 0, "concurrency": 1, "pulse": False, "worker": "ana"}
        setting = "select current_setting('synchronous_commit')"

        async with pool.connection() as connection:
            async with connection.transaction(force_rollback=True):
                await Statements(connection, topic).rows(name, **given)
                [inside] = await (await connection.execute(setting)).fetchall()
            [after] = await (await connection.execute(setting)).fetchall()

        assert (inside, after) == (("off",), ("on",))


class TestAnUpstreamWithoutLimits:
    async def test_is_not_written_to(self, brokerage: Brokerage) -> None:
        before = await brokerage.db.fetch("select xmin, * from upstreams order by name")
        await brokerage.accept("lead", brokerage.people[0])

        await brokerage.work()

        assert await brokerage.outcomes() == {"lead": "enriched"}
        assert await brokerage.db.fetch("select xmin, * from upstreams order by name") == before
