"""The web process's OpenAPI document; tests send what it allows and check every answer."""

from pathlib import Path
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from c2s_enrich.intake.payload import ACTION_LENGTH, SENTENCES
from c2s_enrich.intake.webhook import PATH
from c2s_enrich.serving.problem import Answer, problem


class OpenApi:
    """GET /openapi.json, rendered once."""

    def __init__(self, body_limit: int, most_events: int) -> None:
        whole: dict[str, Any] = msgspec.json.decode(
            Path(__file__).with_suffix(".json").read_bytes()
        )
        deliver, with_token = (whole["paths"][path]["post"] for path in (PATH, PATH + "/{token}"))
        most = f"At most {body_limit} bytes and {most_events} events."
        deliver["description"] = f"Answers 200 after COMMIT. {most} Delivering again is safe."
        with_token.update(deliver | with_token)
        schemas = whole["components"]["schemas"]
        schemas["Flaw"]["properties"]["reason"]["enum"] = sorted(SENTENCES)
        schemas["Event"]["properties"]["hook_action"]["maxLength"] = ACTION_LENGTH
        schemas["Delivery"]["oneOf"][1]["maxItems"] = most_events
        self._answer = Answer(200, msgspec.json.encode(whole))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer
        if scope["method"] not in ("GET", "HEAD"):
            allow = (b"allow", b"GET, HEAD")
            answer = problem(405, "method_not_allowed", "This is read only.", allow)
        await answer.send(send)
