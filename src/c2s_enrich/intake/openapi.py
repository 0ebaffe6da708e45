"""The OpenAPI document of the web process, as data. The tests send what it allows and check every
answer against it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from c2s_enrich.intake.payload import SENTENCES, DeliveryLimits
from c2s_enrich.intake.webhook import PATH
from c2s_enrich.serving.problem import Answer, problem

_Json = dict[str, Any]

_COUNTS: _Json = {
    "received": {"type": "integer", "minimum": 1, "description": "Events in the delivery."},
    "processed": {"type": "integer", "minimum": 0, "description": "Newly stored events."},
    "duplicates": {
        "type": "integer",
        "minimum": 0,
        "description": "Events that bring nothing new.",
    },
    "rejected": {
        "type": "integer",
        "minimum": 0,
        "description": "Elements that are not readable events; kept for a person.",
    },
}
_ERRORS: _Json = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["index", "reason", "detail"],
        "properties": {
            "index": {
                "type": ["integer", "null"],
                "description": "Place in the array; null means the whole body.",
            },
            "reason": {"type": "string", "enum": sorted(SENTENCES)},
            "detail": {"type": "string"},
        },
    },
}
_HEALTH_STATUS: _Json = {"type": "string", "enum": ["healthy", "degraded", "unhealthy"]}


class OpenApi:
    """GET /openapi.json, rendered once."""

    def __init__(self, body_limit: int, limits: DeliveryLimits) -> None:
        self._answer = Answer(200, msgspec.json.encode(document(body_limit, limits)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD"):
            await self._answer.send(send)
        else:
            await problem(
                405, "method_not_allowed", "This is read only.", (b"allow", b"GET, HEAD")
            ).send(send)


def document(body_limit: int, limits: DeliveryLimits) -> _Json:
    """OpenAPI 3.1."""
    deliver: _Json = {
        "summary": "Deliver one event or an array of events",
        "description": f"Answers 200 after COMMIT. At most {body_limit} bytes and {limits.events} events. Delivering again is safe.",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Delivery"}}},
        },
        "responses": {
            "200": _json("Stored, now or before", {"$ref": "#/components/schemas/DeliveryReceipt"}),
            "400": _problem("No event in it could be read; it was kept"),
            "401": _problem("The token is missing or wrong"),
            "408": _problem("The body came too slowly"),
            "413": _problem("Too many bytes or events"),
            "415": _problem("The body is compressed"),
            "503": _problem("Nothing is wrong with the delivery: send it again")
            | {"headers": {"Retry-After": _header("integer", "Seconds")}},
        },
    }
    event = {"$ref": "#/components/schemas/Event"}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c2s-enrich",
            "version": "1",
            "description": "Takes Contact2Sale's webhooks and says how the service is.",
        },
        "paths": {
            PATH: {
                "post": deliver
                | {"operationId": "deliver", "security": [{"webhookToken": []}, {"bearer": []}]}
            },
            PATH + "/{token}": {
                "parameters": [
                    {
                        "name": "token",
                        "in": "path",
                        "required": True,
                        "schema": {"type": "string", "minLength": 1},
                    }
                ],
                "post": deliver | {"operationId": "deliverWithTokenInPath", "security": []},
            },
            "/livez": {
                "get": _get("livez", "Is the process alive?", {"200": _status("It is", ["alive"])})
            },
            "/readyz": {
                "get": _get(
                    "readyz",
                    "Can it store deliveries?",
                    {
                        "200": _status("It can", ["ready"]),
                        "503": _status("The database is away or not migrated", ["not ready"]),
                    },
                )
            },
            "/health": {
                "get": _get(
                    "health",
                    "Is the whole service well?",
                    {
                        code: _json(text, {"$ref": "#/components/schemas/Health"})
                        for code, text in _HEALTH_ANSWERS.items()
                    },
                )
            },
            "/openapi.json": {
                "get": _get(
                    "openapi", "This document", {"200": _json("OpenAPI 3.1", {"type": "object"})}
                )
            },
        },
        "components": {
            "securitySchemes": {
                "webhookToken": {"type": "apiKey", "in": "header", "name": "X-Webhook-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {
                "Event": {
                    "type": "object",
                    "description": "A lead, alone or within `data` or `lead`; its fields stand beside the id or within `attributes`.",
                    "properties": {
                        "id": {"type": ["string", "integer"]},
                        "hook_action": {
                            "type": ["string", "null"],
                            "maxLength": limits.action_length,
                        },
                        "updated_at": {
                            "type": ["string", "number"],
                            "description": "Without an offset: America/Sao_Paulo.",
                        },
                        "attributes": {"type": "object"},
                    },
                },
                "Delivery": {
                    "oneOf": [
                        event,
                        {"type": "array", "minItems": 1, "maxItems": limits.events, "items": event},
                    ]
                },
                "DeliveryReceipt": {
                    "type": "object",
                    "required": ["status", *_COUNTS],
                    "properties": {"status": {"const": "received"}, **_COUNTS, "errors": _ERRORS},
                    "additionalProperties": False,
                },
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "reason", "detail", "fault"],
                    "properties": {
                        "type": {"type": "string"},
                        "title": {"type": "string"},
                        "status": {"type": "integer"},
                        "reason": {"type": "string"},
                        "detail": {"type": "string"},
                        "fault": {"type": "string", "enum": ["sender", "service"]},
                        **_COUNTS,
                        "errors": _ERRORS,
                    },
                    "additionalProperties": False,
                },
                "Health": {
                    "type": "object",
                    "required": ["status", "problems"],
                    "description": "With the operators' token as bearer: details, facts, numbers.",
                    "properties": {
                        "status": _HEALTH_STATUS,
                        "problems": {"type": "array", "items": {"type": "string"}},
                        "release": {"type": "string"},
                        "details": {"type": "array", "items": {"type": "object"}},
                        "facts": {"type": "object"},
                        "intake": {"type": "object"},
                    },
                    "additionalProperties": False,
                },
            },
        },
    }


_HEALTH_ANSWERS = {
    "200": "Healthy, or degraded with a sentence for each problem",
    "503": "The database is away",
}


def _get(name: str, summary: str, responses: _Json) -> _Json:
    return {"operationId": name, "summary": summary, "responses": responses}


def _json(description: str, schema: _Json) -> _Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem(description: str) -> _Json:
    return {
        "description": description,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }


def _status(description: str, words: list[str]) -> _Json:
    properties: _Json = {"status": {"enum": words}, "problem": {"type": "string"}}
    return _json(
        description,
        {
            "type": "object",
            "required": ["status"],
            "properties": properties,
            "additionalProperties": False,
        },
    )


def _header(kind: str, description: str) -> _Json:
    return {"description": description, "required": True, "schema": {"type": kind}}
