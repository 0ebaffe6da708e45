"""The admin API: closed without the token, the same answers as the command line, and a document
that is true.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
import pytest
import uvicorn
from tests.conftest import Database
from tests.documented import ask_everything
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.console import app as console
from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.operators import build_ops

TOKEN = "an-admin-token-of-a-test"
LEAD = "a27acb6706163126e6369bba649160ae"


@pytest.fixture
async def url(db: Database) -> AsyncIterator[str]:
    """A running ops process."""
    async with serving(db) as address:
        yield address


@asynccontextmanager
async def serving(db: Database) -> AsyncIterator[str]:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(
            build_ops(db.settings("ops", ADMIN_TOKEN=TOKEN, HASH_KEY="h" * 40), Metrics()),
            port=port,
            log_config=None,
            ws="none",
        )
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await running


@pytest.fixture
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{url}/api/v1/admin", headers={"Authorization": f"Bearer {TOKEN}"}
    ) as opened:
        yield opened


async def failed(db: Database, lead: str = LEAD, count: int = 1) -> None:
    await db.execute(
        "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
        " error_kind, error_message, received_at) select %s, now() - n * interval '1 s', '{}',"
        " 'failed', now(), 'upstream_refused', 'c2s: HTTP 422', now() - interval '1 minute'"
        " from generate_series(1, %s) n",
        (lead, count),
    )


class TestWithoutTheToken:
    @pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}])
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/events"),
            ("GET", "/openapi.json"),
            ("POST", "/plans"),
            ("POST", "/upstreams/c2s/pause"),
        ],
    )
    async def test_nothing_is_told_and_nothing_is_done(
        self, url: str, db: Database, header: dict[str, str], method: str, path: str
    ) -> None:
        async with httpx.AsyncClient(base_url=f"{url}/api/v1/admin") as stranger:
            answer = await stranger.request(method, path, headers=header, json={})

        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert await db.value("select count(*) from upstreams where paused_until is not null") == 0


class TestADatabaseThatIsAway:
    async def test_is_said_before_the_command_line_gives_up(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(console, "_PAGE_SECONDS", 0.1)
        away = replace(db, url="postgresql://nobody@127.0.0.1:1/nothing")
        async with (
            serving(away) as address,
            httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=4) as client,
        ):
            answer = await client.get(f"{address}/api/v1/admin/events")
            ours, login = {"sec-fetch-site": "same-origin"}, {"token": TOKEN, "name": "Ana"}
            await client.post(f"{address}/login", data=login, headers=ours)
            page = await client.get(f"{address}/events")

        assert (answer.status_code, answer.json()["reason"]) == (503, "database_away")
        assert page.status_code == 503
        assert "The database does not answer" in page.text


class TestALoginThatMayNotWriteTheAudit:
    async def test_changes_nothing_by_api_or_console(
        self, url: str, client: httpx.AsyncClient, db: Database
    ) -> None:
        await db.execute(
            "create function refuse() returns trigger language plpgsql as"
            " $$ begin raise insufficient_privilege; end $$"
        )
        await db.execute(
            "create trigger refuse before insert on operator_actions execute function refuse()"
        )
        try:
            answer = await client.post("/upstreams/c2s/pause", json={})
            ours, login = {"sec-fetch-site": "same-origin"}, {"token": TOKEN, "name": "Ana"}
            await client.post(f"{url}/login", data=login, headers=ours)
            form = {"minutes": "5", "reason": "they are away"}
            page = await client.post(f"{url}/upstreams/c2s/pause", data=form, headers=ours)
        finally:
            await db.execute("drop function refuse cascade")

        assert (answer.status_code, answer.json()["reason"]) == (503, "no_right")
        assert (page.status_code, "its role is c2s_ops" in page.text) == (503, True)
        assert await db.value("select count(*) from upstreams where paused_until is not null") == 0


class TestAPlan:
    async def test_says_what_would_happen_and_runs_once(
        self, client: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, count=3)
        order = {"verb": "reprocess", "filter": {"lead": LEAD}, "actor": "ana"}

        plan = (await client.post("/plans", json=order)).json()
        untouched = await db.value("select count(*) from webhook_events where status = 'failed'")
        first = await client.post(f"/plans/{plan['id']}/run")
        second = await client.post(f"/plans/{plan['id']}/run")

        assert (plan["events"], plan["leads"], untouched) == (3, 1, 3)
        done = first.json()
        assert (done["state"], done["planned"], done["done"], done["skipped"]) == ("done", 3, 3, 0)
        assert second.status_code == 409
        assert await db.value("select count(*) from webhook_events where status = 'received'") == 3
        state = (await client.get(f"/plans/{plan['id']}")).json()
        assert (state["actor"], state["via"], state["done"]) == ("ana", "api", 3)
        assert (await client.get("/plans")).json() == [state]

    async def test_that_was_stopped_cannot_be_run_any_more(
        self, client: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db)
        order = {"verb": "reprocess", "filter": {"lead": LEAD}}
        plan = (await client.post("/plans", json=order)).json()["id"]

        stopped = await client.post(f"/plans/{plan}/stop")
        again = await client.post(f"/plans/{plan}/stop")
        run = await client.post(f"/plans/{plan}/run")

        assert (stopped.status_code, stopped.json()["state"]) == (200, "stopped")
        assert (again.status_code, run.status_code) == (409, 409)
        assert await db.value("select status from webhook_events") == "failed"

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({"verb": "reprocess", "filter": {"stauts": "failed"}}, "did you mean `status`?"),
            ({"verb": "reprocess", "filter": {}}, "filter is empty"),
            ({"verb": "fail", "filter": {"status": "received"}}, "reason is needed"),
            ({"verb": "erase", "filter": {"lead": "x"}}, "Invalid enum value"),
            ({"verb": "reprocess", "filter": {"lead": "x"}, "force": True}, "force"),
        ],
    )
    async def test_that_is_not_understood_is_refused(
        self, client: httpx.AsyncClient, body: dict[str, Any], sentence: str
    ) -> None:
        answer = await client.post("/plans", json=body)

        assert answer.status_code == 422
        assert sentence in answer.json()["detail"]

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/plans", {"verb": "fail", "filter": {"lead": "x"}, "reason": "a\0b"}),
            ("/plans", {"verb": "reprocess", "filter": {"lead": "x"}, "actor": "a\0b"}),
            ("/upstreams/c2s/pause", {"minutes": 5, "reason": "a\0b"}),
            ("/upstreams/%00/resume", {}),
        ],
    )
    async def test_with_a_nul_is_the_callers_fault(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any]
    ) -> None:
        answer = await client.post(path, json=body)

        assert answer.status_code == 422
        assert "NUL" in answer.json()["detail"]


class TestAList:
    async def test_goes_on_behind_the_last_one_of_the_page_before(
        self, client: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, count=5)  # all received at one time
        pages: list[Any] = []
        after: dict[str, Any] = {}
        for _ in range(3):
            words = {"limit": "2", "lead": LEAD, **after}
            page = [each["event_id"] for each in (await client.get("/events", params=words)).json()]
            pages, after = [*pages, page], {"after": page[-1]}

        assert [len(page) for page in pages] == [2, 2, 1]
        assert len({each for page in pages for each in page}) == 5

    async def test_is_csv_for_whoever_accepts_that(
        self, client: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db, lead="=cmd|calc")

        answer = await client.get("/events", headers={"Accept": "text/csv"})

        [row] = csv.DictReader(io.StringIO(answer.text))
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert (row["lead_id"], row["status"]) == ("'=cmd|calc", "failed")

    async def test_of_upstreams_is_csv_too(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/upstreams", headers={"Accept": "text/csv"})

        rows = csv.DictReader(io.StringIO(answer.text))
        assert [row["name"] for row in rows] == ["c2s", "diretrix", "work_api"]


class TestTheCommandLine:
    @pytest.mark.parametrize(
        "words",
        [
            ("events", "list", "--kind", "upstream_refused"),
            ("errors", "--since", "2h"),
            ("explain", LEAD),
            ("upstreams", "list"),
        ],
    )
    async def test_says_the_same_with_an_address_as_with_a_database(
        self, url: str, db: Database, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
    ) -> None:
        await failed(db)
        monkeypatch.setenv("ADMIN_TOKEN", TOKEN)

        async def typed(*more: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, app, [*words, *more, "--json"])

        far = await typed("--url", url)
        monkeypatch.setenv("DATABASE_URL", db.url)
        near = await typed()

        # The server logs to the stdout of the same process.
        assert near.stdout, (near.output, near.exception)
        [said] = [line for line in far.stdout.splitlines() if line[:1] in "[{"]
        assert json.loads(said) == json.loads(near.stdout)
        assert far.exit_code == near.exit_code

    async def test_pauses_and_resumes_over_the_address(
        self, url: str, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ADMIN_TOKEN", TOKEN)

        async def typed(*words: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--url", url])

        paused = await typed("upstreams", "pause", "c2s", "--reason", "asked for")
        since = await db.value("select paused_since from upstreams where name = 'c2s'")
        resumed = await typed("upstreams", "resume", "c2s")
        unknown = await typed("upstreams", "resume", "nobody")

        assert (paused.exit_code, resumed.exit_code, unknown.exit_code) == (0, 0, 3)
        assert since is not None
        verbs = await db.fetch("select verb from operator_actions order by at")
        assert [row.verb for row in verbs] == ["pause", "resume"]


class TestTheDocument:
    async def test_describes_every_answer(
        self, url: str, client: httpx.AsyncClient, db: Database
    ) -> None:
        await failed(db)
        document = (await client.get("/openapi.json")).json()

        asked = await asyncio.to_thread(
            partial(ask_everything, examples=15),
            document,
            url,
            {"Authorization": f"Bearer {TOKEN}"},
        )

        root = "/api/v1/admin"
        assert asked == {
            *(f"GET {root}/{path}" for path in ("openapi.json", "events", "errors")),
            *(f"GET {root}/explain/{{what}}", f"GET {root}/upstreams"),
            *(f"POST {root}/upstreams/{{name}}/{verb}" for verb in ("pause", "resume", "budget")),
            *(f"GET {root}/plans", f"POST {root}/plans", f"GET {root}/plans/{{id}}"),
            *(f"POST {root}/plans/{{id}}/{verb}" for verb in ("run", "stop")),
        }
