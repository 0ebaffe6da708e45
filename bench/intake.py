"""Does sharing a COMMIT pay? The webhook under load from another process, beside an endpoint that
only parses and one INSERT a request.

The load comes from wrk (`apt-get install wrk`) in a process of its own; every request has a body of
its own. Three servers, one after the other, all uvicorn with the product's settings on this
machine's loopback:

  parse    reads the body with the product's parser and answers
  insert   the same, and one INSERT with its COMMIT through the pool for each request
  ours     the product's web process

Then `insert` and `ours` again with 5 ms more for each COMMIT (a deferred trigger that sleeps), as
on a database across a network. Last, web's memory over many requests. Load and servers share this
machine's processors: compare the lines of one run only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg_pool import AsyncConnectionPool
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bench.machine import HERE, database
from c2s_enrich.intake.payload import read_delivery
from c2s_enrich.sandbox.ports import free_port
from c2s_enrich.serving.server import run_server
from c2s_enrich.settings import Settings

TOKEN = "bench-webhook-token"  # noqa: S105 of a throw-away server
PATH = "/api/v1/webhooks/c2s"
INSERT = (
    "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw) values (%s, %s,"
    " %s, %s::jsonb)"
    " on conflict (lead_id, updated_at) do nothing"
)
# A lead as C2S sends it, some 900 bytes; its id is the thread's number and a count, so that no two
# bodies are equal.
LUA = """
local thread_number = 0
function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end
function init(args)
  count = 0
  start = args[1] or "0"
end
local rest = '","type":"lead","hook_action":"on_create_lead","attributes":{"internal_id":12345,'
  .. '"created_at":"2025-06-01T10:00:00-03:00","updated_at":"2025-06-01T10:00:00.123-03:00",'
  .. '"customer":{"id":"c81e728d9d4c2f636f067f89cc14862c","name":"Lead de Teste",'
  .. '"phone":"5511900000000","email":"lead@example.com"},'
  .. '"lead_status":{"id":1,"alias":"new","name":"Novo"},"log":[],"tags":[],'
  .. '"product":{"description":"' .. string.rep("Apartamento ", 40) .. '","prop_ref":"AP1"}}}'
function request()
  count = count + 1
  local id = string.format("%s%02x%012x", start, number, count)
  return wrk.format("POST", nil, nil, '{"id":"' .. id .. rest)
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    e.status + e.connect + e.read + e.write + e.timeout))
end
"""
SLOW_COMMIT = """
create function bench_slow_commit() returns trigger language plpgsql as $$
begin
  -- Once a transaction: a deferred row trigger is called for each row, the wait is for the COMMIT.
  if current_setting('bench.waited', true) is distinct from pg_current_xact_id()::text then
    perform set_config('bench.waited', pg_current_xact_id()::text, true);
    perform pg_sleep(0.005);
  end if;
  return null;
end $$;
create constraint trigger bench_slow_commit after insert on webhook_events
  deferrable initially deferred
  for each row execute function bench_slow_commit();
"""
CONNECTIONS = (32, 256)


# -- the servers that ours is compared with


def serve(kind: str) -> None:
    """One of the two simpler servers, in the process that was started for it."""
    settings = Settings.load(os.environ, "web")

    async def parse(request: Request) -> Response:
        delivery = read_delivery(await request.body(), None, 1000)
        return JSONResponse({"status": "received", "received": delivery.received})

    async def insert(request: Request) -> Response:
        [event] = read_delivery(await request.body(), None, 1000).events
        async with request.app.state.pool.connection() as connection:
            await connection.execute(
                INSERT, (event.lead_id, event.updated_at, event.hook_action, event.payload.decode())
            )
        return JSONResponse({"status": "received", "received": 1})

    async def livez(_: Request) -> Response:
        return Response()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # As one would write it, and not the product's pool, which is faster.
        async with AsyncConnectionPool(
            settings.database_url.reveal(),
            kwargs={"autocommit": True},
            min_size=2,
            max_size=settings.database_pool_size,
            open=False,
        ) as app.state.pool:
            yield

    endpoint = parse if kind == "parse" else insert
    run_server(
        Starlette(
            routes=[Route(PATH, endpoint, methods=["POST"]), Route("/livez", livez)],
            lifespan=lifespan,
        ),
        settings,
    )


@contextmanager
def server(kind: str, url: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own; its address and its pid."""
    port = free_port()
    env = HERE.env(url, WEBHOOK_SECRET=TOKEN, PORT=str(port))
    command = (
        [sys.executable, "-m", "c2s_enrich", "web"]
        if kind == "ours"
        else [sys.executable, "-m", "bench.intake", "--serve", kind]
    )
    with (folder / f"{kind}.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                try:
                    httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}{PATH}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


