"""`python -m c2s_enrich.sandbox.simulators`: the simulated services as a process of their own."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.c2s import Hook
from c2s_enrich.sandbox.simulators.world import Manners, World


def serve(
    port: int,
    *,
    seed: int = 1,
    size: int = 500,
    journal: Path | None = None,
    hook_url: str | None = None,
    hook_token: str = "",
    manners: Manners | None = None,
) -> None:
    """Serves on the loopback address until SIGINT or SIGTERM."""
    with World(seed, size=size, journal=journal, manners=manners) as world:
        app = build_simulators(world, Hook(hook_url, hook_token))
        # A cut connection and a hang are what it is for: no waiting for them at the end, and no
        # word about them.
        uvicorn.run(
            app,
            host="127.0.0.1",
            port=port,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=1,
        )


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m c2s_enrich.sandbox.simulators",
        description="C2S, Diretrix, Work API and gateway, simulated.",
    )
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same people")
    parser.add_argument("--size", type=int, default=500, help="how many people")
    parser.add_argument(
        "--journal", type=Path, help="file that keeps C2S's leads and messages over a restart"
    )
    parser.add_argument("--hook-url", help="where C2S delivers webhooks")
    parser.add_argument("--hook-token", default="", help="sent as X-Webhook-Token")
    parser.add_argument(
        "--lag", type=float, default=0.0, help="seconds until a taken message can be read back"
    )
    parser.add_argument("--per-minute", type=int, default=0, help="C2S's rate limit, 0 for none")
    given = parser.parse_args()
    serve(
        given.port,
        seed=given.seed,
        size=given.size,
        journal=given.journal,
        hook_url=given.hook_url,
        hook_token=given.hook_token,
        manners=Manners(lag=given.lag, c2s_per_minute=given.per_minute),
    )


if __name__ == "__main__":
    main()
