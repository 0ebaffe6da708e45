"""/openapi.json is true: what it allows is sent to the real web process, and every answer is one
that it describes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.conftest import Database

from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage

CHECKS: list[Callable[..., Any]] = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_headers_conformance, response_schema_conformance),
]


class TestTheDocument:
    @pytest.mark.parametrize("token", [WEBHOOK_TOKEN, "wrong"])
    async def test_describes_every_answer(self, db: Database, tmp_path: Path, token: str) -> None:
        async with Stage(tmp_path, db.url) as stage:
            await stage.start_web()
            document = (await stage.client.get(f"{stage.web_url}/openapi.json")).json()

            asked = await asyncio.to_thread(ask_everything, document, stage.web_url, token)

        assert asked == {
            *("POST /api/v1/webhooks/c2s", "POST /api/v1/webhooks/c2s/{token}"),
            *("GET /livez", "GET /readyz", "GET /health", "GET /openapi.json"),
        }


def ask_everything(document: dict[str, Any], url: str, token: str) -> set[str]:
    """Sends each operation what the document allows; fails at the first answer that it does not
    describe.
    """
    schema = schemathesis.openapi.from_dict(document)
    asked: set[str] = set()
    for result in schema.get_all_operations():
        operation = cast(Any, result).ok()

        @settings(
            max_examples=20 if operation.method.upper() == "POST" else 2,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            case.call_and_validate(base_url=url, headers={"X-Webhook-Token": token}, checks=CHECKS)

        ask()
        asked.add(operation.label)
    return asked
