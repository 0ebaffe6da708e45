"""The simulators as a process of their own: real connections are really cut, and `kill -9` costs
nothing that was answered.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

LEAD = "0123456789abcdef0123456789abcdef"
TOKEN = {"Authorization": "Bearer a-c2s-token"}


@asynccontextmanager
async def simulators(journal: Path, port: int) -> AsyncIterator[httpx.AsyncClient]:
    """A running process; it ends by `kill -9`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "c2s_enrich.sandbox.simulators",
        "--port",
        str(port),
        "--size",
        "5",
        "--journal",
        str(journal),
    )
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=5, trust_env=False
        ) as client:
            async with asyncio.timeout(20):
                while True:
                    try:
                        await client.get("/_sim/faults")
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
            yield client
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def port() -> int:
    """A port that was free a moment ago."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    async with server:
        return int(server.sockets[0].getsockname()[1])


async def send(client: httpx.AsyncClient, text: str) -> httpx.Response:
    return await client.post(
        f"/c2s/leads/{LEAD}/create_message", headers=TOKEN, json={"body": text}
    )


class TestTheProcess:
    async def test_cuts_connections_and_keeps_its_truth(self, tmp_path: Path, port: int) -> None:
        journal = tmp_path / "c2s.jsonl"
        async with simulators(journal, port) as client:
            await client.put(f"/_sim/leads/{LEAD}", json={"name": "Ana", "phone": "11987654321"})
            for kind, seconds in (
                ("reset", 0),
                ("accept_then_lose", 0),
                ("accept_then_lose", 0.2),
                ("hang", 0.2),
            ):
                await client.put(
                    "/_sim/faults/c2s", json={"kind": kind, "seconds": seconds, "call": "message"}
                )
                with pytest.raises(httpx.TransportError):
                    await send(client, f"{kind} {seconds}")
            await client.put("/_sim/faults/c2s", json=[])
            assert (await send(client, "answered")).status_code == 201
            before = (await client.get("/_sim/messages")).json()
        assert [message["body"] for message in before["leads"][LEAD]] == [
            "accept_then_lose 0",
            "accept_then_lose 0.2",
            "answered",
        ]

        async with simulators(journal, port) as client:
            assert (await client.get("/_sim/messages")).json() == before
            assert (await client.get(f"/c2s/leads/{LEAD}", headers=TOKEN)).json()["data"][
                "attributes"
            ]["customer"]["name"] == "Ana"

    async def test_forgets_a_silent_call_whose_client_has_gone(
        self, tmp_path: Path, port: int
    ) -> None:
        async with simulators(tmp_path / "c2s.jsonl", port) as client:
            await client.put("/_sim/faults/c2s", json={"kind": "hang"})
            with pytest.raises(httpx.ReadTimeout):
                await client.get("/c2s/me", headers=TOKEN, timeout=0.2)

            async with asyncio.timeout(5):
                while (await client.get("/_sim/calls?kind=me")).json()["calls"][0]["ended"] is None:
                    await asyncio.sleep(0.05)
