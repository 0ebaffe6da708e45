"""The whole pipeline: what a lead costs the poller, and how long it takes beyond its upstreams."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from bench.machine import (
    HERE,
    Checkout,
    cpu,
    database,
    driver,
    hear,
    memory,
    percentile,
    process,
    run_json,
    statements,
    wait_until_settled,
)
from c2s_enrich.sandbox.ports import free_port

# Phones and e-mails name their person by number; these digits look like nobody's placeholder.
_FIRST, _STEP = 61_234_501, 7
_LOOKS_FAKE = ("111111", "000000", "999999", "123456")


def numbers(count: int) -> list[int]:
    """The persons of `count` leads."""
    found: list[int] = []
    number = _FIRST
    while len(found) < count:
        if not any(digits in str(number) for digits in _LOOKS_FAKE):
            found.append(number)
        number += _STEP
    return found


def payload(number: int) -> str:
    customer = {
        "name": f"Pessoa de Teste {number}",
        "phone": f"55119{number:08d}",
        "email": f"p{number}@example.com",
    }
    attributes = {"updated_at": "2025-06-01T10:00:00Z", "customer": customer, "pad": "x" * 300}
    return json.dumps({"id": f"lead-{number}", "attributes": attributes})


def cost(
    server: str, folder: Path, checkout: Checkout = HERE, *, leads: int = 1000
) -> dict[str, float]:
    """Upstreams that answer at once, all leads stored before: the poller's own work."""
    with ExitStack() as stack:
        stage = PipelineStage(stack, server, folder, checkout, scale=0)
        stage.store(numbers(leads))
        stage.connection.execute("vacuum analyze webhook_events")
        stage.connection.execute("select pg_stat_statements_reset()")
        poller = stage.poller(CONCURRENCY="100")
        wait_until_settled(stage.connection)
        used = cpu(poller.pid)
        asked = statements(stage.connection)
        [(seconds, told)] = stage.connection.execute(
            "select extract(epoch from max(processed_at) - (select min(started_at)"
            " from event_attempts))::float8,"
            " count(*) filter (where outcome = 'enriched') from webhook_events"
        ).fetchall()
        if told != leads:
            raise RuntimeError(f"{told} of {leads} leads were enriched")
        own = {text: count for text, count in asked.items() if not _is_ours(text)}
        return {
            "leads_per_second": round(leads / seconds, 1),
            # Start-up is a fixed 0.6 s of CPU or so; it is the poller's, but no lead's.
            "cpu_ms_per_lead": round((used - stage.started_cpu(poller.pid)) * 1000 / leads, 2),
            "statements_per_lead": round(sum(own.values()) / leads, 2),
        }


def floor(server: str, folder: Path, *, leads: int = 1000) -> dict[str, float]:
    """A bare script: the same four exchanges through the same transport, 14 plain statements."""
    with ExitStack() as stack:
        stage = PipelineStage(stack, server, folder, HERE, scale=0)
        command = driver("floor", stage.port, leads, 100)
        return dict(run_json(command, HERE.env(stage.url), folder / "floor.log", 300))


def lead_time(
    server: str,
    folder: Path,
    checkout: Checkout = HERE,
    *,
    leads: int = 500,
    spread: float = 30.0,
    slots: int = 200,
) -> dict[str, float]:
    """Real latencies: from the webhook to C2S's answer, next to each lead's own longest path."""
    with ExitStack() as stack:
        stage = PipelineStage(stack, server, folder, checkout, scale=1)
        poller = stage.poller(CONCURRENCY=str(slots))
        time.sleep(3)
        at_rest = memory(poller.pid)
        sent: dict[int, float] = {}
        most = at_rest
        for number in numbers(leads):
            sent[number] = time.monotonic()
            stage.store([number])
            time.sleep(max(0.0, spread / leads - (time.monotonic() - sent[number])))
            most = max(most, memory(poller.pid))
        while stage.is_busy():
            most = max(most, memory(poller.pid))
            time.sleep(0.25)
        return _ratios(stage.calls(), sent) | {
            "poller_at_rest_mib": at_rest,
            "poller_most_mib": most,
        }


