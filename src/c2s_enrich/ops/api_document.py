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
_FAILURES = {
    401: "ADMIN_TOKEN is missing or wrong",
    404: "Unknown",
    409: "The plan is too old, unknown, or was run before",
    413: "Too many bytes",
    422: "A word or a value is not understood",
    503: "The database does not answer",
}


def document(root: str, bodies: dict[str, type[Any]]) -> _Json:
    """OpenAPI 3.1. `bodies` by path: what a POST takes."""
    words, explaining = dict(WORDS), {"lang": "en or pt", "history": "true: what happened, too"}
    listing = words | {"limit": "at most this many, up to 1000"}
    explained = {
        "allOf": [_ref(Explanation)],
        "properties": {"history": {"type": "array"}},
        "required": ["history"],
    }
    table: list[tuple[str, str, str, dict[int, _Json], tuple[int, ...], dict[str, str]]] = [
        ("get", "/openapi.json", "This document", {200: {"type": "object"}}, (), {}),
        ("get", "/events", "Events, newest first", {200: _list(EventLine)}, (422,), listing),
        ("get", "/errors", "Errors in groups", {200: _list(ErrorGroup)}, (422,), words),
        ("get", "/explain/{what}", "Why it stands there", {200: explained}, (422,), explaining),
        ("get", "/upstreams", "Pauses, limits, budgets", {200: _list(UpstreamState)}, (), {}),
        *(
            ("post", f"/upstreams/{{name}}/{verb}", why, {200: _ref(UpstreamState)}, failures, {})
            for verb, why, failures in (
                ("pause", "Stop all pollers from calling it", (404, 413, 422)),
                ("resume", "End its pause", (404,)),
            )
        ),
        ("post", "/plans", "Plan; nothing is done yet", {201: _ref(Plan)}, (413, 422), {}),
        ("get", "/plans/{id}", "How far it is", {200: _ref(PlanState)}, (404,), {}),
        (
            *("post", "/plans/{id}/run", "Run it, once; 202: it goes on"),
            *({200: _ref(RunResult), 202: _ref(PlanState)}, (404, 409), {}),
        ),
    ]
    known = [EventLine, ErrorGroup, Explanation, UpstreamState, Plan, PlanState, RunResult]
    _, schemas = msgspec.json.schema_components(
        [*known, *bodies.values()], ref_template="#/components/schemas/{name}"
    )
    paths: _Json = {}
    for method, path, summary, answers, failures, query in table:
        operation: _Json = {
            "summary": summary,
            "parameters": [
                *(_parameter(name, "query", why) for name, why in query.items()),
                *(_parameter(part[1:-1], "path", "") for part in path.split("/") if "{" in part),
            ],
            "responses": {
                **{str(status): _content(summary, schema) for status, schema in answers.items()},
                **{str(status): _problem(status) for status in (401, *failures, 503)},
            },
        }
        if path in bodies:
            operation["requestBody"] = _content("", _ref(bodies[path]))
        paths.setdefault(root + path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c2s-enrich, for operators",
            "version": "1",
            "description": "The functions of the command line over HTTP, with the same words.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _content(description: str, schema: _Json, kind: str = "application/json") -> _Json:
    return {"description": description, "content": {kind: {"schema": schema}}}


def _problem(status: int) -> _Json:
    fields = ("type", "title", "status", "reason", "detail", "fault")
    schema = {"type": "object", "required": list(fields)}
    return _content(_FAILURES[status], schema, "application/problem+json")


def _ref(kind: type[Any]) -> _Json:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _list(kind: type[Any]) -> _Json:
    return {"type": "array", "items": _ref(kind)}


def _parameter(name: str, place: str, why: str) -> _Json:
    place_only = {"required": True} if place == "path" else {}
    return {
        "name": name, "in": place, "description": why, "schema": {"type": "string"}, **place_only,
    }  # fmt: skip
