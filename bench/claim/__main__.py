"""Does the claim stay flat? The product's own statements on 1 M settled and 100 k waiting events,
on a throw-away server.

usage: python -m bench.claim [--finished N] [--waiting N]     prints a table; the last line is JSON

Three drains of 20,000 events with claims of 10: fresh; then with a REPEATABLE READ transaction held
open by someone else, which keeps every dead index entry in place; then ten hot leads that hold the
head of the queue. Compare the lines of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from datetime import timedelta
from statistics import median, quantiles

import psycopg

from c2s_enrich.clock import SystemClock
from c2s_enrich.database import open_pool
from c2s_enrich.migrations import migrate
from c2s_enrich.queue.backoff import Backoff
from c2s_enrich.queue.claim import Done, Ending, Journal
from c2s_enrich.queue.store import QueueStore, Settlement
from c2s_enrich.sandbox.postgres import start_throwaway
from c2s_enrich.settings import Settings

CLAIM_OF = 10


async def fill(url: str, finished: int, waiting: int) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        payload = "jsonb_build_object('pad', repeat('x', 400))"
        await connection.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw, status, outcome, processed_at)"
            f" select 'done' || g, now(), {payload}, 'completed', 'enriched', now() from generate_series(1, {finished}) g"
        )
        await connection.execute(
            "insert into webhook_events (lead_id, updated_at, payload_raw)"
            f" select 'lead' || g, now(), {payload} from generate_series(1, {waiting}) g"
        )
        await connection.execute("vacuum analyze webhook_events")


async def drain(store: QueueStore, events: int) -> dict[str, float]:
    """Claims and settles `events` events, one claim after the other, as a poller with a handler
    that does nothing would.
    """
    claims: list[float] = []
    settles: list[float] = []
    done, began, swept = 0, time.perf_counter(), time.perf_counter()
    journal = Journal(SystemClock())
    while done < events:
        if time.perf_counter() - swept > 1.0:
            store.sweep()
            swept = time.perf_counter()
        asked = time.perf_counter()
        claimed = await store.claim(CLAIM_OF)
        claims.append(time.perf_counter() - asked)
        if not claimed:
            if store.swept:
                break
            store.sweep()
            continue
        asked = time.perf_counter()
        answers = await store.settle(
            [Settlement(claim, Ending.completed(Done("enriched")), journal) for claim in claimed]
        )
        settles.append(time.perf_counter() - asked)
        assert answers == ["settled"] * len(claimed)
        done += len(claimed)
    return {
        "events_per_second": round(done / (time.perf_counter() - began)),
        "claim_p50_ms": round(median(claims) * 1e3, 2),
        "claim_p99_ms": round(quantiles(claims, n=100)[98] * 1e3, 2),
        "settle_p50_ms": round(median(settles) * 1e3, 2),
    }


async def bench(finished: int, waiting: int) -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}

    def told(name: str, result: dict[str, float]) -> None:
        results[name] = result
        print(
            f"{name:28}" + "  ".join(f"{key} {value:>8}" for key, value in result.items()),
            flush=True,
        )

    with start_throwaway(durable=True) as server:
        await migrate(server.url)
        await fill(server.url, finished, waiting)
        settings = Settings.load({"DATABASE_URL": server.url}, "tool")
        async with open_pool(settings, name="bench") as pool:
            store = QueueStore(
                pool,
                worker="bench",
                lease=timedelta(seconds=30),
                deadline=timedelta(seconds=300),
                backoff=Backoff(timedelta(seconds=5), timedelta(seconds=900)),
            )
            told("fresh", await drain(store, 20_000))
            async with await psycopg.AsyncConnection.connect(server.url) as held:
                await held.execute("set transaction isolation level repeatable read")
                await held.execute("select count(*) from webhook_events")
                for turn in (1, 2, 3):
                    told(f"old transaction open, {turn}", await drain(store, 20_000))
            async with await psycopg.AsyncConnection.connect(
                server.url, autocommit=True
            ) as connection:
                await connection.execute("delete from webhook_events where status = 'received'")
                await connection.execute(
                    "insert into webhook_events (lead_id, updated_at, payload_raw)"
                    " select 'hot' || g % 10, now() + g * interval '1 microsecond', '{}' from generate_series(1, 5000) g"
                )
            store.sweep()
            told("ten hot leads", await drain(store, 2_000))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.claim")
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(bench(arguments.finished, arguments.waiting))))


if __name__ == "__main__":
    main()
