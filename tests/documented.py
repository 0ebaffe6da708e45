"""Sends a server what its own OpenAPI document allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from hypothesis import HealthCheck, Phase, given, settings


def ask_everything(
    document: dict[str, Any], url: str, headers: Mapping[str, str], *, examples: int
) -> set[str]:
    """Asks each operation, and fails at the first answer that the document does not describe.
    Returns the operations. An operation that takes no body has few forms: it is asked twice.
    """
    # Here, and not in each process of the run: it takes a moment.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    wanted: list[Callable[..., Any]] = [
        *(not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
        *(checks.response_headers_conformance, checks.response_schema_conformance),
    ]
    schema = schemathesis.openapi.from_dict(document)
    asked: set[str] = set()
    for result in schema.get_all_operations():
        operation = cast(Any, result).ok()
        plain = operation.method.upper() == "GET" and not operation.definition.raw.get("parameters")

        @settings(
            max_examples=2 if plain else examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=url, headers=dict(headers), checks=wanted)

        ask()
        asked.add(operation.label)
    return asked
