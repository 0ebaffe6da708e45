"""/openapi.json is true: what it allows is sent to the real web process, and every answer is one
that it describes.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from tests.conftest import Database
from tests.documented import ask_everything

from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage


class TestTheDocument:
    @pytest.mark.parametrize("token", [WEBHOOK_TOKEN, "wrong"])
    async def test_describes_every_answer(self, db: Database, tmp_path: Path, token: str) -> None:
        async with Stage(tmp_path, db.url) as stage:
            await stage.start_web()
            document = (await stage.client.get(f"{stage.web_url}/openapi.json")).json()

            asked = await asyncio.to_thread(
                partial(ask_everything, examples=20),
                document,
                stage.web_url,
                {"X-Webhook-Token": token},
            )

        assert asked == {
            *("POST /api/v1/webhooks/c2s", "POST /api/v1/webhooks/c2s/{token}"),
            *("GET /livez", "GET /readyz", "GET /health", "GET /openapi.json"),
        }
