"""The admin API's OpenAPI document, made of what each address says of itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_origin

import msgspec
from starlette.requests import Request

_Json = dict[str, Any]
_FAILURES = {
    401: "ADMIN_TOKEN is missing or wrong",
    404: "Unknown",
    409: "The plan is too old or unknown, was run before, or is over",
    413: "Too many bytes",
    422: "A word or a value is not understood",
    503: "The database does not answer",
}


class Endpoint(NamedTuple):
    """One address, `path` as Starlette routes it: `{what:path}` takes slashes, too. `answers` holds
    a type for each status, `query` each word with its meaning.
    """

    method: str
    path: str
    summary: str
    handler: Callable[[Request], Awaitable[Any]]
    answers: Mapping[int, Any]
    failures: tuple[int, ...] = ()
    query: Mapping[str, str] = {}
    body: type[Any] | None = None


def document(root: str, endpoints: Sequence[Endpoint]) -> _Json:
    types = [kind for each in endpoints for kind in (*each.answers.values(), each.body) if kind]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(str, types), schemas, strict=True))
    paths: _Json = {}
    for each in endpoints:
        path = each.path.replace(":path}", "}")
        operation: _Json = {
            "summary": each.summary,
            "parameters": [
                *(_parameter(name, "query", why) for name, why in each.query.items()),
                *(_parameter(part[1:-1], "path", "") for part in path.split("/") if "{" in part),
            ],
            "responses": {
                **{
                    str(status): _content(
                        each.summary, schema_of[str(kind)], csv=get_origin(kind) is list
                    )
                    for status, kind in each.answers.items()
                },
                **{str(status): _problem(status) for status in (401, *each.failures, 503)},
            },
        }
        if each.body:
            operation["requestBody"] = _content("", schema_of[str(each.body)])
        paths.setdefault(root + path, {})[each.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "c2s-enrich, for operators",
            "version": "1",
            "description": "The functions of the command line over HTTP, with the same words.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def _content(
    description: str, schema: _Json, *, kind: str = "application/json", csv: bool = False
) -> _Json:
    content = {kind: {"schema": schema}}
    if csv:
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"description": description, "content": content}


def _problem(status: int) -> _Json:
    fields = ["type", "title", "status", "reason", "detail", "fault"]
    schema = {"type": "object", "required": fields}
    return _content(_FAILURES[status], schema, kind="application/problem+json")


def _parameter(name: str, place: str, why: str) -> _Json:
    given = {"name": name, "in": place, "description": why, "schema": {"type": "string"}}
    return given | ({"required": True} if place == "path" else {})
