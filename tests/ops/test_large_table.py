"""What operators read stays bounded however much is completed: pages and indexes, counted, never
timed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from hashlib import md5
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from c2s_enrich.database import statements
from c2s_enrich.migrations import migrate
from c2s_enrich.ops.events import SEARCHED
from c2s_enrich.ops.plans import MOST

COMPLETED, FAILED, WAITING, DUE = 210_000, 15_000, 5_000, 15_000
READ, SOME = 20_000, 2_000
LEAD = "lead-77"
PLANNED = {"most": MOST, "sample": 1000}
# Of c2s: HTTP 401 with the step unknown.
ERROR = md5(b"upstream_refused c2s: HTTP 401", usedforsecurity=False).hexdigest()[:8]
# Pages that each statement read while a third of the completed events were there.
AT_A_THIRD: dict[str, int] = {}


@pytest.fixture(scope="module")
def large(create_database: Callable[[], str]) -> str:
    """Address of a database with many completed events, among them some of every other kind."""
    url = create_database()
    asyncio.run(migrate(url))
    insert = (
        "insert into webhook_events (lead_id, updated_at, payload_raw, status, outcome,"
        " processed_at,"
        " error_kind, error_message, waiting_for, waiting_reason, received_at, available_at)"
        " select {lead}, came, '{{}}', {status}, {outcome}, {done}, {kind}, {message}, {waiting},"
        " {reason}, came, now() + {due} * interval '1 s' from generate_series(1, {count}) g,"
        " lateral (select now() - (g + {older}) * interval '1 s' as came) at"
    )
    row = {
        "lead": "'lead-' || g % 50000", "outcome": "null", "done": "null", "kind": "null",
        "message": "null", "waiting": "null", "reason": "null", "due": "0", "status": "'received'",
        "older": 0,
    }  # fmt: skip
    completed = row | {
        "count": COMPLETED // 3, "status": "'completed'", "outcome": "'enriched'", "done": "now()",
    }  # fmt: skip
    rows = [
        completed,
        row | {
            "count": FAILED, "status": "'failed'", "done": "now()", "kind": "'upstream_refused'",
            "lead": "'f-' || g", "message": "'c2s: HTTP ' || 400 + g % 20",
        },
        row | {
            "count": WAITING, "lead": "'w-' || g", "waiting": "'diretrix'", "reason": "'paused'",
            "kind": "'upstream_unavailable'", "message": "'diretrix: paused'", "due": "600",
        },
        row | {"count": DUE, "lead": "'d-' || g", "due": "-g"},
    ]  # fmt: skip
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set session_replication_role = replica")
        for each in rows:
            connection.execute(insert.format(**each).encode())
        connection.execute("vacuum analyze")
        AT_A_THIRD.update(asyncio.run(pages_of_each(url)))
        completed |= {"count": 2 * COMPLETED // 3, "older": COMPLETED // 3}
        connection.execute(insert.format(**completed).encode())
        connection.execute("vacuum analyze")
    return url


async def pages_of_each(url: str) -> dict[str, int]:
    """What an operator's questions and a scrape read, by statement."""
    every = {"filter": Jsonb({}), "limit": 50, "after": None, "floor": None}
    params: dict[str, dict[str, Any]] = {
        "events.list_events": every,
        "events.error_groups": {"filter": Jsonb({})},
        "explain.situation": {"event": None, "lead": LEAD, "ref": None},
        "plans.plan_groups": PLANNED | {"filter": Jsonb({"status": "failed"})},
        **{f"ops.health_{name}": {} for name in ("queue", "upstreams", "last_hour", "silence")},
    }
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        read = {}
        for name, given in params.items():
            topic, _, statement = name.partition(".")
            read[name], _ = await cost(connection, statements(topic)[statement], given)
    return read


