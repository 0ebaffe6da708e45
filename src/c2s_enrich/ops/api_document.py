"""The admin API's OpenAPI document, made of what each address says of itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_origin, get_type_hints

import msgspec

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
    """One address, `path` as Starlette routes it: `{what:path}` takes slashes, too. The handler's
    types say what it takes as its `body`, and what it answers with one of the `statuses`.
    """

    method: str
    path: str
    summary: str
    handler: Callable[..., Awaitable[Any]]
    query: Mapping[str, str] = {}
    statuses: tuple[int, ...] = (200,)
    conflicts: bool = False

    @property
    def body(self) -> Any:
        """What a request has to hold; None: nothing."""
        return get_type_hints(self.handler).get("body")

    @property
    def answer(self) -> Any:
        return get_type_hints(self.handler)["return"]

    @property
    def failures(self) -> list[int]:
        may_happen = {
            404: "{" in self.path,
            409: self.conflicts,
            413: self.body,
            422: self.query or self.body,
        }
        return [401, *(status for status, may in may_happen.items() if may), 503]


def document(root: str, endpoints: Sequence[Endpoint]) -> _Json:
    types = [kind for each in endpoints for kind in (each.answer, each.body) if kind]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(str, types), schemas, strict=True))
    paths: _Json = {}
    for each in endpoints:
        path = each.path.replace(":path}", "}")
        answer = {"application/json": schema_of[str(each.answer)]}
        if get_origin(each.answer) is list:
            answer["text/csv"] = {"type": "string"}
        operation: _Json = {
            "summary": each.summary,
            "parameters": [
                *(_parameter(name, "query", why) for name, why in each.query.items()),
                *(_parameter(part[1:-1], "path", "") for part in path.split("/") if "{" in part),
            ],
            "responses": {
                **{str(status): _content(each.summary, answer) for status in each.statuses},
                **{str(status): _problem(status) for status in each.failures},
            },
        }
        if each.body:
            operation["requestBody"] = _content("", {"application/json": schema_of[str(each.body)]})
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


def _content(description: str, schemas: Mapping[str, _Json]) -> _Json:
    content = {kind: {"schema": schema} for kind, schema in schemas.items()}
    return {"description": description, "content": content}


def _problem(status: int) -> _Json:
    fields = ["type", "title", "status", "reason", "detail", "fault"]
    schema = {"type": "object", "required": fields}
    return _content(_FAILURES[status], {"application/problem+json": schema})


def _parameter(name: str, place: str, why: str) -> _Json:
    given = {"name": name, "in": place, "description": why, "schema": {"type": "string"}}
    return given | ({"required": True} if place == "path" else {})