# -- load


class Load:
    """wrk with a script. Each run has a prefix of its own in its ids, so that no run meets an
    earlier one's events.
    """

    def __init__(self, folder: Path) -> None:
        self._script = folder / "intake.lua"
        self._script.write_text(LUA)
        self._runs = 0

    def run(self, url: str, connections: int, seconds: float) -> dict[str, float]:
        """Requests a second and milliseconds. Raises AssertionError when a request was not answered
        200.
        """
        self._runs += 1
        told = subprocess.run(
            [
                *(
                    "wrk",
                    "-t1",
                    f"-c{connections}",
                    f"-d{seconds:g}s",
                    "--timeout",
                    "10s",
                    "-s",
                    str(self._script),
                ),
                *(
                    "-H",
                    f"X-Webhook-Token: {TOKEN}",
                    "-H",
                    "Content-Type: application/json",
                    url,
                    "--",
                    f"{self._runs:018x}",
                ),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", told)
        assert found is not None, told
        requests, microseconds, p50, p99, errors = map(int, found.groups())
        assert errors == 0, told
        return {
            "per_second": round(requests / microseconds * 1e6),
            "p50_ms": round(p50 / 1000, 1),
            "p99_ms": round(p99 / 1000, 1),
        }


def rss(pid: int) -> float:
    """Resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def emptied(url: str, statement: str = "select 1") -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("truncate webhook_events, rejected_deliveries")
        connection.execute(statement)
        connection.execute("checkpoint")


def measured(
    kinds: tuple[str, ...], url: str, folder: Path, load: Load, seconds: float, label: str
) -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}
    for connections in CONNECTIONS:
        for kind in kinds:
            emptied(url)
            with server(kind, url, folder) as (address, _):
                load.run(address, connections, 1)
                results[f"{kind} {connections}"] = result = load.run(address, connections, seconds)
            print(
                f"{label:14}{kind:8}{connections:4} connections  "
                + "  ".join(f"{k} {v:>7g}" for k, v in result.items()),
                flush=True,
            )
    return results


def memory(url: str, folder: Path, load: Load, requests: int) -> dict[str, float]:
    """RSS after a tenth of the requests and at the end: what comes after the first tenth is growth,
    not warming up.
    """
    emptied(url)
    sizes: list[float] = []
    with server("ours", url, folder) as (address, pid):
        done = 0.0
        while done < requests:
            done += load.run(address, 32, 5)["per_second"] * 5
            sizes.append(rss(pid))
            print(f"memory        {done:>8.0f} requests  {sizes[-1]:.1f} MiB", flush=True)
    return {"requests": round(done), "first_mib": round(sizes[0], 1), "last_mib": sizes[-1]}


def measure(server_url: str, folder: Path, seconds: float, requests: int) -> dict[str, Any]:
    """Rates and waits by server and connections; web's memory over so many requests."""
    if shutil.which("wrk") is None:
        raise RuntimeError("the load comes from wrk, which is not installed: apt-get install wrk")
    load = Load(folder)
    with database(server_url, "bench_intake") as url:
        results: dict[str, Any] = dict(
            measured(("parse", "insert", "ours"), url, folder, load, seconds, "")
        )
        emptied(url, SLOW_COMMIT)
        slow = measured(("insert", "ours"), url, folder, load, seconds, "COMMIT + 5 ms")
        emptied(url, "drop trigger bench_slow_commit on webhook_events")
        results |= {f"{name}, COMMIT + 5 ms": result for name, result in slow.items()}
        return results | {"memory": memory(url, folder, load, requests)}


def main() -> None:
    """Serves one of the two simpler servers, in the process that was started for it."""
    parser = argparse.ArgumentParser(prog="python -m bench.intake")
    parser.add_argument("--serve", choices=("parse", "insert"), required=True)
    serve(parser.parse_args().serve)


if __name__ == "__main__":
    main()
