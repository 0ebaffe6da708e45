"""The admin API's OpenAPI document. Schemas come from the dataclasses that are answered, words from
the filter: neither can fall behind.
"""

from __future__ import annotations

from typing import Any

import msgspec

from c2s_enrich.ops.events import ErrorGroup, EventLine
from c2s_enrich.ops.explain import Explanation
from c2s_enrich.ops.filters import WORDS
from c2s_enrich.ops.plans import Plan, PlanState, RunResult
from c2s_enrich.upstreams.limits import UpstreamState

_Json = dict[str, Any]
_ANSWERS = {
    "200": "Done",
    "201": "Made",
    "202": "Still running",
    "401": "ADMIN_TOKEN is missing or wrong",
    "404": "Unknown",
    "409": "The plan is too old, unknown, or was run before",
    "413": "Too many bytes",
    "422": "A word or a value is not understood",
    "503": "The database does not answer",
}


def document(root: str) -> _Json:
    """OpenAPI 3.1."""
    known = [EventLine, ErrorGroup, Explanation, UpstreamState, Plan, PlanState, RunResult]
    _, schemas = msgspec.json.schema_components(known, ref_template="#/components/schemas/{name}")
    words = [_parameter(name, why) for name, why in WORDS.items()]
    plan, name = _in_path("id", "the plan's id"), _in_path("name", "c2s, diretrix or work_api")
    order = _object(
        {
            "verb": {"enum": ["reprocess", "fail"]},
            "filter": {"type": "object", "additionalProperties": {"type": "string"}},
            "actor": {"type": "string"},
            "fresh": {"type": "boolean"},
            "limit": {"type": ["integer", "null"]},
            "reason": {"type": ["string", "null"]},
        },
        ["verb", "filter"],
    )
    pause = _object({"minutes": {"type": "number"}, "reason": {"type": "string"}}, [])
    explained = {
        "allOf": [_ref(Explanation)],
        "properties": {"history": {"type": "array"}},
        "required": ["history"],
    }
    paths = {
        "/openapi.json": {"get": _operation("This document", {"200": {"type": "object"}})},
        "/events": {
            "get": _operation(
                "Events, newest first",
                {"200": _list(EventLine), "422": None},
                [*words, _parameter("limit", "at most this many, up to 1000")],
            )
        },
        "/errors": {
            "get": _operation("Errors in groups", {"200": _list(ErrorGroup), "422": None}, words)
        },
        "/explain/{what}": {
            "get": _operation(
                "Why a lead, an event or a message stands where it stands",
                {"200": explained, "422": None},
                [
                    _in_path("what", "lead, event, ref of a message, or address in C2S"),
                    _parameter("lang", "en or pt"),
                    _parameter("history", "true: all that happened, too"),
                ],
            )
        },
        "/upstreams": {"get": _operation("Pauses, limits, budgets", {"200": _list(UpstreamState)})},
        "/upstreams/{name}/pause": {
            "post": _operation(
                "Stop all pollers from calling it",
                {"200": _ref(UpstreamState), "404": None, "413": None, "422": None},
                [name],
                pause,
            )
        },
        "/upstreams/{name}/resume": {
            "post": _operation("End its pause", {"200": _ref(UpstreamState), "404": None}, [name])
        },
        "/plans": {
            "post": _operation(
                "Plan a bulk action; nothing is done yet",
                {"201": _ref(Plan), "413": None, "422": None},
                body=order,
            )
        },
        "/plans/{id}": {
            "get": _operation("How far it is", {"200": _ref(PlanState), "404": None}, [plan])
        },
        "/plans/{id}/run": {
            "post": _operation(
                "Run it, once",
                {"200": _ref(RunResult), "202": _ref(PlanState), "404": None, "409": None},
                [plan],
            )
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c2s-enrich, for operators",
            "version": "1",
            "description": "The functions of the command line over HTTP, with the same words.",
        },
        "paths": {root + path: operations for path, operations in paths.items()},
        "components": {
            "schemas": schemas | {"Problem": _PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


_PROBLEM: _Json = {
    "type": "object",
    "required": ["type", "title", "status", "reason", "detail", "fault"],
    "properties": {
        "status": {"type": "integer"},
        "reason": {"type": "string"},
        "detail": {"type": "string"},
    },
}


def _operation(
    summary: str, answers: _Json, parameters: list[_Json] | None = None, body: _Json | None = None
) -> _Json:
    """`answers` by status; None is a problem. 401 and 503 can be any operation's answer."""
    operation: _Json = {
        "summary": summary,
        "responses": {
            status: {
                "description": _ANSWERS[status],
                "content": {
                    "application/problem+json" if schema is None else "application/json": {
                        "schema": schema or _problem()
                    }
                },
            }
            for status, schema in (answers | {"401": None, "503": None}).items()
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _problem() -> _Json:
    return {"$ref": "#/components/schemas/Problem"}


def _ref(kind: type[Any]) -> _Json:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _list(kind: type[Any]) -> _Json:
    return {"type": "array", "items": _ref(kind)}


def _parameter(name: str, why: str) -> _Json:
    return {"name": name, "in": "query", "description": why, "schema": {"type": "string"}}


def _in_path(name: str, why: str) -> _Json:
    return _parameter(name, why) | {"in": "path", "required": True}


def _object(properties: _Json, required: list[str]) -> _Json:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
