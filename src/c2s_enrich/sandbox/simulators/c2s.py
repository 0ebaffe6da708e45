"""Contact2Sale, as far as it is known: leads, one message call, the list, subscriptions, and a hook
that echoes our own message.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from functools import cached_property
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from c2s_enrich.sandbox.simulators.crm import Lead
from c2s_enrich.sandbox.simulators.wire import Handler, guarded
from c2s_enrich.sandbox.simulators.world import World

HOOK_ACTIONS = ("on_create_lead", "on_update_lead", "on_close_lead")
NOT_AUTHORISED = {"error": "not_authorized"}


class Hook:
    """Where C2S delivers its webhooks: one URL a token, no retries that anyone ever saw. `token`
    goes into X-Webhook-Token.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self._token = token
        self._transport = transport
        self._deliveries: set[asyncio.Task[None]] = set()
        self.delivered = 0
        self.lost = 0

    def deliver(self, world: World, lead: Lead, action: str) -> None:
        """Posts the lead as it is after the lag, without anyone waiting for it."""
        if self.url is not None:
            task = asyncio.create_task(self._deliver(self.url, world, lead, action))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def settle(self) -> None:
        """Waits until nothing is under way."""
        while self._deliveries:
            await asyncio.gather(*self._deliveries)

    async def close(self) -> None:
        """Gives up what is under way."""
        for task in self._deliveries:
            task.cancel()
        if "_client" in vars(self):
            await self._client.aclose()

    @cached_property
    def _client(self) -> httpx.AsyncClient:
        # Made when it is needed: reading the certificates takes 25 ms.
        return httpx.AsyncClient(transport=self._transport, timeout=10, trust_env=False)

    async def _deliver(self, url: str, world: World, lead: Lead, action: str) -> None:
        await asyncio.sleep(world.manners.lag)
        try:
            body = {"hook_action": action, "data": lead.to_json()}
            answer = await self._client.post(
                url, json=body, headers={"X-Webhook-Token": self._token} if self._token else None
            )
        except httpx.HTTPError:
            self.lost += 1
        else:
            self.delivered += answer.is_success
            self.lost += not answer.is_success


def routes(world: World, hook: Hook) -> list[Route]:
    """C2S under `/c2s`."""
    service = _C2s(world, hook)
    return [
        service.route("/c2s/me", "me", service.me),
        service.route("/c2s/leads", "leads", service.list_leads),
        service.route("/c2s/leads/{lead_id}", "lead", service.get_lead),
        service.route(
            "/c2s/leads/{lead_id}/create_message", "message", service.create_message, "POST"
        ),
        service.route("/c2s/api/subscribe", "subscribe", service.subscribe, "POST"),
        service.route("/c2s/api/unsubscribe", "unsubscribe", service.unsubscribe, "POST"),
    ]


class _C2s:
    def __init__(self, world: World, hook: Hook) -> None:
        self._world = world
        self._hook = hook
        self._recent: deque[float] = deque()

    def route(self, path: str, kind: str, handler: Handler, method: str = "GET") -> Route:
        async def admitted(request: Request) -> Response:
            return self._refusal(request) or await handler(request)

        def describe(request: Request) -> tuple[str, str]:
            return kind, str(request.path_params.get("lead_id", ""))

        refuse = JSONResponse(NOT_AUTHORISED, 403)
        return Route(
            path, guarded(self._world, "c2s", admitted, describe, refuse), methods=[method]
        )

    def _refusal(self, request: Request) -> Response | None:
        manners = self._world.manners
        given = {
            request.headers.get(name, "").removeprefix("Bearer ") for name in manners.auth_headers
        }
        if manners.c2s_token not in given:
            return JSONResponse(NOT_AUTHORISED, 403)
        if manners.c2s_per_minute:
            now = time.monotonic()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            if len(self._recent) >= manners.c2s_per_minute:
                return JSONResponse(
                    {"error": "rate limit exceeded"}, 429, {"Retry-After": "1 minute"}
                )
            self._recent.append(now)
        return None

    async def me(self, _: Request) -> Response:
        return JSONResponse(
            {"company_id": "e1", "company_name": "Imobiliária Simulada", "sub_companies": []}
        )

    async def get_lead(self, request: Request) -> Response:
        lead = self._world.leads.get(request.path_params["lead_id"])
        if lead is None:
            return PlainTextResponse("Lead not found", 404)
        return JSONResponse(
            {"data": lead.to_json(with_external_id=self._world.manners.shows_external_id)}
        )

    async def list_leads(self, request: Request) -> Response:
        query = request.query_params
        dates = [
            query[name]
            for name in ("created_gte", "created_lt", "updated_gte", "updated_lt", "last_update")
            if name in query
        ]
        if not all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value) for value in dates):
            return JSONResponse({"error": "invalid date or strptime format"}, 403)
        perpage, page = query.get("perpage", "20"), query.get("page", "1")
        if not perpage.isdigit() or not page.isdigit() or not 1 <= int(perpage) <= 50:
            return JSONResponse({"error": "perpage must be at most 50"}, 403)
        leads = list(self._world.leads.values())
        for field in ("created_at", "updated_at"):
            if query.get("sort") == f"-{field}":
                leads.sort(key=lambda lead: (getattr(lead, field), lead.id), reverse=True)
        # No pagination block: the live feed was seen without one.
        first = (max(int(page), 1) - 1) * int(perpage)
        return JSONResponse(
            {"data": [lead.to_json() for lead in leads[first : first + int(perpage)]]}
        )

    async def create_message(self, request: Request) -> Response:
        lead = self._world.leads.get(request.path_params["lead_id"])
        if lead is None:
            return PlainTextResponse("Lead not found", 404)
        sent = await _object(request)
        if sent is None:
            return JSONResponse({"message": "param_data_not_found"}, 400)
        body = sent.get("body")
        if body is None and "message" in sent:
            body = sent["message"] if self._world.manners.accepts_message_key else ""
        if not isinstance(body, str) or len(body) > 15_000:
            return JSONResponse({"success": False, "msg": "body is invalid"}, 422)
        messages: list[dict[str, object]] = []
        if body:
            external_id = sent.get("external_id")
            message = self._world.add_message(
                lead, body, external_id if isinstance(external_id, str) else None
            )
            messages = [message.to_json()]
            # A message writes a change log, and each change log fires the update hook.
            self._hook.deliver(self._world, lead, "on_update_lead")
        answer = {
            "type": "lead",
            "id": lead.id,
            "internal_id": lead.internal_id,
            "attributes": {"updated_at": lead.updated_at},
        }
        return JSONResponse({"data": {**answer, "messages": messages}}, 201)

    async def subscribe(self, request: Request) -> Response:
        sent = await _object(request) or {}
        if sent.get("hook_action") not in HOOK_ACTIONS or not isinstance(sent.get("hook_url"), str):
            return JSONResponse({"success": False, "msg": "hook_action not found"}, 422)
        self._hook.url = sent["hook_url"]
        return JSONResponse({"success": True, "message": "Subscribed successfully"})

    async def unsubscribe(self, request: Request) -> Response:
        sent = await _object(request) or {}
        if sent.get("hook_action") not in HOOK_ACTIONS:
            return JSONResponse({"success": False, "msg": "hook_action not found"}, 422)
        self._hook.url = None
        return JSONResponse({"success": True, "message": "Unsubscribed successfully"})


async def _object(request: Request) -> dict[str, Any] | None:
    try:
        sent = json.loads(await request.body())
    except ValueError:
        return None
    return sent if isinstance(sent, dict) else None
