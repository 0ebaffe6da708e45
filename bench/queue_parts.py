"""The queue alone: drain, pick-up, flatness, several pollers, a hot lead, rest."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from bench.machine import (
    HERE,
    PAYLOAD,
    Checkout,
    cpu,
    database,
    driver,
    hear,
    memory,
    percentile,
    process,
    statements,
    wait_until_settled,
)

FILL = (
    "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
    " select %s || g, now() + g * interval '1 microsecond', 'on_create_lead', %s::jsonb"
    " from generate_series(1, %s::int) g"
)


def drain(
    server: str,
    folder: Path,
    checkout: Checkout = HERE,
    *,
    events: int = 20_000,
    slots: int | None = 100,
    pollers: int = 1,
    hold: bool = False,
    hot: int = 0,
) -> dict[str, float]:
    """Drains `events` events of as many leads, `hot` more of one lead before them.

    Rates come from the rows' own `processed_at`. With `hold` somebody keeps an old snapshot open.
    """
    with ExitStack() as stack:
        url = stack.enter_context(database(server, "bench_drain", checkout))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        body = json.dumps(PAYLOAD)
        if hot:
            connection.execute(FILL.replace("%s || g", "%s"), ("hot", body, hot))
        connection.execute(FILL, ("lead-", body, events))
        connection.execute("vacuum analyze webhook_events")
        connection.execute("checkpoint")
        if hold:
            held = stack.enter_context(psycopg.connect(url))
            held.execute("set transaction isolation level repeatable read")
            held.execute("select count(*) from webhook_events")
        more = {} if slots is None else {"CONCURRENCY": str(slots)}
        workers = [
            stack.enter_context(
                process(
                    driver("noop_poller"),
                    checkout.env(url, **more),
                    folder / "drain.log",
                    talk=True,
                )
            )
            for _ in range(pollers)
        ]
        for worker in workers:
            hear(worker.stdout, "ready")
        connection.execute("select pg_stat_statements_reset()")
        wal = _wal(connection)
        before = sum(cpu(worker.pid) for worker in workers)
        [(began,)] = connection.execute("select clock_timestamp()").fetchall()
        for worker in workers:
            print("go", file=worker.stdin, flush=True)
        if hot:
            _wait_for_others(connection)
        else:
            wait_until_settled(connection)
        used = sum(cpu(worker.pid) for worker in workers) - before
        asked = sum(statements(connection).values())
        wal = _wal(connection) - wal
        rows = connection.execute(
            "select extract(epoch from processed_at - %s)::float8 from webhook_events"
            " where processed_at is not null and lead_id <> 'hot' order by 1",
            (began,),
        )
        ends = [seconds for (seconds,) in rows.fetchall()]
        third = len(ends) // 3
        return {
            "per_second": round(len(ends) / ends[-1]),
            "last_to_first": round(ends[third - 1] / max(1e-9, ends[-1] - ends[-third - 1]), 3),
            "cpu_ms_per_event": round(used * 1000 / events, 3),
            "statements_per_event": round(asked / events, 3),
            "wal_bytes_per_event": round(wal / events),
        }


def pick_up(
    server: str,
    folder: Path,
    checkout: Checkout = HERE,
    *,
    samples: int = 200,
    events: int = 10_000,
) -> dict[str, float]:
    """An idle poller, one event at a time: from before the INSERT to the handler's first line. As
    with the peers, process and database have just drained `events`: a cold first sample would be
    half of what is called p99.
    """
    waits = []
    with (
        database(server, "bench_pickup", checkout) as url,
        psycopg.connect(url, autocommit=True) as connection,
        process(
            driver("noop_poller", "--tell"), checkout.env(url), folder / "pickup.log", talk=True
        ) as worker,
    ):
        hear(worker.stdout, "ready")
        connection.execute(FILL, ("lead-", json.dumps(PAYLOAD), events))
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        print("go", file=worker.stdin, flush=True)
        assert worker.stdout is not None
        for _ in range(events):
            worker.stdout.readline()
        time.sleep(1.5)
        for number in range(samples):
            sent = time.perf_counter()
            connection.execute(
                "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw)"
                " values (%s, now(), 'on_create_lead', %s::jsonb)",
                (f"x{number}", json.dumps(PAYLOAD)),
            )
            waits.append((float(worker.stdout.readline()) - sent) * 1000)
            time.sleep(0.02)
    return {"p50_ms": round(percentile(waits, 0.5), 2), "p99_ms": round(percentile(waits, 0.99), 2)}


def rest(server: str, folder: Path, *, seconds: float = 60) -> dict[str, Any]:
    """Web and poller with nothing to do: statements a minute, and memory."""
    with ExitStack() as stack:
        url = stack.enter_context(database(server, "bench_rest"))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        started = {}
        for kind in ("web", "poller"):
            command = [driver("")[0], "-m", "c2s_enrich", kind]
            env = HERE.env(url, PORT="0")
            started[kind] = stack.enter_context(process(command, env, folder / "rest.log"))
        time.sleep(15)
        connection.execute("select pg_stat_statements_reset()")
        time.sleep(seconds)
        asked = statements(connection)
        return {
            "statements_per_minute": round(sum(asked.values()) * 60 / seconds, 1),
            "by_statement": {text[:80]: count for text, count in list(asked.items())[:8]},
            "web_mib": memory(started["web"].pid),
            "poller_mib": memory(started["poller"].pid),
        }


def bloat(server: str, folder: Path, *, events: int = 500_000, batch: int = 50_000) -> Any:
    """Rounds of insert and drain: does the rate hold, do the tables stay the size of their rows?"""
    rates = []
    sizes: list[dict[str, list[int]]] = []
    with (
        database(server, "bench_bloat") as url,
        psycopg.connect(url, autocommit=True) as connection,
        process(
            driver("noop_poller"),
            HERE.env(url, CONCURRENCY="100", LOG_LEVEL="warning"),
            folder / "bloat.log",
            talk=True,
        ) as worker,
    ):
        hear(worker.stdout, "ready")
        print("go", file=worker.stdin, flush=True)
        for turn in range(events // batch):
            began = time.monotonic()
            connection.execute(FILL, (f"lead-{turn}-", json.dumps(PAYLOAD), batch))
            wait_until_settled(connection)
            rates.append(round(batch / (time.monotonic() - began)))
            print(f"    round {turn + 1}: {rates[-1]} a second", flush=True)
            rows = connection.execute(
                "select c.relname, pg_relation_size(c.oid), coalesce(s.n_dead_tup, 0)"
                "  from pg_class c left join pg_stat_user_tables s on s.relid = c.oid"
                " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'i')"
                "   and (c.relname like 'webhook_events%' or c.relname like 'event_attempts%')"
            )
            sizes.append({name: [size, dead] for name, size, dead in rows.fetchall()})
    return {"rates": rates, "first_round": sizes[0], "last_round": sizes[-1]}


def _wal(connection: psycopg.Connection[Any]) -> int:
    [(position,)] = connection.execute("select pg_current_wal_lsn() - '0/0'::pg_lsn").fetchall()
    return int(position)


def _wait_for_others(connection: psycopg.Connection[Any]) -> None:
    """Returns when every event that is not the hot lead's is settled."""
    until = time.monotonic() + 300
    others = (
        "select 1 from webhook_events"
        " where status in ('received', 'processing') and lead_id <> 'hot' limit 1"
    )
    while connection.execute(others).fetchone() is not None:
        if time.monotonic() > until:
            raise TimeoutError("the hot lead keeps the others waiting")
        time.sleep(0.05)
