"""The admin API of `c2s-enrich ops`: the operators' functions over HTTP, with the same filters,
sentences and plans as the command line. Every address needs the bearer ADMIN_TOKEN; failures are
problem+json.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import tzinfo
from hmac import compare_digest
from typing import Any, Literal
from uuid import UUID

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from c2s_enrich.database import Pool, is_transient
from c2s_enrich.ops.api_document import document
from c2s_enrich.ops.causes import Language
from c2s_enrich.ops.events import EventsDesk
from c2s_enrich.ops.explain import Explainer, NotUnderstood, explain
from c2s_enrich.ops.filters import FilterError, parse_filter
from c2s_enrich.ops.plans import Order, PlanGone, Planner
from c2s_enrich.options import Secret
from c2s_enrich.redaction import redact
from c2s_enrich.serving.problem import problem
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.upstreams.limits import Limits

ROOT = "/api/v1/admin"
# A run that is short is answered with its end; a longer one goes on, and its plan tells how far.
_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 3.0
_MOST_EVENTS = 1000
_LARGEST_BODY = 64 * 1024

_log = get_logger("c2s_enrich.admin")
Handler = Callable[[Request], Awaitable[Any]]


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /plans takes. `filter` has the words of GET /events; ids as one text, commas
    between. `actor` goes into the audit.
    """

    verb: Literal["reprocess", "fail"]
    filter: dict[str, str]
    actor: str = "api"
    fresh: bool = False
    limit: int | None = None
    reason: str | None = None


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What POST /upstreams/{name}/pause takes."""

    minutes: float = 15
    reason: str = "paused by hand"


class Wrong(Exception):
    """The request cannot be answered: status, one word, one sentence."""


class AdminApi:
    """Routes and their handlers. Runs that outlast their request are held here until they end."""

    def __init__(self, pool: Pool, limits: Limits, *, token: Secret, zone: tzinfo) -> None:
        self._pool = pool
        self._limits = limits
        self._token = token.reveal().encode()
        self._zone = zone
        self._runs: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[Route]:
        """All addresses below /api/v1/admin."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/openapi.json", self._document),
            ("GET", "/events", self._events),
            ("GET", "/errors", self._errors),
            ("GET", "/explain/{what:path}", self._explain),
            ("GET", "/upstreams", self._upstreams),
            ("POST", "/upstreams/{name}/pause", self._pause),
            ("POST", "/upstreams/{name}/resume", self._resume),
            ("POST", "/plans", self._plan),
            ("GET", "/plans/{id}", self._look_at_plan),
            ("POST", "/plans/{id}/run", self._run),
        ]
        return [
            Route(ROOT + path, self._answering(handler), methods=[method])
            for method, path, handler in table
        ]

    async def close(self) -> None:
        """Ends runs after the batch they are in; their plans say `stopped`."""
        for task in self._runs:
            task.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    def _answering(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not compare_digest(
                given.strip().encode(), self._token
            ):
                return _refused(
                    401, "unauthorised", "Give the bearer ADMIN_TOKEN.", bearer="c2s-enrich"
                )
            try:
                # What only looks is answered or given up before any caller's patience ends.
                async with asyncio.timeout(_LOOK_SECONDS if request.method == "GET" else None):
                    said = await handler(request)
            except (FilterError, NotUnderstood) as error:
                return _refused(422, "not_understood", str(error))
            except PlanGone as error:
                return _refused(409, "plan_gone", str(error))
            except Wrong as error:
                return _refused(*error.args)
            except (psycopg.Error, TimeoutError) as error:
                if not isinstance(error, TimeoutError) and not is_transient(error):
                    raise
                _log.warning("admin_waits_for_database", error=type(error).__name__)
                return _refused(503, "database_away", "The database does not answer: try again.")
            if isinstance(said, Response):
                return said
            return _json(said)

        return answer

    async def _document(self, _: Request) -> Any:
        return document(ROOT, {"/plans": OrderBody, "/upstreams/{name}/pause": PauseBody})

    async def _events(self, request: Request) -> Any:
        words = dict(request.query_params)
        limit = _whole(words.pop("limit", "50"), "limit", _MOST_EVENTS)
        return await EventsDesk(self._pool).events(self._filter(words), limit)

    async def _errors(self, request: Request) -> Any:
        return await EventsDesk(self._pool).errors(self._filter(dict(request.query_params)))

    async def _explain(self, request: Request) -> Any:
        language = request.query_params.get("lang", "en")
        if language not in ("en", "pt"):
            raise Wrong(422, "not_understood", "lang is en or pt")
        known: Language = "pt" if language == "pt" else "en"
        desk = Explainer(self._pool)
        said = explain(await desk.situation(request.path_params["what"]), known, self._zone)
        past = request.query_params.get("history", "").lower() == "true"
        history = await desk.history(said.lead_id) if past and said.lead_id else []
        return asdict(said) | {"history": history}

    async def _upstreams(self, _: Request) -> Any:
        return await self._limits.all()

    async def _pause(self, request: Request) -> Any:
        body = await _body(request, PauseBody)
        if not 0 < body.minutes <= 525_600:
            raise Wrong(422, "not_understood", "minutes is above 0 and at most 525600")
        name, reason = request.path_params["name"], redact(body.reason)[:300]
        done = await self._limits.pause(name, body.minutes, reason)
        return await self._changed(done, name, "pause", {"minutes": body.minutes}, reason)

    async def _resume(self, request: Request) -> Any:
        name = request.path_params["name"]
        return await self._changed(await self._limits.resume(name), name, "resume", {}, None)

    async def _changed(
        self, done: bool, name: str, verb: str, words: Mapping[str, Any], reason: str | None
    ) -> Any:
        if not done:
            raise Wrong(404, "unknown", "There is no such upstream.")
        await self._planner("api").record(verb, {"upstream": name, **words}, reason)
        [state] = [each for each in await self._limits.all() if each.name == name]
        return state

    async def _plan(self, request: Request) -> Any:
        body = await _body(request, OrderBody)
        chosen = self._filter(body.filter)
        if not chosen:
            raise Wrong(422, "not_understood", "filter is empty: say which events")
        if body.limit is not None and not 1 <= body.limit <= 1_000_000:
            raise Wrong(422, "not_understood", "limit is between 1 and 1000000")
        if body.verb == "fail" and not (body.reason or "").strip():
            raise Wrong(422, "not_understood", "reason is needed to give events up")
        reason = redact(body.reason)[:300] if body.reason else None
        order = Order(body.verb, chosen, body.fresh, body.limit, reason)
        return _json(await self._planner(body.actor).plan(order), 201)

    async def _look_at_plan(self, request: Request) -> Any:
        found = await self._planner("api").state(_id(request))
        if found is None:
            raise Wrong(404, "unknown", "There is no such plan.")
        return found

    async def _run(self, request: Request) -> Any:
        plan_id, planner = _id(request), self._planner("api")
        run = asyncio.create_task(planner.run(plan_id))
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)
        await asyncio.wait({run}, timeout=_WAIT_SECONDS)
        if run.done():
            return run.result()
        return _json(await planner.state(plan_id), 202)

    def _planner(self, actor: str) -> Planner:
        return Planner(self._pool, actor=redact(actor)[:100] or "api", via="api")

    def _filter(self, words: Mapping[str, str]) -> Any:
        return parse_filter(words, self._zone)


async def _body(request: Request, kind: type[Any]) -> Any:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise Wrong(413, "too_large", f"At most {_LARGEST_BODY} bytes.")
    try:
        return msgspec.json.decode(bytes(body) or b"{}", type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        why = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise Wrong(422, "not_understood", why) from None


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["id"])
    except ValueError:
        raise Wrong(404, "unknown", "There is no such plan.") from None


def _whole(text: str, name: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise Wrong(422, "not_understood", f"{name} is a whole number from 1 to {most}")
    return int(text[:9])


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _refused(status: int, reason: str, detail: str, *, bearer: str | None = None) -> Response:
    answer = problem(status, reason, detail)
    headers = {"www-authenticate": f'Bearer realm="{bearer}"'} if bearer else {}
    return Response(answer.body, status, headers, media_type=answer.content_type.decode())
