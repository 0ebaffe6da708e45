"""The web process as an ASGI app, with its real writer on this test's real database."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from tests.conftest import ENVIRONMENT, Database

from c2s_enrich.clock import Clock
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.web import build_web

PATH = "/api/v1/webhooks/c2s"
TOKEN = ENVIRONMENT["WEBHOOK_SECRET"]
_moments = itertools.count()


def a_time() -> str:
    """Another one each time: with any id it is a new key."""
    days, seconds = divmod(next(_moments), 86400)
    return f"2025-06-01T{timedelta(seconds=seconds)!s:0>8}.{days:03}-03:00"


def an_event(lead_id: object = "lead", **more: Any) -> dict[str, Any]:
    return {"id": lead_id, "updated_at": a_time(), **more}


@dataclass(frozen=True)
class Web:
    """The app, and the verbs of a CRM."""

    app: Starlette
    client: httpx.AsyncClient
    metrics: Metrics

    async def deliver(
        self, body: object, *, token: str | None = TOKEN, path: str = PATH, **headers: str
    ) -> httpx.Response:
        """POSTs bytes as they are, anything else as JSON. Header names are written with
        underscores.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            named["X-Webhook-Token"] = token
        return await self.client.post(path, content=content, headers=named)


class MinuteClock(Clock):
    """A clock whose minute is over when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._over = asyncio.Event()
        self._begun = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self._begun.set()
        await self._over.wait()
        self._over.clear()

    async def a_minute(self) -> None:
        """Returns when all that is done once a minute was done."""
        await self._begun.wait()
        self._begun.clear()
        self._over.set()
        await self._begun.wait()


@asynccontextmanager
async def open_web(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Web]:
    metrics = Metrics()
    app = build_web(settings, metrics, clock=clock)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as client:
            yield Web(app, client, metrics)


@pytest.fixture
async def web(db: Database) -> AsyncIterator[Web]:
    async with open_web(db.settings("web")) as opened:
        yield opened


@dataclass(frozen=True)
class Kept:
    """What the database holds: events, and rejected deliveries by how often they came."""

    events: int
    rejected: int


async def kept(db: Database) -> Kept:
    [row] = await db.fetch(
        "select (select count(*) from webhook_events) as events,"
        " (select coalesce(sum(times), 0)::integer from rejected_deliveries) as rejected"
    )
    return Kept(row.events, row.rejected)
