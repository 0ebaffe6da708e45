"""What operators look at, on a large table: milliseconds of each next to a primary-key read.

The ops process answers over HTTP; 1 in 50 events failed, 1 in 200 waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.machine import HERE, database, driver, percentile, process
from c2s_enrich.sandbox.ports import free_port

_TOKEN = "bench-admin-token-of-no-value"  # noqa: S105 of a throw-away server
_FILL = """
insert into webhook_events
       (lead_id, updated_at, hook_action, payload_raw, status, outcome, attempts, error_kind,
        error_message, waiting_for, waiting_reason, available_at, received_at, processed_at)
select 'lead-' || g, at, 'on_create_lead', '{"id": "lead"}', status,
       case when status = 'completed' then 'enriched' end, 1,
       case when status <> 'completed' then 'upstream_unavailable' end,
       case when status <> 'completed' then 'work_api: HTTP ' || 500 + g %% 4 end,
       case when status = 'received' then 'work_api' end,
       case when status = 'received' then 'backoff' end,
       case when status = 'received' then now() + interval '1 hour' else at end, at,
       case when status <> 'received' then at + interval '9 seconds' end
  from (select g, now() - (%s - g) * interval '5 seconds' as at,
               case when g %% 50 = 0 then 'failed' when g %% 200 = 1 then 'received'
                    else 'completed' end as status
          from generate_series(1, %s) g) made
"""


def measure(server: str, folder: Path, *, events: int, samples: int = 15) -> dict[str, Any]:
    """The median of each page in milliseconds, and how many primary-key reads that is."""
    with ExitStack() as stack:
        url = stack.enter_context(database(server, "bench_pages"))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        connection.execute("set session_replication_role = replica")
        connection.execute(_FILL, (events, events))
        connection.execute("vacuum analyze")
        [(one,)] = connection.execute(
            "select id from webhook_events where lead_id = %s", (f"lead-{events // 2}",)
        ).fetchall()
        port, metrics = free_port(), free_port()
        env = HERE.env(
            url, OPS_PORT=str(port), METRICS_PORT=str(metrics), OPS_HOST="127.0.0.1",
            ADMIN_TOKEN=_TOKEN,
        )  # fmt: skip
        command = [driver("")[0], "-m", "c2s_enrich", "ops"]
        stack.enter_context(process(command, env, folder / "pages.log"))
        client = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {_TOKEN}"},
                timeout=60,
                trust_env=False,
            )
        )
        _wait_for(client)
        admin = "/api/v1/admin"
        order = {"verb": "reprocess", "filter": {"kind": "upstream_unavailable"}}
        pages: dict[str, Callable[[], Any]] = {
            "list": lambda: client.get(f"{admin}/events"),
            "list, failed": lambda: client.get(f"{admin}/events?status=failed"),
            "group": lambda: client.get(f"{admin}/errors"),
            "explain": lambda: client.get(f"{admin}/explain/{one}"),
            "plan": lambda: client.post(f"{admin}/plans", json=order),
            "health": lambda: client.get("/health"),
            "scrape": lambda: client.get(f"http://127.0.0.1:{metrics}/metrics"),
            **_console(client, f"lead-{events // 2}"),
        }
        key = "select * from webhook_events where id = %s"
        read = _median(lambda: connection.execute(key, (one,)).fetchone(), samples * 10)
        measured: dict[str, Any] = {"primary-key read": {"p50_ms": read}}
        for name, page in pages.items():
            answer = page()
            if answer.status_code >= 300:
                measured[name] = {"cannot run": f"HTTP {answer.status_code}"}
                continue
            took = _median(page, samples)
            measured[name] = {"p50_ms": took, "reads": round(took / read)}
            print(f"    {name:16} p50_ms {took:g}", flush=True)
        return measured


def _console(client: httpx.Client, lead: str) -> dict[str, Callable[[], Any]]:
    """The console's pages, for somebody who is logged in."""
    login = {"name": "bench", "token": _TOKEN}
    client.post("/login", data=login, headers={"sec-fetch-site": "same-origin"})
    lists = ("events", "errors", "upstreams", "messages", "rejects", "pollers", "actions")
    addresses = ("/", *(f"/{name}" for name in lists), "/events?status=failed", f"/leads/{lead}")
    return {f"page {address}": partial(client.get, address) for address in addresses}


def _median(work: Callable[[], Any], samples: int) -> float:
    took = []
    for _ in range(samples):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return round(percentile(took, 0.5), 2)


def _wait_for(client: httpx.Client, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            client.get("/livez")
            return
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