@pytest.fixture
async def connection(large: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(large, autocommit=True) as opened:
        yield opened


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


async def cost(
    connection: AsyncConnection[Any], statement: str, params: Mapping[str, Any] | None = None
) -> tuple[int, bool]:
    """Pages touched, and whether the table of events was read whole."""
    cursor = await connection.execute(
        f"explain (analyze, buffers, format json) {statement}".encode(), params, prepare=False
    )
    [[[explained]]] = await cursor.fetchall()
    whole = any(
        node["Node Type"] == "Seq Scan" and node["Relation Name"] == "webhook_events"
        for node in nodes(explained["Plan"])
        if node["Actual Loops"]
    )
    return explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"], whole


class TestAmongManyCompletedEvents:
    async def test_nothing_reads_more_than_among_a_third_of_them(self, large: str) -> None:
        # What other tests have changed here leaves dead entries.
        with psycopg.connect(large, autocommit=True) as connection:
            connection.execute("vacuum webhook_events")
        now = await pages_of_each(large)

        # Groups read each event with an error once: a page for each, or fewer where Postgres sorts.
        once = AT_A_THIRD | {"events.error_groups": FAILED + WAITING}
        grown = {name: (once[name], pages) for name, pages in now.items()
                 if pages > 1.2 * once[name] + 100}  # fmt: skip
        assert grown == {}

    @pytest.mark.parametrize(
        "words",
        [
            {},
            {"status": "failed"},
            {"status": "received"},
            {"kind": "upstream_refused"},
            {"kind": "missing_customer"},
            {"lead": LEAD},
            {"waiting": "diretrix"},
            {"waiting": "work_api"},
            {"error": "00000000"},
            {"kind": "bug", "since": "-7200 s"},
            {"event": ["00000000-0000-4000-8000-000000000001"]},
            {"status": "failed", "lead": LEAD},
        ],
        ids=str,
    )
    async def test_a_list_reads_what_it_shows(
        self, connection: AsyncConnection[Any], words: dict[str, Any]
    ) -> None:
        pages, whole = await cost(
            connection,
            statements("events")["list_events"],
            {"filter": Jsonb(words), "limit": 50, "after": None, "floor": None},
        )

        assert not whole
        assert pages < SOME

    @pytest.mark.parametrize("words", [{}, {"status": "failed"}], ids=str)
    async def test_a_page_behind_an_event_reads_what_it_shows(
        self, connection: AsyncConnection[Any], words: dict[str, Any]
    ) -> None:
        status = words.get("status", "completed")
        cursor = await connection.execute(
            "select id from webhook_events where status = %s order by received_at"
            " offset 7000 limit 1",
            (status,),
        )
        [(middle,)] = await cursor.fetchall()

        pages, whole = await cost(
            connection,
            statements("events")["list_events"],
            {"filter": Jsonb(words), "limit": 50, "after": middle, "floor": None},
        )

        assert not whole
        assert pages < SOME

    @pytest.mark.parametrize(
        "words", [{"outcome": "not_found"}, {"hook": "on_close", "since": "-86400 s"}], ids=str
    )
    async def test_a_search_that_no_index_helps_looks_through_a_part(
        self, connection: AsyncConnection[Any], words: dict[str, Any]
    ) -> None:
        search, mark = statements("events"), {"after": None, "most": SEARCHED}
        cursor = await connection.execute(search["search_floor"].encode(), mark)
        [(floor, _)] = await cursor.fetchall()
        given = {"filter": Jsonb(words), "limit": 50, "after": None, "floor": floor}

        for_floor, _ = await cost(connection, search["search_floor"], mark)
        for_list, whole = await cost(connection, search["list_events"], given)
        for_count, _ = await cost(connection, search["count_events"], given | {"most": 10_000})

        assert not whole
        assert for_floor < SOME
        assert max(for_list, for_count) < SEARCHED + SOME

    @pytest.mark.parametrize(
        "name", [f"health_{name}" for name in ("queue", "upstreams", "last_hour", "silence")]
    )
    async def test_health_reads_indexes_only(
        self, connection: AsyncConnection[Any], name: str
    ) -> None:
        pages, whole = await cost(connection, statements("ops")[name])

        assert not whole
        assert pages < READ

    @pytest.mark.parametrize(
        "words", [{}, {"since": "-86400 s"}, {"status": "failed", "since": "-86400 s"}], ids=str
    )
    async def test_groups_of_errors_read_errors_only(
        self, connection: AsyncConnection[Any], words: dict[str, Any]
    ) -> None:
        pages, whole = await cost(
            connection, statements("events")["error_groups"], {"filter": Jsonb(words)}
        )

        assert not whole
        assert pages < 3 * READ

    @pytest.mark.parametrize("what", ["completed", "failed", "received"])
    async def test_an_explanation_reads_one_lead_and_a_thousand_alike(
        self, connection: AsyncConnection[Any], what: str
    ) -> None:
        cursor = await connection.execute(
            "select id from webhook_events where status = %s order by waiting_for limit 1", (what,)
        )
        [(event_id,)] = await cursor.fetchall()

        pages, whole = await cost(
            connection,
            statements("explain")["situation"],
            {"event": event_id, "lead": None, "ref": None},
        )

        assert not whole
        assert pages < 2 * READ

    @pytest.mark.parametrize(
        ("words", "most"),
        [
            # The index alone.
            ({"status": "failed"}, FAILED // 20),
            ({"status": "failed", "kind": "upstream_refused"}, FAILED // 20),
            ({"status": "failed", "upstream": "c2s"}, FAILED),
            ({"status": "failed", "text": "http 401"}, FAILED),
            ({"status": "failed", "error": ERROR}, FAILED // 20),
            ({"status": "failed", "since": "-60 s"}, 60),
            ({"status": "received", "waiting": "diretrix"}, WAITING),
            ({"status": "completed", "since": "-60 s"}, 60),
            ({"status": "completed"}, MOST),
            ({"lead": LEAD}, 10),
            ({"event": ["00000000-0000-4000-8000-000000000001"]}, 1),
        ],
        ids=str,
    )
    async def test_a_plan_reads_what_it_plans(
        self, connection: AsyncConnection[Any], words: dict[str, Any], most: int
    ) -> None:
        statement, given = statements("plans")["plan_groups"], {"filter": Jsonb(words)} | PLANNED
        pages, _ = await cost(connection, statement, given)

        # A page for each event, and those of the index.
        assert pages < 1.1 * most + 200

    async def test_a_plan_asks_about_a_sample_of_its_leads(
        self, connection: AsyncConnection[Any]
    ) -> None:
        leads = [f"lead-{number}" for number in range(PLANNED["sample"])]

        pages, _ = await cost(connection, statements("plans")["plan_leads"], {"leads": leads})

        assert pages < 20 * len(leads)

    @pytest.mark.parametrize("view", ["v_queue", "v_failures", "v_in_flight", "v_pollers"])
    async def test_a_view_counts_to_its_end(
        self, connection: AsyncConnection[Any], view: str
    ) -> None:
        pages, whole = await cost(connection, f"select * from {view}")

        assert not whole
        assert pages < 3 * READ

    @pytest.mark.parametrize("name", statements("console"))
    async def test_a_page_of_the_console_reads_an_hour_and_not_the_table(
        self, connection: AsyncConnection[Any], name: str
    ) -> None:
        pages, whole = await cost(connection, statements("console")[name])

        assert not whole
        assert pages < 2 * READ

    async def test_the_story_of_a_lead_reads_that_lead(
        self, connection: AsyncConnection[Any]
    ) -> None:
        asked = {"lead": LEAD, "personal": False}

        pages, whole = await cost(connection, statements("leads")["lead_story"], asked)

        assert not whole
        assert pages < SOME

    @pytest.mark.parametrize("words", [{}, {"status": "failed"}, {"status": "completed"}], ids=str)
    async def test_a_count_ends_at_ten_thousand(
        self, connection: AsyncConnection[Any], words: dict[str, Any]
    ) -> None:
        statement = statements("events")["count_events"]
        given = {"filter": Jsonb(words), "most": 10_000, "floor": None}

        pages, _ = await cost(connection, statement, given)

        assert pages < READ

    async def test_the_views_still_count_what_stands_there(
        self, connection: AsyncConnection[Any]
    ) -> None:
        cursor = await connection.execute(
            "select status, sum(events)::integer from v_queue group by status order by status"
        )

        # Of each kind at most 10,000.
        assert await cursor.fetchall() == [("failed", 10_000), ("received", 10_000)]
