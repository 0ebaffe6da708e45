"""A poller is killed with its leads in flight: how long until all their sellers are told."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

from bench.machine import wait_until_settled
from bench.pipeline import PipelineStage, numbers

# What finding out and starting again may cost; the rest is compared with the ordinary time.
START_SECONDS = 2.0


def killed(server: str, folder: Path, *, leads: int) -> dict[str, float]:
    """`leads` in flight in one poller, real latencies; SIGKILL, and another one at once."""
    ordinary = _seconds_until_told(server, folder, leads, kill=False)
    after = _seconds_until_told(server, folder, leads, kill=True)
    return {
        "ordinary_s": round(ordinary, 2),
        "after_the_kill_s": round(after, 2),
        "ratio": round((after - START_SECONDS) / ordinary, 3),
    }


def _seconds_until_told(server: str, folder: Path, leads: int, *, kill: bool) -> float:
    """From when all are in flight, or from the kill, until the last one has ended."""
    with ExitStack() as stack:
        stage = PipelineStage(stack, server, folder, scale=1)
        poller = stage.poller(CONCURRENCY=str(leads))
        # One message that was read back: before it, what is unclear waits for a person.
        first, *others = numbers(leads + 1)
        stage.store([first])
        wait_until_settled(stage.connection)
        stage.store(others)
        in_flight = "select count(*) from webhook_events where status = 'processing'"
        until = time.monotonic() + 60
        while stage.connection.execute(in_flight).fetchone() != (leads,):
            if time.monotonic() > until:
                raise TimeoutError(f"{leads} leads were never in flight at once")
            time.sleep(0.02)
        began = time.monotonic()
        if kill:
            poller.kill()
            stage.poller(CONCURRENCY=str(leads))
        wait_until_settled(stage.connection)
        [(told,)] = stage.connection.execute(
            "select count(*) from webhook_events where outcome = 'enriched'"
        ).fetchall()
        if told != leads + 1:
            raise RuntimeError(f"{told} of {leads + 1} leads were enriched")
        return time.monotonic() - began
