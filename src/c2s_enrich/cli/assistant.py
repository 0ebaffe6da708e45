"""The tools that `mcp` serves. Imported by that command alone: it needs the extra `mcp`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from c2s_enrich.cli.ending import in_words
from c2s_enrich.cli.printing import operator_zone
from c2s_enrich.cli.status import look
from c2s_enrich.database import Pool, open_pool
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.explain import explained
from c2s_enrich.ops.filters import Filter, parse_filter
from c2s_enrich.ops.plans import Order, Planner
from c2s_enrich.settings import Settings

Asked = Context[Any, Any]
Answer = dict[str, Any]
Words = dict[str, str]

_ANSWER_SECONDS = 4.0
_INSTRUCTIONS = """c2s-enrich enriches the leads of a brokerage and tells each seller once.
Nothing here changes anything. To mend something, show the person the `command` of an answer.
A filter is an object of texts, for example {"status": "failed", "since": "2h"}; its words are
status, kind, outcome, lead, event, upstream, waiting, error, since, until, updated and text."""


def build_server(settings: Settings) -> MCPServer[Pool]:
    """Four tools. They answer like the commands with --json; an error is one sentence."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[Pool]) -> AsyncIterator[Pool]:
        async with open_pool(settings, name="mcp") as pool:
            yield pool

    server = MCPServer("c2s-enrich", instructions=_INSTRUCTIONS, lifespan=lifespan)
    looks = server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False))

    async def answer(context: Asked, ask: Callable[[Pool], Awaitable[Any]]) -> Answer:
        pool = context.request_context.lifespan_context
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return {"answer": msgspec.to_builtins(await ask(pool))}
        except TimeoutError:
            raise ToolError("the database does not answer") from None
        except Exception as error:
            raise ToolError(in_words(error)) from None

    def chosen(filter: Words) -> Filter:  # noqa: A002 the name that a caller sees
        return parse_filter(filter, operator_zone())

    @looks
    async def status(context: Asked) -> Answer:
        """What is wrong now, each with the command that mends it, and what waits."""
        return await answer(context, look)

    @looks
    async def explain(context: Asked, what: str, lang: Literal["en", "pt"] = "en") -> Answer:
        """Why a lead got nothing, or what it got: by lead id, event id, ref of a message or C2S
        address. Says the cause, what happens next and the command that mends it.
        """
        return await answer(context, lambda pool: explained(pool, what, lang, operator_zone()))

    @looks
    async def errors(context: Asked, filter: Words | None = None) -> Answer:  # noqa: A002
        """Failed and waiting events in groups of one error each, newest first."""
        return await answer(context, lambda pool: EventsDesk(pool).errors(chosen(filter or {})))

    @looks
    async def plan(context: Asked, filter: Words, fresh: bool = False) -> Answer:  # noqa: A002
        """What reprocessing these events would do: how many, their groups, paid calls, messages,
        minutes. Nothing is written down; `fresh` asks the sources again.
        """

        async def estimate(pool: Pool) -> dict[str, Any]:
            order = Order("reprocess", chosen(filter), fresh=fresh)
            return await Planner(pool, actor="assistant", via="cli").estimate(order)

        return await answer(context, estimate)

    return server
