"""Does an event take as long as its upstreams and hardly longer? Simulators with fixed latencies, a
real poller, a throw-away server.

usage: python -m bench.path [--events N]     prints a table; the last line is JSON

The longest path of a lead with a phone and an e-mail: the slower one of the two lookups, then a
record, then the message. Phone and e-mail of every second lead belong to different people, so that
two records are asked for: they must overlap too. Measured from `received_at` to `processed_at`, by
the database. Latencies are as quick as the real ones ever were: slower ones would only hide what we
add. The simulators run in a process of their own, which notes when each call began and ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import AsyncConnection

from c2s_enrich.migrations import migrate
from c2s_enrich.sandbox.postgres import start_throwaway
from c2s_enrich.sandbox.simulators.population import Person, populate
from c2s_enrich.sandbox.stage import Stage

SEED = 1
# Seconds of an answer, by upstream and kind of call.
LATENCY = {
    ("diretrix", "phone"): 0.25,
    ("diretrix", "email"): 0.40,
    ("work_api", "record"): 0.50,
    ("c2s", "message"): 0.30,
}
OPEN = "select 1 from webhook_events where status in ('received', 'processing') limit 1"
STEPS = """select key, percentile_cont(0.5) within group (order by value::float8) from event_attempts, jsonb_each_text(steps) group by key"""
# What the product may add, in the median.
ALLOWED_MS = 50.0


Pair = tuple[Person, Person]
Deliver = Callable[[Pair], Awaitable[None]]
Arrival = Callable[[Deliver, list[Pair], AsyncConnection[Any]], Awaitable[None]]


async def slow_down(stage: Stage) -> None:
    for upstream in ("diretrix", "work_api", "c2s"):
        faults = [
            {"kind": "slow", "call": kind, "seconds": seconds}
            for (name, kind), seconds in LATENCY.items()
            if name == upstream
        ]
        (
            await stage.client.put(f"{stage.simulators_url}/_sim/faults/{upstream}", json=faults)
        ).raise_for_status()


async def accept(
    connection: AsyncConnection[Any], stage: Stage, lead_id: str, by_phone: Person, by_email: Person
) -> None:
    """C2S knows the lead, and its event is stored as intake stores it."""
    customer = {"name": by_phone.name, "phone": f"55{by_phone.phone}", "email": by_email.email}
    answer = await stage.client.put(f"{stage.simulators_url}/_sim/leads/{lead_id}", json=customer)
    answer.raise_for_status()
    await connection.execute(
        "insert into webhook_events (lead_id, updated_at, hook_action, payload_raw) values (%s, clock_timestamp(), 'on_create_lead', %s)",
        (lead_id, json.dumps(answer.json())),
    )


async def worked_off(connection: AsyncConnection[Any]) -> None:
    async with asyncio.timeout(120):
        while await (await connection.execute(OPEN)).fetchone():  # noqa: ASYNC110 another process works it off
            await asyncio.sleep(0.05)


def longest_path(calls: list[dict[str, Any]]) -> float:
    """Milliseconds of the slower lookup, a record and the message, as the simulators' own log has
    them (medians).
    """

    def typical(kind: str) -> float:
        return median(
            (call["ended"] - call["started"]) * 1000 for call in calls if call["kind"] == kind
        )

    return max(typical("phone"), typical("email")) + typical("record") + typical("message")


async def one_at_a_time(
    deliver: Deliver, leads: list[Pair], connection: AsyncConnection[Any]
) -> None:
    for pair in leads:
        await deliver(pair)
        await worked_off(connection)


async def steadily(deliver: Deliver, leads: list[Pair], connection: AsyncConnection[Any]) -> None:
    """A new one while several are under way: about eight at a time."""
    for pair in leads:
        await deliver(pair)
        await asyncio.sleep(0.15)


async def ten_at_once(
    deliver: Deliver, leads: list[Pair], connection: AsyncConnection[Any]
) -> None:
    """The worst case for one process: ten times the same work in the same millisecond."""
    for first in range(0, len(leads), 10):
        await asyncio.gather(*map(deliver, leads[first : first + 10]))
        await worked_off(connection)


def overlapping(calls: list[dict[str, Any]]) -> int:
    """Pairs of neighbours of which the second began before the first had ended."""
    ordered = sorted(calls, key=lambda call: call["started"])
    return sum(
        second["started"] < first["ended"]
        for first, second in zip(ordered[::2], ordered[1::2], strict=False)
    )


async def measure(
    connection: AsyncConnection[Any], stage: Stage, people: list[Person], arrival: Arrival
) -> dict[str, float]:
    """Every lead has people of its own, so that no answer is remembered. One lead takes one person,
    the next one two.
    """
    await stage.client.post(f"{stage.simulators_url}/_sim/reset")
    await slow_down(stage)
    await connection.execute("truncate webhook_events, event_attempts")
    leads: list[Pair] = []
    left = list(people)
    while len(left) >= 3:
        one, two, three = left.pop(), left.pop(), left.pop()
        leads += [(one, one), (two, three)]
    await arrival(lambda pair: accept(connection, stage, uuid4().hex, *pair), leads, connection)
    await worked_off(connection)
    rows = await (
        await connection.execute("select outcome, received_at, processed_at from webhook_events")
    ).fetchall()
    assert {row[0] for row in rows} == {"enriched"}, {row[0] for row in rows}
    calls = (await stage.client.get(f"{stage.simulators_url}/_sim/calls")).json()["calls"]
    path = longest_path(calls)
    overhead = sorted(_milliseconds(row[1], row[2]) - path for row in rows)
    found: dict[str, float] = {
        "events": len(rows),
        "longest_path_ms": round(path, 1),
        "added_ms_p50": round(median(overhead), 1),
        "added_ms_p95": round(quantiles(overhead, n=20)[18], 1),
        "ratio_p50": round(1 + median(overhead) / path, 3),
    }
    if arrival is one_at_a_time:
        lookups = [call for call in calls if call["upstream"] == "diretrix"]
        records = [call for call in calls if call["upstream"] == "work_api"]
        found["lookups_overlapping"] = overlapping(lookups)
        found["lookups_pairs"] = len(lookups) // 2
        found["records_at_once"] = _most_at_once(records)
    steps = await (await connection.execute(STEPS)).fetchall()
    return found | {f"{name}_ms": round(milliseconds) for name, milliseconds in steps}


def _most_at_once(calls: list[dict[str, Any]]) -> int:
    moments = sorted(
        [(call["started"], 1) for call in calls] + [(call["ended"], -1) for call in calls]
    )
    running = most = 0
    for _, step in moments:
        running += step
        most = max(most, running)
    return most


def _milliseconds(begin: datetime, end: datetime) -> float:
    return (end - begin).total_seconds() * 1000


ARRIVALS = {"one at a time": one_at_a_time, "steadily": steadily, "ten at once": ten_at_once}
# Ten in one millisecond share one processor core: that line is shown, but it measures the machine.
JUDGED = ("one at a time", "steadily")


async def bench(events: int) -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}
    size = 6 * events + 60
    people = [person for person in populate(SEED, size) if person.has_record]
    with start_throwaway(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        await migrate(server.url)
        async with Stage(Path(folder), server.url, seed=SEED, size=size) as stage:
            await stage.start_simulators()
            stage.start_poller()
            async with await psycopg.AsyncConnection.connect(
                server.url, autocommit=True
            ) as connection:
                # The poller comes up, opens its connections and has its caches filled: that is not
                # what a lead waits for.
                warming, people = people[:30], people[30:]
                await measure(connection, stage, warming, ten_at_once)
                share = len(people) // len(ARRIVALS)
                for place, (name, arrival) in enumerate(ARRIVALS.items()):
                    mine = people[place * share : (place + 1) * share][: events * 3 // 2]
                    results[name] = await measure(connection, stage, mine, arrival)
                    print(
                        f"{name:14}"
                        + "  ".join(f"{key} {value:g}" for key, value in results[name].items()),
                        flush=True,
                    )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.path")
    parser.add_argument("--events", type=int, default=40)
    results = asyncio.run(bench(parser.parse_args().events))
    kept = all(results[name]["added_ms_p50"] <= ALLOWED_MS for name in JUDGED)
    verdict = "kept" if kept else "NOT kept"
    print(
        f"at most {ALLOWED_MS:.0f} ms more than the longest path in the median ({', '.join(JUDGED)}): {verdict}"
    )
    print(json.dumps({"kept": kept, **results}))
    raise SystemExit(0 if kept else 1)


if __name__ == "__main__":
    main()
