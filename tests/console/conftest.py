"""The console over ASGI, without a socket: the app of the ops process and who looks at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from psycopg.conninfo import make_conninfo
from tests.conftest import Database

from c2s_enrich.options import Secret
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.wiring.operators import build_ops

OPERATOR, VIEWER = "an-admin-token-of-a-test", "a-viewer-token-of-a-test"
OURS = {"sec-fetch-site": "same-origin"}
# What senders put where a name belongs.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "{{7*7}}${7*7}",
    "\u202egnp.exe\u202c",
    "\x1b[31mred\x1b]0;title\x07",
    "=HYPERLINK(1)",
    "é" * 1_000_000,  # where there is room for it
    "a b/c?d#e%2f..",
)


@asynccontextmanager
async def console(db: Database, **settings: Any) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """Yields what makes a browser without cookies."""
    env = {"ADMIN_TOKEN": OPERATOR, "VIEWER_TOKEN": VIEWER} | settings
    # With the rights of the role that production gives it, and no more.
    url = make_conninfo(db.url, options="-c role=c2s_ops")
    app = build_ops(db.settings("ops", **env, database_url=Secret(url)), Metrics())
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        yield lambda: httpx.AsyncClient(
            transport=transport, base_url="http://console", headers=OURS
        )


@pytest.fixture
async def stranger(db: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with console(db) as browser, browser() as client:
        yield client


@pytest.fixture
async def operator(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """Ana, who may act."""
    return await logged_in(stranger, OPERATOR)


@pytest.fixture
async def viewer(stranger: httpx.AsyncClient) -> httpx.AsyncClient:
    """Somebody who only looks."""
    return await logged_in(stranger, VIEWER)


async def logged_in(client: httpx.AsyncClient, token: str) -> httpx.AsyncClient:
    answer = await client.post("/login", data={"token": token, "name": "Ana"})
    assert answer.status_code == 303, answer.text
    return client


async def failed(db: Database, *leads: str, message: str = "c2s: HTTP 422") -> None:
    """One failed event for each lead, a second apart. Its message is cut as the product does."""
    for number, lead in enumerate(leads):
        await db.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, processed_at,"
            " hook_action, error_kind, error_message, received_at)"
            " values (%s, now(), '{}', 'failed', now(),"
            " 'on_create_lead', 'upstream_refused', %s, now() - %s * interval '1 s')",
            (lead, message[:500], number),
        )
