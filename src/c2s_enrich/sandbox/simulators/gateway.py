"""The gateway in front of C2S: takes `{"message": …}`, and turns every error of C2S into 500 with
its status in a text.
"""

from __future__ import annotations

import json

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from c2s_enrich.sandbox.simulators.transport import SimulatedTransport
from c2s_enrich.sandbox.simulators.wire import guarded
from c2s_enrich.sandbox.simulators.world import World

# The real one gives C2S this long before it answers 500.
TIMEOUT = 30.0


def routes(world: World, c2s: ASGIApp) -> list[Route]:
    """The gateway under `/gateway`. It needs no credentials and uses the company's own C2S
    token.
    """
    # The address is only for the error texts, which quote it.
    client = httpx.AsyncClient(
        transport=SimulatedTransport(c2s), base_url="https://c2s.simulated/c2s", timeout=TIMEOUT
    )

    async def forward(method: str, path: str, **content: object) -> Response:
        headers = {"Authorization": f"Bearer {world.manners.c2s_token}"}
        try:
            answer = await client.request(
                method,
                path,
                headers=headers,
                **content,  # type: ignore[arg-type]
            )
            answer.raise_for_status()
            return JSONResponse(answer.json())
        except (httpx.HTTPError, ValueError) as error:
            return JSONResponse({"detail": str(error)}, 500)

    async def get_lead(request: Request) -> Response:
        return await forward("GET", f"/leads/{request.path_params['lead_id']}")

    async def list_leads(request: Request) -> Response:
        return await forward("GET", "/leads", params=dict(request.query_params))

    async def send_message(request: Request) -> Response:
        try:
            sent = json.loads(await request.body())
        except ValueError:
            sent = None
        if not isinstance(sent, dict) or not isinstance(sent.get("message"), str):
            return JSONResponse(
                {
                    "detail": [
                        {"loc": ["body", "message"], "msg": "Field required", "type": "missing"}
                    ]
                },
                422,
            )
        path = f"/leads/{request.path_params['lead_id']}/create_message"
        return await forward(
            "POST", path, json={key: sent[key] for key in ("message", "type") if key in sent}
        )

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "healthy", "c2s_configured": True})

    def route(path: str, kind: str, handler: object, method: str = "GET") -> Route:
        def describe(request: Request) -> tuple[str, str]:
            return kind, str(request.path_params.get("lead_id", ""))

        # Refused credentials of its own reach the caller like everything else.
        refuse = JSONResponse(
            {"detail": "Client error '401 Unauthorized' for url 'https://c2s.simulated/c2s/leads'"},
            500,
        )
        endpoint = guarded(world, "gateway", handler, describe, refuse)  # type: ignore[arg-type]
        return Route(path, endpoint, methods=[method])

    return [
        route("/gateway/health", "health", health),
        route("/gateway/leads", "leads", list_leads),
        route("/gateway/leads/{lead_id}", "lead", get_lead),
        route("/gateway/leads/{lead_id}/messages", "message", send_message, "POST"),
    ]
