"""Every question of sql/runbook and of docs/sql.md is answered by the database as it is."""

import asyncio
import csv
import io
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database
from typer.testing import CliRunner, Result

from c2s_enrich.cli.main import app
from c2s_enrich.database import Pool
from c2s_enrich.ops.runbook import answer, questions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/sql.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
Type = Callable[..., Awaitable[Result]]


@pytest.fixture
async def a_day(brokerage: Brokerage) -> Database:
    """One lead went well, nobody knows another, one has no readable phone, one waits."""
    await brokerage.accept("well", brokerage.people[0])
    await brokerage.db.execute(
        "update webhook_events set payload_raw = jsonb_set(payload_raw, '{data,attributes,seller}',"
        """ '{"id": "seller-1", "name": "Vera"}')"""
    )
    await brokerage.accept("unknown", brokerage.people[5], phone="5511912340077", email=None)
    await brokerage.accept("odd", brokerage.people[1], phone="123")
    await brokerage.work()
    await brokerage.accept("waiting", brokerage.people[7])
    return brokerage.db


@pytest.fixture
def type_(db: Database, monkeypatch: pytest.MonkeyPatch) -> Type:
    monkeypatch.setenv("DATABASE_URL", db.url)

    async def typed(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words))

    return typed


class TestEveryQuestion:
    async def test_is_answered(self, a_day: Database, pool: Pool) -> None:
        wrong = {}
        for name in questions():
            try:
                await answer(pool, name)
            except psycopg.Error as error:
                wrong[name] = str(error)

        assert wrong == {}

    @pytest.mark.parametrize("name", questions())
    def test_is_one_select_under_its_question(self, name: str) -> None:
        text = (ROOT / f"sql/runbook/{name}.sql").read_text()

        assert text.startswith("-- ")
        assert text.count(";") == 1
        assert questions()[name][-1] in "?."

    async def test_changes_nothing_although_it_is_told_to(
        self, db: Database, pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from c2s_enrich.ops import runbook

        (tmp_path / "runbook").mkdir()
        (tmp_path / "runbook/worse.sql").write_text("-- Worse?\ndelete from upstreams;")
        monkeypatch.setattr(runbook, "sql_folder", lambda: tmp_path)

        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            await answer(pool, "worse")

    async def test_finds_the_leads_that_got_nothing_with_the_cause(
        self, a_day: Database, pool: Pool
    ) -> None:
        causes = {row["lead_id"]: row["cause"] for row in await answer(pool, "untold")}

        assert causes == {"unknown": "nobody_known", "waiting": "no_poller"}

    async def test_finds_the_invalid_phones_and_the_found_share(
        self, a_day: Database, pool: Pool
    ) -> None:
        [phone] = await answer(pool, "invalid_phones")
        share = await answer(pool, "found_share")

        assert (phone["lead_id"], phone["skipped"]) == ("odd", "phone malformed")
        assert {"diretrix", "work_api"} == {row["source"] for row in share}

    async def test_counts_leads_by_seller(self, a_day: Database, pool: Pool) -> None:
        sellers = {row["seller"]: row for row in await answer(pool, "leads_by_seller")}

        assert (sellers["Vera"]["leads"], sellers["Vera"]["told"]) == (1, 1)
        assert sellers["(no seller)"]["leads"] == 2


class TestThePage:
    async def test_names_queries_that_work(self, a_day: Database) -> None:
        wrong = {}
        for query in QUERIES:
            try:
                await a_day.execute(query)
            except psycopg.Error as error:
                wrong[query] = str(error)

        assert len(QUERIES) > 3
        assert wrong == {}

    async def test_names_every_view_and_every_question(self, db: Database) -> None:
        views = await db.fetch("select viewname from pg_views where viewname like 'v\\_%%'")

        assert [row.viewname for row in views if f"`{row.viewname}`" not in PAGE] == []
        assert [name for name in questions() if f"`{name}`" not in PAGE] == []


class TestTheCommand:
    async def test_lists_the_questions(self, type_: Type) -> None:
        listed = await type_("runbook", "--json")

        assert {each["name"] for each in json.loads(listed.stdout)} == set(questions())

    async def test_prints_csv_that_no_spreadsheet_takes_for_a_formula(
        self, a_day: Database, type_: Type
    ) -> None:
        await a_day.execute("update leads set seller_name = '=cmd|calc' where lead_id = 'well'")

        printed = await type_("runbook", "leads_by_seller", "--csv")

        rows = list(csv.DictReader(io.StringIO(printed.stdout)))
        assert "'=cmd|calc" in {row["seller"] for row in rows}

    async def test_refuses_an_unknown_question_with_the_nearest(self, type_: Type) -> None:
        refused = await type_("runbook", "leads_by_seler")

        assert refused.exit_code == 2
        assert "did you mean `leads_by_seller`?" in refused.output
