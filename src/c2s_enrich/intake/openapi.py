"""The web process's OpenAPI document; tests send what it allows and check every answer."""

from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from c2s_enrich.intake.payload import ACTION_LENGTH, SENTENCES
from c2s_enrich.intake.webhook import PATH


def openapi_route(body_limit: int, most_events: int) -> Route:
    """GET /openapi.json, rendered once."""
    whole: dict[str, Any] = msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes())
    deliver, with_token = (whole["paths"][path]["post"] for path in (PATH, PATH + "/{token}"))
    most = f"At most {body_limit} bytes and {most_events} events."
    deliver["description"] = f"Answers 200 after COMMIT. {most} Delivering again is safe."
    with_token.update(deliver | with_token)
    schemas = whole["components"]["schemas"]
    schemas["Flaw"]["properties"]["reason"]["enum"] = sorted(SENTENCES)
    schemas["Event"]["properties"]["hook_action"]["maxLength"] = ACTION_LENGTH
    schemas["Delivery"]["oneOf"][1]["maxItems"] = most_events
    document = Response(msgspec.json.encode(whole), media_type="application/json")

    async def show(_: Request) -> Response:
        return document

    return Route("/openapi.json", show)
