"""Brings bench/results.json into README.md and docs/: python -m bench.publish"""

from __future__ import annotations

import json
from typing import Any

from bench import peers
from bench.machine import ROOT
from bench.report import RESULTS, Goal, between, chart, markdown

CHARTS = ROOT / "docs/charts"
# What says most, for the README; docs/performance.md has all.
CHOSEN = (
    "poller CPU per lead ÷ baseline",
    "leads a second ÷ baseline",
    "statements per lead",
    "lead time ÷ longest path, median",
    "lead time ÷ longest path, p95",
    "drain ÷ fastest peer",
    "pick-up p50 ÷ best peer",
    "others behind 10,000 events of one lead ÷ without",
    "intake ÷ one INSERT a request at 32",
)


def main() -> None:
    results: dict[str, Any] = json.loads(RESULTS.read_text())
    goals = [
        Goal(**{key: value for key, value in each.items() if key != "verdict"})
        for each in results["goals"]
    ]
    machine = results["machine"]
    where = (
        f"{machine['cores']} cores ({machine['processor']}), Python {machine['python']}, commit"
        f" {machine['commit']}, load {machine['load']:.1f} at the end."
    )
    draw(results.get("drain", {}))
    chosen = [goal for goal in goals if goal.name in CHOSEN]
    picture = "![Bare events drained in a second](docs/charts/drain.svg)"
    for file, shown in (
        ("README.md", f"{markdown(chosen)}\n\n{picture}"),
        ("docs/performance.md", ""),
    ):
        path = ROOT / file
        block = f"{where}\n\n{shown or markdown(goals)}"
        path.write_text(between(path.read_text(), "bench", block))


def draw(drained: dict[str, Any]) -> None:
    """The two pictures, of all systems that ran."""
    CHARTS.mkdir(exist_ok=True)
    systems = ("ours", "baseline", *peers.SYSTEMS)
    for file, title, unit, key, of in (
        ("drain.svg", "Drain", "events a second", "per_second", ""),
        ("pickup.svg", "Pick-up, median", "ms", "p50_ms", ", pick-up"),
    ):
        found = {
            name: drained.get(name if name in peers.SYSTEMS else name + of, {}).get(key)
            for name in systems
        }
        values = {name: float(value) for name, value in found.items() if value is not None}
        if values:
            chart(CHARTS / file, title, unit, values, "ours")


if __name__ == "__main__":
    main()
