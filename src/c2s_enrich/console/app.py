"""The console's addresses, and what is said when something is wrong. No page works without a
session, no POST without the operator's role from one of our own pages.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from c2s_enrich.clock import Clock
from c2s_enrich.connection import is_unsendable
from c2s_enrich.console import events, lead, messages, overview, plans, rejects, upstreams
from c2s_enrich.console.entrance import LANGUAGE, YEAR_SECONDS, Entrance, keep, local
from c2s_enrich.console.page import Form, Onward, Page, PageRefused, Tools, Visit, address, path_of
from c2s_enrich.console.session import is_same_origin
from c2s_enrich.console.show import SAID, shown
from c2s_enrich.console.words import LANGUAGES, N_
from c2s_enrich.database import is_transient
from c2s_enrich.ops.explain import NotUnderstood
from c2s_enrich.ops.filters import FilterError
from c2s_enrich.ops.plans import PlanGone
from c2s_enrich.serving.middleware import answer_http_error
from c2s_enrich.telemetry.lines import get_logger

SECURITY = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"x-robots-tag", b"noindex"),
    (b"strict-transport-security", b"max-age=31536000"),
)
# What only looks is answered or given up: each statement has two seconds, a page a few of them.
_PAGE_SECONDS = 5.0
_HERE = Path(__file__).parent
# A list answers its address with .json and .csv too.
_PAGES: tuple[tuple[str, Callable[[Visit], Awaitable[Page | Onward]]], ...] = (
    ("/", overview.overview),
    ("/events", events.events),
    ("/events/{event_id:uuid}", lead.search),
    ("/search", lead.search),
    ("/errors", events.errors),
    ("/upstreams", upstreams.upstreams),
    ("/messages", messages.messages),
    ("/rejects", rejects.rejects),
    ("/rejects/{reject_id:uuid}", rejects.reject),
    ("/pollers", overview.pollers),
    ("/actions", overview.actions),
    ("/leads/{lead_id:path}", lead.lead),
    ("/plans/{plan_id:uuid}", plans.plan),
    ("/actions/{plan_id:uuid}", plans.action),
)
_ACTIONS: tuple[tuple[str, Callable[[Visit, Form], Awaitable[Page | Onward]]], ...] = (
    ("/errors/{error}/mute", events.mute),
    ("/errors/{error}/unmute", events.mute),
    ("/upstreams/{name}/pause", upstreams.pause),
    ("/upstreams/{name}/resume", upstreams.resume),
    ("/upstreams/{name}/budget", upstreams.budget),
    ("/messages/{message_id:uuid}/delivered", messages.judge),
    ("/messages/{message_id:uuid}/not-delivered", messages.judge),
    ("/rejects/replay", rejects.replay_alike),
    ("/rejects/{reject_id:uuid}/replay", rejects.replay),
    ("/rejects/{reject_id:uuid}/dismiss", rejects.dismiss),
    ("/rejects/{reject_id:uuid}/show", rejects.show),
    ("/leads/{lead_id:path}", lead.act),
    ("/plans", plans.make),
    ("/plans/{plan_id:uuid}", plans.run),
    ("/actions/{plan_id:uuid}", plans.stop),
)

_log = get_logger("c2s_enrich.console")


class Console:
    """Routes and what is around every handler: session, language, form, errors."""

    def __init__(self, tools: Tools, clock: Clock) -> None:
        self._tools = tools
        self._shown = shown(ZoneInfo(tools.settings.operator_timezone))
        self._entrance = Entrance(tools.pool, self._shown, clock, tools.settings)

    def routes(self) -> list[Route]:
        return [
            Route("/console.css", self._style),
            *self._entrance.routes(),
            *(
                Route(_in_form(path, form), self._looking(handler, form), methods=["GET"])
                for path, handler in _PAGES
                for form in (".json", ".csv", "")
            ),
            *(Route(path, self._acting(handler), methods=["POST"]) for path, handler in _ACTIONS),
        ]

    async def answer_http_error(self, request: Request, error: Exception) -> Response:
        """For Starlette: an address that does not exist, as a page or as problem+json."""
        if request.url.path.startswith("/api/") or not isinstance(error, HTTPException):
            return await answer_http_error(request, error)

        async def nothing(visit: Visit) -> Response:
            return await self._error(visit, error.status_code, _NOTHING_HERE)

        return await self._visited(nothing)(request)

    def _looking(
        self, handler: Callable[[Visit], Awaitable[Page | Onward]], form: str
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(visit: Visit) -> Response:
            request = visit.request
            if (chosen := request.query_params.get("lang")) in LANGUAGES:
                query = {**request.query_params, "lang": None}
                answer = RedirectResponse(local(address(path_of(request), **query)), 303)
                return keep(request, answer, LANGUAGE, chosen, YEAR_SECONDS)
            return await self._answer(visit, handler(visit), form, _PAGE_SECONDS)

        return self._visited(answer)

    def _acting(
        self, handler: Callable[[Visit, Form], Awaitable[Page | Onward]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(visit: Visit) -> Response:
            if not is_same_origin(visit.request.headers):
                return await self._error(visit, 403, N_("This form came from another site."))
            if not visit.session.may_act:
                return await self._error(visit, 403, N_("Only operators may change something."))

            async def act() -> Page | Onward:
                await visit.planner().may_record()
                return await handler(visit, await Form.read(visit.request))

            return await self._answer(visit, act(), "")

        return self._visited(answer)

    def _visited(
        self, handler: Callable[[Visit], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """The handler for whoever is logged in; everybody else is sent to the login."""

        async def answer(request: Request) -> Response:
            session = self._entrance.session(request)
            if session is None:
                return self._entrance.send(request)
            words = self._shown.words[self._entrance.language(request)]
            return await handler(Visit(request, self._tools, words, session))

        return answer

    async def _answer(
        self,
        visit: Visit,
        work: Awaitable[Page | Onward],
        form: str,
        seconds: float | None = None,
    ) -> Response:
        try:
            async with asyncio.timeout(seconds):
                said = await work
        except (FilterError, NotUnderstood) as error:
            return await self._error(visit, 422, str(error))
        except PageRefused as error:
            return await self._error(visit, *error.args)
        except PlanGone:
            return await self._error(
                visit, 409, N_("This plan is unknown, too old, or was run before: make a new one.")
            )
        except psycopg.errors.InsufficientPrivilege:
            _log.warning("console_lacks_a_right")
            return await self._error(visit, 503, _NO_RIGHT)
        except psycopg.errors.QueryCanceled:
            return await self._error(visit, 503, _SLOW)
        except (psycopg.Error, TimeoutError) as error:
            if is_unsendable(error):
                return await self._error(visit, 422, N_("A text holds a NUL character."))
            if not isinstance(error, TimeoutError) and not is_transient(error):
                raise
            _log.warning("console_waits_for_database", error=type(error).__name__)
            return await self._error(visit, 503, N_("The database does not answer: try again."))
        if isinstance(said, Onward):
            answer: Response = RedirectResponse(local(said.location), 303)
            if said.sentence:
                keep(visit.request, answer, SAID, quote(said.sentence[:500]), 60)
            return answer
        return await self._written(visit, said, form)

    async def _written(self, visit: Visit, page: Page, form: str) -> Response:
        accepted = visit.request.headers.get("accept", "")
        if page.table is not None and (form == ".csv" or accepted.startswith("text/csv")):
            return Response(page.table.csv(), media_type="text/csv; charset=utf-8")
        if form == ".csv":
            return await self._error(visit, 404, _NOTHING_HERE)
        if form == ".json":
            table = page.table
            data = page.data if table is None else {"rows": table.plain(), "after": table.after}
            return Response(msgspec.json.encode(data), media_type="application/json")
        _, problems = await self._tools.health.look()
        return self._shown.page(visit, page, problems)

    async def _error(self, visit: Visit, status: int, sentence: str) -> Response:
        context = {"sentence": visit.words.gettext(sentence)}
        page = Page("error.html", N_("That did not work"), context, status=status)
        return await self._written(visit, page, "")

    async def _style(self, _: Request) -> Response:
        return FileResponse(_HERE / "console.css", media_type="text/css")


_NOTHING_HERE = N_("There is nothing at this address.")
_NO_RIGHT = N_("The database login of this process may not do that; its role is c2s_ops.")
_SLOW = N_("This takes longer than two seconds: take a shorter time or a narrower filter.")


def _in_form(path: str, form: str) -> str:
    return "/overview" + form if path == "/" and form else path + form
