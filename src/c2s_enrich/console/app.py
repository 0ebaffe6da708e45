"""The console's addresses, and what is around each of them. No page works without a session, no
POST without the operator's role from one of our own pages.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from c2s_enrich.clock import Clock
from c2s_enrich.console import events, lead, plans, rejects, service
from c2s_enrich.console.entrance import (
    LANGUAGE,
    YEAR_SECONDS,
    Entrance,
    is_same_origin,
    keep,
    redirect,
)
from c2s_enrich.console.page import Onward, Page, Tools, Visit, address, path_of, read_form
from c2s_enrich.console.show import SAID, show, words_of
from c2s_enrich.console.words import LANGUAGES
from c2s_enrich.ops.cells import as_csv
from c2s_enrich.ops.surface import N_, Refusal, answered
from c2s_enrich.serving.middleware import answer_http_error

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
_NOTHING_HERE = N_("There is nothing at this address.")

Handler = Callable[[Visit], Awaitable[Page | Onward]]
# A list answers its address with .json and .csv too.
_PAGES: tuple[tuple[str, Handler], ...] = (
    ("/", service.overview),
    ("/events", events.events),
    ("/events/{event_id:uuid}", lead.search),
    ("/search", lead.search),
    ("/errors", events.errors),
    ("/upstreams", service.upstreams),
    ("/messages", events.messages),
    ("/rejects", rejects.rejects),
    ("/rejects/{reject_id:uuid}", rejects.reject),
    ("/pollers", service.pollers),
    ("/actions", plans.actions),
    ("/leads/{lead_id:path}", lead.lead),
    ("/plans/{plan_id:uuid}", plans.plan),
    ("/actions/{plan_id:uuid}", plans.action),
)
_ACTIONS: tuple[tuple[str, Handler], ...] = (
    ("/errors/{error}/mute", events.mute),
    ("/errors/{error}/unmute", events.mute),
    ("/upstreams/{name}/pause", service.pause),
    ("/upstreams/{name}/resume", service.resume),
    ("/upstreams/{name}/budget", service.budget),
    ("/messages/{message_id:uuid}/delivered", events.judge),
    ("/messages/{message_id:uuid}/not-delivered", events.judge),
    ("/rejects/replay", rejects.replay_alike),
    ("/rejects/{reject_id:uuid}/replay", rejects.replay),
    ("/rejects/{reject_id:uuid}/dismiss", rejects.dismiss),
    ("/rejects/{reject_id:uuid}/show", rejects.show),
    ("/leads/{lead_id:path}", lead.act),
    ("/plans", plans.make),
    ("/plans/{plan_id:uuid}", plans.run),
    ("/actions/{plan_id:uuid}", plans.stop),
)


class Console:
    """Routes and what is around every handler: session, language, form, errors."""

    def __init__(self, tools: Tools, clock: Clock) -> None:
        self._tools = tools
        self._zone = ZoneInfo(tools.settings.operator_timezone)
        self._entrance = Entrance(tools.pool, self._zone, clock, tools.settings)

    def routes(self) -> list[Route]:
        return [
            Route("/console.css", _style),
            *self._entrance.routes(),
            *(
                Route(
                    ("/overview" if path == "/" and form else path) + form,
                    self._visited(handler, form),
                    methods=["GET"],
                )
                for path, handler in _PAGES
                for form in (".json", ".csv", "")
            ),
            *(
                Route(path, self._visited(_acting(handler), acts=True), methods=["POST"])
                for path, handler in _ACTIONS
            ),
        ]

    async def answer_http_error(self, request: Request, error: Exception) -> Response:
        """For Starlette: an address that does not exist, as a page or as problem+json."""
        if request.url.path.startswith("/api/") or not isinstance(error, HTTPException):
            return await answer_http_error(request, error)

        async def nothing(_: Visit) -> Page:
            raise Refusal(error.status_code, _NOTHING_HERE)

        return await self._visited(nothing)(request)

    def _visited(
        self, handler: Handler, form: str = "", *, acts: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """The handler for whoever is logged in; everybody else is sent to the login."""

        async def answer(request: Request) -> Response:
            session = self._entrance.session(request)
            if session is None:
                return self._entrance.send(request)
            query = request.query_params
            if request.method == "GET" and (chosen := query.get("lang")) in LANGUAGES:
                here = address(path_of(request), **{**query, "lang": None})
                return keep(request, redirect(here), LANGUAGE, chosen, YEAR_SECONDS)
            words = words_of(self._entrance.language(request), self._zone)
            visit = Visit(request, self._tools, words, session)
            path = getattr(request.scope.get("route"), "path", "")
            try:
                seconds = None if acts else _PAGE_SECONDS
                said = await answered(handler(visit), "console", path, seconds)
                return await self._written(visit, said, form)
            except Refusal as error:
                context = {"sentence": words.gettext(error.sentence)}
                page = Page("error.html", context, status=error.status)
                return await self._written(visit, page, "")

        return answer

    async def _written(self, visit: Visit, said: Page | Onward, form: str) -> Response:
        if isinstance(said, Onward):
            answer = redirect(said.location)
            if said.sentence:
                keep(visit.request, answer, SAID, quote(said.sentence[:500]), 60)
            return answer
        table, accepted = said.table, visit.request.headers.get("accept", "")
        if table is not None and (form == ".csv" or accepted.startswith("text/csv")):
            return Response(as_csv(table.plain()), media_type="text/csv; charset=utf-8")
        if form == ".csv":
            raise Refusal(404, _NOTHING_HERE)
        if form == ".json":
            data = {"rows": table.plain(), "after": table.after} if table else said.data
            return Response(msgspec.json.encode(data), media_type="application/json")
        _, problems = await self._tools.health.look()
        return show(visit, said, problems)


def _acting(handler: Handler) -> Handler:
    async def act(visit: Visit) -> Page | Onward:
        if not is_same_origin(visit.request.headers):
            raise Refusal(403, N_("This form came from another site."))
        if not visit.session.may_act:
            raise Refusal(403, N_("Only operators may change something."))
        await visit.planner().may_record()
        return await handler(replace(visit, form=await read_form(visit.request)))

    return act


async def _style(_: Request) -> Response:
    return FileResponse(Path(__file__).with_name("console.css"), media_type="text/css")
