"""The operators' functions over HTTP, behind the bearer ADMIN_TOKEN."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from c2s_enrich.database import Pool
from c2s_enrich.ops import filters
from c2s_enrich.ops.api_document import Endpoint, document
from c2s_enrich.ops.causes import Language
from c2s_enrich.ops.cells import as_csv
from c2s_enrich.ops.events import ErrorGroup, EventLine, EventsDesk
from c2s_enrich.ops.explain import Explanation, explained
from c2s_enrich.ops.health import gives
from c2s_enrich.ops.plans import Order, Plan, Planner, PlanState, Runs
from c2s_enrich.ops.surface import Refusal, answered, read_body
from c2s_enrich.redaction import redact
from c2s_enrich.serving.problem import HttpProblem
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.limits import Limits, UpstreamState

ROOT = "/api/v1/admin"
# What only looks is answered or given up before any caller's patience ends.
_LOOK_SECONDS = 3.0
_ENDPOINTS: list[Endpoint] = []

T = TypeVar("T")
H = TypeVar("H", bound=Callable[..., Awaitable[Any]])


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


class Explaining(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    lang: Language = "en"
    history: bool = False


def _endpoint(method: str, path: str, summary: str, **more: Any) -> Callable[[H], H]:
    """Makes a method of AdminApi the answer at an address; `more` as in Endpoint."""

    def declared(handler: H) -> H:
        _ENDPOINTS.append(Endpoint(method, path, summary, handler, **more))
        return handler

    return declared


class AdminApi:
    def __init__(self, pool: Pool, limits: Limits, runs: Runs, settings: Settings) -> None:
        self._pool = pool
        self._limits = limits
        self._runs = runs
        self._token = settings.admin_token.reveal().encode()
        self._zone = ZoneInfo(settings.operator_timezone)

    def routes(self) -> list[Route]:
        return [
            Route(ROOT + each.path, self._answering(each), methods=[each.method])
            for each in _ENDPOINTS
        ]

    def _answering(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        looks, body = endpoint.method == "GET", endpoint.body

        async def work(request: Request) -> Any:
            if not looks:
                await self._planner().may_record()
            if not body:
                return await endpoint.handler(self, request)
            given = await read_body(request) or b"{}"
            read = _understood(msgspec.json.decode, given, type=body)
            return await endpoint.handler(self, request, read)

        async def answer(request: Request) -> Response:
            try:
                if not gives(request, self._token):
                    raise Refusal(401, "Give the bearer ADMIN_TOKEN.", "unauthorised")
                said = await answered(
                    work(request), "admin", endpoint.path, _LOOK_SECONDS if looks else None
                )
            except Refusal as error:
                return _refused(error)
            if isinstance(said, list) and "text/csv" in request.headers.get("accept", ""):
                return Response(as_csv(said), media_type="text/csv")
            # A run that goes on is answered with the second one.
            status = endpoint.statuses[-1 if getattr(said, "state", "") == "running" else 0]
            return Response(msgspec.json.encode(said), status, media_type="application/json")

        return answer

    @_endpoint("GET", "/openapi.json", "This document")
    async def _document(self, _: Request) -> dict[str, Any]:
        return document(ROOT, _ENDPOINTS)

    @_endpoint("GET", "/events", "Events, newest first", query={**filters.WORDS, **filters.PAGING})
    async def _events(self, request: Request) -> list[EventLine]:
        page = filters.parse_paging(request.query_params)
        words = {
            name: text for name, text in request.query_params.items() if name not in filters.PAGING
        }
        return await EventsDesk(self._pool).events(self._filter(words), page.limit, page.after)

    @_endpoint("GET", "/errors", "Errors in groups", query=filters.WORDS)
    async def _errors(self, request: Request) -> list[ErrorGroup]:
        return await EventsDesk(self._pool).errors(self._filter(request.query_params))

    @_endpoint(
        *("GET", "/explain/{what:path}", "Why it stands there"),
        query={"lang": "en or pt", "history": "true: all of it"},
    )
    async def _explain(self, request: Request) -> Explanation:
        what = request.path_params["what"]
        how = _understood(msgspec.convert, dict(request.query_params), Explaining, strict=False)
        return await explained(self._pool, what, how.lang, self._zone, history=how.history)

    @_endpoint("GET", "/upstreams", "Pauses, limits, budgets")
    async def _upstreams(self, _: Request) -> list[UpstreamState]:
        return list(await self._limits.all())

    @_endpoint("POST", "/upstreams/{name}/pause", "Stop all pollers from calling it")
    async def _pause(self, request: Request, body: PauseBody) -> UpstreamState:
        name = request.path_params["name"]
        done = await self._limits.pause(name, body.minutes, body.reason)
        return await self._changed(done, name, "pause", {"minutes": body.minutes}, body.reason)

    @_endpoint("POST", "/upstreams/{name}/resume", "End its pause")
    async def _resume(self, request: Request) -> UpstreamState:
        name = request.path_params["name"]
        return await self._changed(await self._limits.resume(name), name, "resume")

    @_endpoint("POST", "/upstreams/{name}/budget", "Another budget for today")
    async def _budget(self, request: Request, body: BudgetBody) -> UpstreamState:
        name = request.path_params["name"]
        done = await self._limits.budget(name, body.calls)
        return await self._changed(done, name, "budget", {"calls": body.calls})

    async def _changed(
        self, done: bool, name: str, verb: str, words: Mapping[str, Any] = {}, why: str = ""
    ) -> UpstreamState:
        if not done:
            raise Refusal(404, "There is no such upstream.")
        await self._planner().record(verb, {"upstream": name, **words}, why or None)
        [state] = [each for each in await self._limits.all() if each.name == name]
        return state

    @_endpoint("GET", "/plans", "What was planned and done, newest first", query=filters.PAGING)
    async def _plans(self, request: Request) -> list[PlanState]:
        filters.refuse_unknown(request.query_params, filters.PAGING)
        page = filters.parse_paging(request.query_params)
        return await self._planner().states(page.limit, page.after)

    @_endpoint("POST", "/plans", "Plan; nothing is done yet", statuses=(201,))
    async def _plan(self, _: Request, body: OrderBody) -> Plan:
        chosen = self._filter(body.filter)
        if not chosen:
            raise Refusal(422, "filter is empty: say which events")
        if body.verb == "fail" and not (body.reason or "").strip():
            raise Refusal(422, "reason is needed to give events up")
        order = Order(body.verb, chosen, body.fresh, body.limit, body.reason)
        return await self._planner(body.actor).plan(order)

    @_endpoint("GET", "/plans/{id}", "How far it is")
    async def _look_at_plan(self, request: Request) -> PlanState:
        found = await self._planner().state(_id(request))
        if found is None:
            raise Refusal(404, "There is no such plan.")
        return found

    @_endpoint(
        *("POST", "/plans/{id}/run", "Run it, once; 202: it goes on"),
        statuses=(200, 202),
        conflicts=True,
    )
    async def _run(self, request: Request) -> PlanState:
        ended = await self._runs.run(self._planner(), _id(request))
        return ended or await self._look_at_plan(request)

    @_endpoint("POST", "/plans/{id}/stop", "Stop it after the batch it is in", conflicts=True)
    async def _stop(self, request: Request) -> PlanState:
        stopped, found = await self._planner().stop(_id(request)), await self._look_at_plan(request)
        if not stopped:
            raise Refusal(409, f"This plan is {found.state} already.", "plan_over")
        return found

    def _planner(self, actor: str = "api") -> Planner:
        return Planner(self._pool, actor=redact(actor)[:100] or "api", via="api")

    def _filter(self, words: Mapping[str, str]) -> filters.Filter:
        return filters.parse_filter(words, self._zone)


def _understood(read: Callable[..., T], *given: Any, **how: Any) -> T:
    try:
        return read(*given, **how)
    except msgspec.ValidationError as error:
        raise Refusal(422, str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise Refusal(422, "not JSON") from None


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise Refusal(404, "There is no such plan.") from None


def _refused(error: Refusal) -> Response:
    headers = {"www-authenticate": 'Bearer realm="c2s-enrich"'} if error.status == 401 else {}
    return HttpProblem(error.status, error.reason, error.sentence, headers)
