"""Each process has a listener of its own for those who watch it."""

import asyncio
import socket
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from tests.conftest import Database, told

from c2s_enrich.clock import Clock
from c2s_enrich.database import open_pool
from c2s_enrich.errors import CannotListen
from c2s_enrich.ops.health import Signals, build_health
from c2s_enrich.serving.server import listen_on, monitor, run_server
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.metrics import Metrics


async def ask(address: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://{address}") as client:
        return await client.get(path)


class TestTheListener:
    async def test_takes_a_free_port_for_0_and_serves_metrics_and_health(
        self, db: Database
    ) -> None:
        settings, metrics = db.settings(METRICS_PORT="0"), Metrics()
        async with open_pool(settings, name="test") as pool:
            health = build_health(settings, pool, metrics, Clock(), Signals())
            async with monitor(settings, metrics, health.routes(), health.refresh) as address:
                assert address is not None
                scraped = await ask(address, "/metrics")
                answers = [await ask(address, path) for path in ("/livez", "/readyz", "/health")]

        assert [answer.status_code for answer in answers] == [200, 200, 200]
        names = {family.name for family in text_string_to_metric_families(scraped.text)}
        assert {
            "c2s_build_info",
            "c2s_queue_oldest_due_seconds",
            "c2s_upstream_budget_limit",
            "c2s_db_pool_connections",
            "c2s_event_loop_lag_seconds",
            "process_resident_memory_bytes",
        } <= names

    async def test_whose_port_is_taken_says_so_once_and_stops_nothing(self, db: Database) -> None:
        with listen_on("127.0.0.1", 0) as taken, told() as lines:
            settings = db.settings(METRICS_PORT=str(taken.getsockname()[1]))
            async with monitor(settings, Metrics(), [], _nothing) as address:
                assert address is None

        assert [line["event"] for line in lines] == ["metrics_port_taken"]

    @pytest.mark.parametrize("host", ["*", "::"])
    async def test_on_all_addresses_is_reached_by_ipv4_too(self, host: str) -> None:
        with listen_on(host, 0) as listening:
            port = listening.getsockname()[1]
            loop = asyncio.get_running_loop()
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", port))

    async def test_says_that_a_process_is_stuck(self, db: Database) -> None:
        settings, metrics = db.settings(METRICS_PORT="0"), Metrics()
        signals = Signals(stuck=lambda: "The claim loop hangs for 50 s.")
        async with open_pool(settings, name="test") as pool:
            health = build_health(settings, pool, metrics, Clock(), signals)
            async with monitor(settings, metrics, health.routes(), _nothing) as address:
                assert address is not None
                answer = await ask(address, "/livez")

        assert (answer.status_code, answer.json()["status"]) == (503, "stuck")


async def _nothing(*_: Any) -> None:
    """There is nothing to refresh."""


class TestWebsAddress:
    def test_that_is_taken_is_said_in_one_sentence(self) -> None:
        with listen_on("127.0.0.1", 0) as taken:
            port = taken.getsockname()[1]
            settings = Settings.load(
                {"DATABASE_URL": "postgresql://x@127.0.0.1:9/x", "HOST": "127.0.0.1",
                 "PORT": str(port), "WEBHOOK_SECRET": "a-webhook-secret"}, "web",
            )  # fmt: skip
            with pytest.raises(CannotListen, match=f"^cannot listen on 127.0.0.1:{port}: "):
                run_server(Starlette(), settings)
        with pytest.raises(CannotListen, match=r"300\.1\.1\.1:0: (?!Unknown error)"):
            run_server(Starlette(), replace(settings, host="300.1.1.1", port=0))
