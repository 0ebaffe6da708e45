"""Measures the product: python -m bench [--quick] [PART …]

Without a part: everything but `pages` and `bloat`, under 20 minutes on two cores. One Postgres, one
run: what counts are the ratios to the peers, to the baseline commit and to a bare floor. After each
part bench/results.json is written; a part that is named replaces only its own results there.
`python -m bench.publish` brings them into the documents. With --quick each part is a twentieth as
large and runs once: proves that everything runs; its figures mean nothing and are not written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import intake, loss, pages, peers, pipeline, queue_parts
from bench.machine import PAYLOAD, Checkout, baseline, machine, rounds
from bench.report import RESULTS, Goal, ratio, table
from c2s_enrich.sandbox.postgres import start_throwaway

Results = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How large a run is: `of` a number of events, `seconds` of load, `rounds` of each system."""

    share: float = 1.0
    rounds: int = 2

    def of(self, number: int) -> int:
        return max(20, round(number * self.share))

    def seconds(self, whole: float) -> float:
        return max(2.0, whole * self.share)


def drain(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """The bare queue next to its peers; pick-up comes from the same runs of the peers."""
    many = partial(queue_parts.drain, server, folder)
    probe = {"samples": scale.of(200), "events": scale.of(10_000)}
    systems: dict[str, Callable[[], dict[str, float]]] = {
        "ours": partial(many, events=scale.of(20_000)),
        "ours, default slots": partial(many, events=scale.of(20_000), slots=None),
        "baseline": partial(many, base, events=scale.of(10_000)),
        "ours, pick-up": partial(queue_parts.pick_up, server, folder, **probe),
        "baseline, pick-up": partial(queue_parts.pick_up, server, folder, base, **probe),
    }
    try:
        python = peers.environment()
    except RuntimeError as error:
        missing = str(error)

        def refuse() -> dict[str, float]:
            raise RuntimeError(missing)

        systems |= dict.fromkeys(peers.SYSTEMS, refuse)
    else:
        for name in peers.SYSTEMS:
            systems[name] = partial(
                peers.run, server, folder, python, name, PAYLOAD, share=scale.share
            )
    return rounds(scale.rounds, systems)


def flatness(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """Under a held transaction, with several pollers, behind a hot lead."""
    many = partial(queue_parts.drain, server, folder, events=scale.of(20_000))
    return rounds(
        scale.rounds,
        {
            "held": partial(many, events=scale.of(60_000), hold=True),
            "1 poller": many,
            "2 pollers": partial(many, pollers=2),
            "4 pollers": partial(many, pollers=4),
            "behind a hot lead": partial(many, hot=scale.of(10_000)),
        },
    )


def cost(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """A lead through the whole pipeline, upstreams at once."""
    return rounds(
        scale.rounds,
        {
            "ours": partial(pipeline.cost, server, folder, leads=scale.of(1000)),
            "baseline": partial(pipeline.cost, server, folder, base, leads=scale.of(300)),
            "floor": partial(pipeline.floor, server, folder, leads=scale.of(1000)),
        },
    )


def time_of_a_lead(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """Real latencies: 500 leads in 30 s, and one lead at a time."""
    flow: dict[str, Any] = {"leads": scale.of(500), "spread": scale.seconds(30)}
    return rounds(
        1,
        {
            "ours": partial(pipeline.lead_time, server, folder, **flow),
            "baseline": partial(pipeline.lead_time, server, folder, base, **flow),
            "ours, one": partial(pipeline.one_at_a_time, server, folder),
            "baseline, one": partial(pipeline.one_at_a_time, server, folder, base),
            "ours, 500 at once": partial(
                pipeline.lead_time, server, folder, leads=scale.of(500), spread=2.0, slots=500
            ),
        },
    )


def killed(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """A poller is killed with 10 and with 100 leads in flight."""
    return rounds(
        1,
        {f"{n} leads": partial(loss.killed, server, folder, leads=n) for n in (10, 100)},
    )


def rest(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """Web and poller with nothing to do."""
    return rounds(1, {"ours": partial(queue_parts.rest, server, folder, seconds=scale.seconds(60))})


def webhooks(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """Intake next to an endpoint that only parses and one INSERT a request."""
    return intake.measure(server, folder, scale.seconds(5), scale.of(100_000))


def bloat(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """500,000 events in rounds of insert and drain."""
    batch = scale.of(50_000)
    return dict(queue_parts.bloat(server, folder, events=10 * batch, batch=batch))


def look(server: str, folder: Path, base: Checkout, scale: Scale) -> Results:
    """List, group, explain, plan and scrape at 1 M events, next to a primary-key read."""
    return pages.measure(server, folder, events=scale.of(1_000_000))


PARTS: Mapping[str, Callable[[str, Path, Checkout, Scale], Results]] = {
    "drain": drain,
    "flatness": flatness,
    "cost": cost,
    "time": time_of_a_lead,
    "killed": killed,
    "rest": rest,
    "intake": webhooks,
    "bloat": bloat,
    "pages": look,
}
LONG = ("bloat", "pages")


def goals(results: Results) -> list[Goal]:
    """Every ratio that this run can tell."""

    def of(part: str, system: str, key: str) -> Any:
        return results.get(part, {}).get(system, {}).get(key)

    rates = {name: of("drain", name, "per_second") or 0 for name in peers.SYSTEMS}
    fastest = max(rates.values())
    quickest = min(of("drain", name, "p50_ms") or 1e9 for name in peers.SYSTEMS)
    steadiest = min(of("drain", name, "p99_ms") or 1e9 for name in peers.SYSTEMS)
    found = [
        Goal("poller CPU per lead ÷ baseline", ratio(of("cost", "ours", "cpu_ms_per_lead"),
             of("cost", "baseline", "cpu_ms_per_lead")), 0.25, 0.15),
        Goal("poller CPU per lead ÷ floor", ratio(of("cost", "ours", "cpu_ms_per_lead"),
             of("cost", "floor", "cpu_ms_per_lead")), 2, 1.5),
        Goal("leads a second ÷ baseline", ratio(of("cost", "ours", "leads_per_second"),
             of("cost", "baseline", "leads_per_second")), 4, 7, at_most=False),
        Goal("statements per lead", of("cost", "ours", "statements_per_lead"), 14, 10),
        Goal("lead time ÷ longest path, median", of("time", "ours", "ratio_p50"), 1.02),
        Goal("lead time ÷ longest path, p95", of("time", "ours", "ratio_p95"), 1.05),
        Goal("one lead at a time: added ÷ baseline", ratio(of("time", "ours, one", "added_ms_p50"),
             of("time", "baseline, one", "added_ms_p50")), 0.5),
        Goal("drain ÷ fastest peer", ratio(of("drain", "ours", "per_second"), fastest),
             1.0, 1.5, at_most=False),
        Goal("drain at the default slots ÷ at 100",
             ratio(of("drain", "ours, default slots", "per_second"),
                   of("drain", "ours", "per_second")), 0.8, at_most=False),
        Goal("pick-up p50 ÷ best peer", ratio(of("drain", "ours, pick-up", "p50_ms"), quickest),
             0.9),
        Goal("pick-up p99 ÷ best peer", ratio(of("drain", "ours, pick-up", "p99_ms"), steadiest),
             0.6),
        Goal("last ÷ first third under a held transaction", of("flatness", "held", "last_to_first"),
             0.9, at_most=False),
        Goal("2 pollers ÷ 1", ratio(of("flatness", "2 pollers", "per_second"),
             of("flatness", "1 poller", "per_second")), 0.95, at_most=False),
        Goal("4 pollers ÷ 2", ratio(of("flatness", "4 pollers", "per_second"),
             of("flatness", "2 pollers", "per_second")), 0.95, at_most=False),
        Goal("others behind 10,000 events of one lead ÷ without",
             ratio(of("flatness", "behind a hot lead", "per_second"),
                   of("flatness", "1 poller", "per_second")), 0.9, at_most=False),
        Goal("poller with 500 in flight, MiB", of("time", "ours, 500 at once", "poller_most_mib"),
             75),
        *(Goal(f"{n} leads of a killed poller: (told − 2 s) ÷ ordinary",
               of("killed", f"{n} leads", "ratio"), 1.2) for n in (10, 100)),
        Goal("poller at rest, MiB", of("rest", "ours", "poller_mib"), 50),
        Goal("web at rest, MiB", of("rest", "ours", "web_mib"), 55),
        Goal("statements a minute at rest", of("rest", "ours", "statements_per_minute"), 12),
        Goal("intake ÷ parse-only at 32", ratio(of("intake", "ours 32", "per_second"),
             of("intake", "parse 32", "per_second")), 0.7, at_most=False),
        Goal("intake ÷ one INSERT a request at 32", ratio(of("intake", "ours 32", "per_second"),
             of("intake", "insert 32", "per_second")), 3.5, at_most=False),
        Goal("intake p99 ÷ parse-only's at 256", ratio(of("intake", "ours 256", "p99_ms"),
             of("intake", "parse 256", "p99_ms")), 1.5),
    ]  # fmt: skip
    return [goal for goal in found if goal.value is not None]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="a twentieth, to see that it runs")
    asked = parser.parse_args()
    chosen = asked.parts or [name for name in PARTS if asked.quick or name not in LONG]
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    scale = Scale(0.05, rounds=1) if asked.quick else Scale()
    kept = asked.parts and not asked.quick and RESULTS.exists()
    results: Results = json.loads(RESULTS.read_text()) if kept else {}
    results["machine"] = machine()
    began = time.monotonic()
    settings = {"max_connections": "200", "shared_preload_libraries": "pg_stat_statements"}
    with (
        baseline() as base,
        start_throwaway(durable=True, settings=settings) as server,
        tempfile.TemporaryDirectory(prefix="bench-") as name,
    ):
        for part in chosen:
            print(f"{part}: {PARTS[part].__doc__}", flush=True)
            started, now = time.monotonic(), machine()
            try:
                found = PARTS[part](server.url, Path(name), base, scale)
            except Exception as error:
                # One part that cannot run takes none of the others along.
                print(f"    {part} could not run: {error}", flush=True)
                found = {"cannot run": f"{type(error).__name__}: {str(error)[:300]}"}
            run = {"seconds": round(time.monotonic() - started)}
            results[part] = found | {"run": run | {key: now[key] for key in ("load", "commit")}}
            results["seconds"] = round(time.monotonic() - began)
            results["goals"] = [goal.to_json() for goal in goals(results)]
            if not asked.quick:
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{table(goals(results))}\n\n{results['seconds']} s")
    failed = [part for part in chosen if "cannot run" in results[part]]
    sys.exit(f"could not run: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
