"""The OpenAPI document of the web process; the tests check every answer against it."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from c2s_enrich.intake.payload import SENTENCES, DeliveryLimits
from c2s_enrich.intake.webhook import PATH
from c2s_enrich.serving.problem import Answer, problem

_Json = dict[str, Any]

_TEXT: _Json = {"type": "string"}
_WHOLE: _Json = {"type": "integer"}
_OBJECT: _Json = {"type": "object"}
_COUNTS: _Json = {
    "received": _WHOLE | {"minimum": 1, "description": "Events in the delivery."},
    "processed": _WHOLE | {"minimum": 0, "description": "Newly stored events."},
    "duplicates": _WHOLE | {"minimum": 0, "description": "Events that bring nothing new."},
    "rejected": _WHOLE | {"minimum": 0, "description": "Unreadable elements; kept for a person."},
}
_ERROR: _Json = {
    "index": {
        "type": ["integer", "null"],
        "description": "Place in the array; null means the whole body.",
    },
    "reason": _TEXT | {"enum": sorted(SENTENCES)},
    "detail": _TEXT,
}


class OpenApi:
    """GET /openapi.json, rendered once."""

    def __init__(self, body_limit: int, limits: DeliveryLimits) -> None:
        self._answer = Answer(200, msgspec.json.encode(document(body_limit, limits)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._answer
        if scope["method"] not in ("GET", "HEAD"):
            allow = (b"allow", b"GET, HEAD")
            answer = problem(405, "method_not_allowed", "This is read only.", allow)
        await answer.send(send)


def document(body_limit: int, limits: DeliveryLimits) -> _Json:
    """OpenAPI 3.1."""
    deliver: _Json = {
        "summary": "Deliver one event or an array of events",
        "description": f"Answers 200 after COMMIT. At most {body_limit} bytes and {limits.events} "
        "events. Delivering again is safe.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _ref("Delivery")}},
        },
        "responses": {
            "200": _answer("Stored, now or before", _ref("Receipt")),
            "400": _problem("No event in it could be read; it was kept"),
            "401": _problem("The token is missing or wrong"),
            "408": _problem("The body came too slowly"),
            "413": _problem("Too many bytes or events"),
            "415": _problem("The body is compressed"),
            "503": _problem("Nothing is wrong with the delivery: send it again")
            | {"headers": {"Retry-After": {"required": True, "schema": _WHOLE}}},
        },
    }
    token = {"name": "token", "in": "path", "required": True, "schema": _TEXT | {"minLength": 1}}
    secured = {"operationId": "deliver", "security": [{"webhookToken": []}, {"bearer": []}]}
    in_path = {"operationId": "deliverWithTokenInPath", "security": []}
    health = _ref("Health")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c2s-enrich",
            "version": "1",
            "description": "Takes Contact2Sale's webhooks and says how the service is.",
        },
        "paths": {
            PATH: {"post": deliver | secured},
            PATH + "/{token}": {"parameters": [token], "post": deliver | in_path},
            "/livez": _get("livez", "Is the process alive?", {"200": _status("alive")}),
            "/readyz": _get(
                "readyz",
                "Can it store deliveries?",
                {"200": _status("ready"), "503": _status("not ready")},
            ),
            "/health": _get(
                "health",
                "Is the whole service well?",
                {
                    "200": _answer("Healthy, or degraded with a sentence for each problem", health),
                    "503": _answer("The database is away", health),
                },
            ),
            "/openapi.json": _get(
                "openapi", "This document", {"200": _answer("OpenAPI 3.1", _OBJECT)}
            ),
        },
        "components": {
            "securitySchemes": {
                "webhookToken": {"type": "apiKey", "in": "header", "name": "X-Webhook-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": _schemas(limits),
        },
    }


def _schemas(limits: DeliveryLimits) -> _Json:
    batch = {"type": "array", "minItems": 1, "maxItems": limits.events, "items": _ref("Event")}
    errors = {"type": "array", "items": _object(_ERROR, list(_ERROR))}
    failure = {
        **dict.fromkeys(("type", "title", "reason", "detail"), _TEXT),
        "status": _WHOLE,
        "fault": _TEXT | {"enum": ["sender", "service"]},
    }
    health = {
        "status": _TEXT | {"enum": ["healthy", "degraded", "unhealthy"]},
        "problems": {"type": "array", "items": _TEXT},
    }
    for_operators = {
        "release": _TEXT,
        "details": {"type": "array", "items": _OBJECT},
        "facts": _OBJECT,
        "intake": _OBJECT,
    }
    return {
        "Event": {
            "type": "object",
            "description": "A lead, alone or within `data` or `lead`. Its fields stand next to the "
            "id or within `attributes`.",
            "properties": {
                "id": {"type": ["string", "integer"]},
                "hook_action": {"type": ["string", "null"], "maxLength": limits.action_length},
                "updated_at": {
                    "type": ["string", "number"],
                    "description": "Without an offset: America/Sao_Paulo.",
                },
                "attributes": _OBJECT,
            },
        },
        "Delivery": {"oneOf": [_ref("Event"), batch]},
        "Receipt": _object(
            {"status": {"const": "received"}, **_COUNTS, "errors": errors}, ["status", *_COUNTS]
        ),
        "Problem": _object(failure | _COUNTS | {"errors": errors}, list(failure)),
        "Health": _object(health | for_operators, list(health))
        | {"description": "With the operators' token as bearer: details, facts, numbers."},
    }


def _ref(name: str) -> _Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: _Json, required: list[str]) -> _Json:
    return {
        "type": "object",
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


def _get(name: str, summary: str, responses: _Json) -> _Json:
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _answer(description: str, schema: _Json, kind: str = "application/json") -> _Json:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _problem(description: str) -> _Json:
    return _answer(description, _ref("Problem"), "application/problem+json")


def _status(word: str) -> _Json:
    return _answer(word, _object({"status": {"const": word}, "problem": _TEXT}, ["status"]))
