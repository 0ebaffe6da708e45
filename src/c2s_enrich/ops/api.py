"""The operators' functions over HTTP, behind the bearer ADMIN_TOKEN."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from c2s_enrich.connection import is_unsendable
from c2s_enrich.database import Pool, is_transient
from c2s_enrich.ops.api_document import Endpoint, document
from c2s_enrich.ops.causes import Language
from c2s_enrich.ops.cells import as_csv
from c2s_enrich.ops.events import ErrorGroup, EventLine, EventsDesk
from c2s_enrich.ops.explain import Explanation, NotUnderstood, explained
from c2s_enrich.ops.filters import WORDS, Filter, FilterError, parse_filter
from c2s_enrich.ops.health import gives
from c2s_enrich.ops.plans import Order, Plan, PlanGone, Planner, PlanState, Runs
from c2s_enrich.redaction import redact
from c2s_enrich.serving.problem import HttpProblem
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.upstreams.limits import Limits, UpstreamState

ROOT = "/api/v1/admin"
_LOOK_SECONDS = 3.0
_LARGEST_BODY = 64 * 1024

_log = get_logger("c2s_enrich.admin")
T = TypeVar("T")
_PAGE = {"limit": "at most this many, up to 1000", "after": "the last id of the page before"}


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /plans takes. `filter` has the words of GET /events; ids as one text, commas
    between. `actor` goes into the audit.
    """

    verb: Literal["reprocess", "fail"]
    filter: dict[str, str]
    actor: str = "api"
    fresh: bool = False
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    reason: str | None = None


class BudgetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /upstreams/{name}/budget takes: calls for today, 0 for no limit."""

    calls: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /upstreams/{name}/pause takes."""

    minutes: Annotated[float, msgspec.Meta(gt=0, le=525_600)] = 15
    reason: str = "paused by hand"


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    after: UUID | None = None


class Explaining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lang: Language = "en"
    history: bool = False


class Wrong(Exception):
    """The request cannot be answered: status, one word, one sentence."""