def one_at_a_time(
    server: str, folder: Path, checkout: Checkout = HERE, *, leads: int = 15
) -> dict[str, float]:
    """Nothing else to do: what the product adds to one lead's longest path, a tenth as long."""
    with ExitStack() as stack:
        stage = PipelineStage(stack, server, folder, checkout, scale=0.1)
        stage.poller()
        time.sleep(3)
        sent: dict[int, float] = {}
        for number in numbers(leads):
            sent[number] = time.monotonic()
            stage.store([number])
            wait_until_settled(stage.connection, 60)
        return _ratios(stage.calls(), sent)


class PipelineStage:
    """Upstreams, a migrated database and a way to start pollers of one checkout."""

    def __init__(
        self,
        stack: ExitStack,
        server: str,
        folder: Path,
        checkout: Checkout = HERE,
        *,
        scale: float,
    ) -> None:
        self._stack, self._folder, self._checkout = stack, folder, checkout
        self.port = free_port()
        command = driver("upstreams", self.port, scale)
        log = folder / "upstreams.log"
        upstreams = stack.enter_context(process(command, HERE.env(""), log, talk=True))
        hear(upstreams.stdout, "ready")
        self.url = stack.enter_context(database(server, "bench_pipeline", checkout))
        self.connection = stack.enter_context(psycopg.connect(self.url, autocommit=True))

    def poller(self, **more: str) -> Any:
        base = f"http://127.0.0.1:{self.port}"
        env = self._checkout.env(
            self.url,
            C2S_BASE_URL=f"{base}/c2s",
            DIRETRIX_BASE_URL=f"{base}/diretrix",
            WORK_API_BASE_URL=f"{base}/work_api",
            **more,
        )
        command = [driver("")[0], "-m", "c2s_enrich", "poller"]
        return self._stack.enter_context(process(command, env, self._folder / "pipeline.log"))

    def started_cpu(self, pid: int) -> float:
        """What a poller of this checkout uses until it claims for the first time: a fresh one."""
        with (
            database(self._server_of(), "bench_start", self._checkout) as url,
            process(
                [driver("")[0], "-m", "c2s_enrich", "poller"],
                self._checkout.env(url),
                self._folder / "start.log",
            ) as idle,
        ):
            time.sleep(4)
            return cpu(idle.pid)

    def _server_of(self) -> str:
        return self.url.replace("/bench_pipeline?", "/postgres?")

    def store(self, persons: list[int]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(
                "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
                " values (%s, clock_timestamp(), 'on_create_lead', %s::jsonb)",
                [(f"lead-{number}", payload(number)) for number in persons],
            )

    def is_busy(self) -> bool:
        rows = self.connection.execute(
            "select 1 from webhook_events where status in ('received', 'processing') limit 1"
        )
        return rows.fetchone() is not None

    def calls(self) -> dict[str, list[float]]:
        address = f"http://127.0.0.1:{self.port}/calls"
        with urllib.request.urlopen(address, timeout=30) as answer:
            return dict(json.load(answer))


def _ratios(calls: dict[str, list[float]], sent: dict[int, float]) -> dict[str, float]:
    ratios, added = [], []
    for number, at in sent.items():
        seconds = {
            kind: calls[f"{kind} {number}"][2] for kind in ("phone", "email", "record", "message")
        }
        own = max(seconds["phone"], seconds["email"]) + seconds["record"] + seconds["message"]
        took = calls[f"message {number}"][1] - at
        ratios.append(took / own)
        added.append((took - own) * 1000)
    return {
        "ratio_p50": round(percentile(ratios, 0.5), 4),
        "ratio_p95": round(percentile(ratios, 0.95), 4),
        "added_ms_p50": round(percentile(added, 0.5), 1),
        "added_ms_p95": round(percentile(added, 0.95), 1),
    }


def _is_ours(text: str) -> bool:
    """Whether a statement is this bench's own and not the poller's."""
    return "limit $1" in text and "select $2 from webhook_events where status in" in text
