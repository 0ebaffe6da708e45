"""An assistant asks over the Model Context Protocol what an operator would ask the command line."""

import os
import sys
from typing import Any

import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database

from c2s_enrich.settings import Settings

LEAD = "a27acb6706163126e6369bba649160ae"


def _server(settings: Settings) -> Any:
    # Here, and not in each process of the run: a second of imports.
    from c2s_enrich.cli.assistant import build_server

    return build_server(settings)


def _session(server: Any) -> Any:
    from mcp import Client

    return Client(server)


class Assistant:
    """Opens a session for each question: a session's task group must end where it began."""

    def __init__(self, server: Any) -> None:
        self.server = server

    async def tools(self) -> Any:
        async with _session(self.server) as client:
            return (await client.list_tools()).tools

    async def asks(self, tool: str, **words: Any) -> Any:
        result = await self._call(tool, words)
        assert not result.is_error, result.content
        return result.structured_content["answer"]

    async def is_refused(self, tool: str, **words: Any) -> str:
        result = await self._call(tool, words)
        assert result.is_error
        return str(result.content[0].text)

    async def _call(self, tool: str, words: dict[str, Any]) -> Any:
        async with _session(self.server) as client:
            return await client.call_tool(tool, words)


@pytest.fixture
def assistant(db: Database) -> Assistant:
    return Assistant(_server(Settings.load({"DATABASE_URL": db.url}, "migrate")))


class TestAnAssistant:
    async def test_finds_four_tools_that_only_look(self, assistant: Assistant) -> None:
        tools = await assistant.tools()

        assert {each.name for each in tools} == {"status", "explain", "errors", "plan"}
        assert all(each.annotations.read_only_hint for each in tools)
        assert all(each.description for each in tools)

    async def test_learns_why_a_lead_got_nothing_and_what_mending_costs(
        self, db: Database, brokerage: Brokerage, assistant: Assistant
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])
        await db.execute(
            "update webhook_events set status = 'failed', processed_at = now(),"
            " error_kind = 'upstream_refused', error_message = 'c2s: HTTP 422'"
        )

        explained = await assistant.asks("explain", what=LEAD, lang="pt")
        [group] = await assistant.asks("errors", filter={"status": "failed"})
        plan = await assistant.asks("plan", filter={"lead": LEAD})
        status = await assistant.asks("status")

        assert explained["cause"] == "refused"
        assert explained["actions"][0]["command"].startswith("c2s-enrich events reprocess")
        assert group["events"] == 1
        assert plan["events"] == 1
        assert plan["paid_calls"].keys() == {"diretrix", "work_api"}
        assert status.keys() == {"problems", "queue"}

    async def test_changes_nothing(
        self, db: Database, brokerage: Brokerage, assistant: Assistant
    ) -> None:
        await brokerage.accept(LEAD, brokerage.people[0])

        await assistant.asks("plan", filter={"lead": LEAD}, fresh=True)

        [count] = await db.fetch("select count(*) as rows from operator_actions")
        assert count.rows == 0

    async def test_is_told_which_word_of_a_filter_is_not_known(self, assistant: Assistant) -> None:
        assert "did you mean `failed`?" in await assistant.is_refused(
            "errors", filter={"status": "faild"}
        )
        assert "`statos` is not a filter" in await assistant.is_refused(
            "plan", filter={"statos": "failed"}
        )

    async def test_sees_no_password_where_the_database_is_away(self) -> None:
        settings = Settings.load(
            {"DATABASE_URL": "postgresql://ana:hunter22@127.0.0.1:1/x"}, "migrate"
        )

        sentence = await Assistant(_server(settings)).is_refused("status")

        assert "database" in sentence
        assert "hunter22" not in sentence

    async def test_starts_the_command_and_talks_over_its_pipes(self, db: Database) -> None:
        from mcp import StdioServerParameters

        command = StdioServerParameters(
            command=sys.executable,
            args=["-m", "c2s_enrich", "mcp"],
            env={**os.environ, "DATABASE_URL": db.url},
        )

        explained = await Assistant(command).asks("explain", what="f" * 32)

        assert explained["cause"] == "never_arrived"