class AdminApi:
    def __init__(self, pool: Pool, limits: Limits, runs: Runs, settings: Settings) -> None:
        self._pool = pool
        self._limits = limits
        self._runs = runs
        self._token = settings.admin_token.reveal().encode()
        self._zone = ZoneInfo(settings.operator_timezone)

    def routes(self) -> list[Route]:
        about = {"lang": "en or pt", "history": "true: all of it"}
        # fmt: off
        self._endpoints = [
            Endpoint("GET", "/openapi.json", "This document", self._document,
                     {200: dict[str, Any]}),
            Endpoint("GET", "/events", "Events, newest first", self._events,
                     {200: list[EventLine]}, (422,), {**WORDS, **_PAGE}),
            Endpoint("GET", "/errors", "Errors in groups", self._errors,
                     {200: list[ErrorGroup]}, (422,), WORDS),
            Endpoint("GET", "/explain/{what:path}", "Why it stands there", self._explain,
                     {200: Explanation}, (404, 422), about),
            Endpoint("GET", "/upstreams", "Pauses, limits, budgets", self._upstreams,
                     {200: list[UpstreamState]}),
            Endpoint("POST", "/upstreams/{name}/pause", "Stop all pollers from calling it",
                     self._pause, {200: UpstreamState}, (404, 413, 422), body=PauseBody),
            Endpoint("POST", "/upstreams/{name}/resume", "End its pause", self._resume,
                     {200: UpstreamState}, (404,)),
            Endpoint("POST", "/upstreams/{name}/budget", "Another budget for today", self._budget,
                     {200: UpstreamState}, (404, 413, 422), body=BudgetBody),
            Endpoint("GET", "/plans", "What was planned and done, newest first", self._plans,
                     {200: list[PlanState]}, (422,), _PAGE),
            Endpoint("POST", "/plans", "Plan; nothing is done yet", self._plan,
                     {201: Plan}, (413, 422), body=OrderBody),
            Endpoint("GET", "/plans/{id}", "How far it is", self._look_at_plan,
                     {200: PlanState}, (404,)),
            Endpoint("POST", "/plans/{id}/run", "Run it, once; 202: it goes on", self._run,
                     {200: PlanState, 202: PlanState}, (404, 409)),
            Endpoint("POST", "/plans/{id}/stop", "Stop it after the batch it is in", self._stop,
                     {200: PlanState}, (404, 409)),
        ]
        # fmt: on
        return [
            Route(ROOT + each.path, self._answering(each), methods=[each.method])
            for each in self._endpoints
        ]

    def _answering(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            if not gives(request, self._token):
                return _refused(401, "unauthorised", "Give the bearer ADMIN_TOKEN.")
            try:
                if request.method == "POST":
                    await self._planner().may_record()
                # What only looks is answered or given up before any caller's patience ends.
                async with asyncio.timeout(_LOOK_SECONDS if request.method == "GET" else None):
                    said = await endpoint.handler(request)
            except (FilterError, NotUnderstood) as error:
                return _refused(422, "not_understood", str(error))
            except PlanGone as error:
                return _refused(409, "plan_gone", str(error))
            except Wrong as error:
                return _refused(*error.args)
            except psycopg.errors.InsufficientPrivilege:
                _log.warning("admin_lacks_a_right", path=endpoint.path)
                sentence = "The database login of this process may not do that: it needs c2s_ops."
                return _refused(503, "no_right", sentence)
            except (psycopg.Error, TimeoutError) as error:
                if is_unsendable(error):
                    return _refused(422, "not_understood", "A text holds a NUL character.")
                if not isinstance(error, TimeoutError) and not is_transient(error):
                    raise
                _log.warning("admin_waits_for_database", error=type(error).__name__)
                sentence = "The database does not answer in time: try again, or ask for less."
                return _refused(503, "database_away", sentence)
            if isinstance(said, Response):
                return said
            if isinstance(said, list) and "text/csv" in request.headers.get("accept", ""):
                return Response(as_csv(said), media_type="text/csv")
            return _json(said, min(endpoint.answers))

        return answer

    async def _document(self, _: Request) -> Any:
        return document(ROOT, self._endpoints)

    async def _events(self, request: Request) -> Any:
        words = dict(request.query_params)
        page = _query({name: words.pop(name) for name in _PAGE if name in words}, Paging)
        chosen = self._filter(words)
        return await EventsDesk(self._pool).events(chosen, page.limit, page.after)

    async def _errors(self, request: Request) -> Any:
        return await EventsDesk(self._pool).errors(self._filter(dict(request.query_params)))

    async def _explain(self, request: Request) -> Any:
        what, how = request.path_params["what"], _query(request.query_params, Explaining)
        return await explained(self._pool, what, how.lang, self._zone, history=how.history)

    async def _upstreams(self, _: Request) -> Any:
        return await self._limits.all()

    async def _pause(self, request: Request) -> Any:
        name, body = request.path_params["name"], await _body(request, PauseBody)
        reason = redact(body.reason)[:300]
        done = await self._limits.pause(name, body.minutes, reason)
        return await self._changed(done, name, "pause", {"minutes": body.minutes}, reason)

    async def _resume(self, request: Request) -> Any:
        name = request.path_params["name"]
        return await self._changed(await self._limits.resume(name), name, "resume")

    async def _budget(self, request: Request) -> Any:
        name, body = request.path_params["name"], await _body(request, BudgetBody)
        done = await self._limits.budget(name, body.calls)
        return await self._changed(done, name, "budget", {"calls": body.calls})

    async def _changed(
        self, done: bool, name: str, verb: str, words: Mapping[str, Any] = {}, why: str = ""
    ) -> Any:
        if not done:
            raise Wrong(404, "unknown", "There is no such upstream.")
        await self._planner().record(verb, {"upstream": name, **words}, why or None)
        [state] = [each for each in await self._limits.all() if each.name == name]
        return state

    async def _plans(self, request: Request) -> Any:
        page = _query(request.query_params, Paging)
        return await self._planner().states(page.limit, page.after)

    async def _plan(self, request: Request) -> Any:
        body = await _body(request, OrderBody)
        chosen = self._filter(body.filter)
        if not chosen:
            raise Wrong(422, "not_understood", "filter is empty: say which events")
        if body.verb == "fail" and not (body.reason or "").strip():
            raise Wrong(422, "not_understood", "reason is needed to give events up")
        order = Order(body.verb, chosen, body.fresh, body.limit, body.reason)
        return await self._planner(body.actor).plan(order)

    async def _look_at_plan(self, request: Request) -> Any:
        found = await self._planner().state(_id(request))
        if found is None:
            raise Wrong(404, "unknown", "There is no such plan.")
        return found

    async def _run(self, request: Request) -> Any:
        if ended := await self._runs.run(self._planner(), _id(request)):
            return ended
        return _json(await self._look_at_plan(request), 202)

    async def _stop(self, request: Request) -> Any:
        stopped, found = await self._planner().stop(_id(request)), await self._look_at_plan(request)
        if not stopped:
            raise Wrong(409, "plan_over", f"This plan is {found.state} already.")
        return found

    def _planner(self, actor: str = "api") -> Planner:
        return Planner(self._pool, actor=redact(actor)[:100] or "api", via="api")

    def _filter(self, words: Mapping[str, str]) -> Filter:
        return parse_filter(words, self._zone)


async def _body(request: Request, kind: type[T]) -> T:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Wrong(413, "too_large", f"At most {_LARGEST_BODY} bytes.")
    return _understood(lambda: msgspec.json.decode(bytes(body) or b"{}", type=kind))


def _query(words: Mapping[str, str], kind: type[T]) -> T:
    return _understood(lambda: msgspec.convert(dict(words), kind, strict=False))


def _understood(read: Callable[[], T]) -> T:
    try:
        return read()
    except msgspec.ValidationError as error:
        raise Wrong(422, "not_understood", str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise Wrong(422, "not_understood", "not JSON") from None


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise Wrong(404, "unknown", "There is no such plan.") from None


def _json(value: Any, status: int) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _refused(status: int, reason: str, detail: str) -> Response:
    headers = {"www-authenticate": 'Bearer realm="c2s-enrich"'} if status == 401 else {}
    return HttpProblem(status, reason, detail, headers)
