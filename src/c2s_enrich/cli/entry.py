"""The console script, and the processes of production. They start without the library of commands:
it would cost each of them 16 MiB.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

from c2s_enrich.cli.ending import guarded, load_settings, run
from c2s_enrich.cli.lazy import settings, telemetry


def main() -> None:
    keep_standard_files_taken()
    match sys.argv[1:]:
        case [name] if name in PROCESSES:
            PROCESSES[name]()
        case ["poller", "--suspects", name]:
            poller(suspects=name)
        case _:
            from c2s_enrich.cli.main import main as command

            command()


def keep_standard_files_taken() -> None:
    """Else a socket may get a missing one's number, and libuv aborts when it closes it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


def web(*, insecure: bool = False) -> None:
    from c2s_enrich.wiring.web import build_web

    _serve("web", load_settings("web", {"INSECURE": "true"} if insecure else None), build_web)


def poller(*, suspects: str = "") -> None:
    """Works on events until SIGTERM; `suspects` is the name that a poller gave it for suspects."""
    import asyncio
    import gc
    import signal

    import uvloop

    from c2s_enrich.queue.suspects import COMMAND, end_with_parent
    from c2s_enrich.serving.server import raise_file_limit
    from c2s_enrich.telemetry.metrics import Metrics
    from c2s_enrich.wiring import build_poller

    given = load_settings("poller")

    async def work() -> None:
        # Nothing is held before it is built, and that waits for the database, for ever perhaps.
        stop: Callable[[], object] = cast("asyncio.Task[None]", asyncio.current_task()).cancel
        if suspects:
            watching = asyncio.create_task(end_with_parent(lambda: stop()))
        command = None if suspects else COMMAND
        async with build_poller(
            given, Metrics(), watched=not suspects, suspects=command, worker=suspects
        ) as built:
            stop = built.stop
            # The first signal lets it finish what it holds, the second makes it give all back.
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, built.stop)
            if suspects:
                await built.drain()
                watching.cancel()
            else:
                await built.run()

    with logged(given, "poller"), suppress(asyncio.CancelledError):
        # Else the collector walks over all modules again and again, also in the pages of memory
        # that are shared with forks.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 20)
        # Each event in flight has connections: without files an upstream would seem to be down.
        raise_file_limit()
        # uvloop takes a fifth off the CPU of a small claim and settlement.
        run(work(), uvloop.new_event_loop)


def ops() -> None:
    """Serve the console and the admin API on OPS_HOST and OPS_PORT. Needs ADMIN_TOKEN."""
    from dataclasses import replace

    from c2s_enrich.wiring.operators import build_ops

    given = load_settings("ops")
    _serve("ops", replace(given, host=given.ops_host, port=given.ops_port), build_ops)


def _serve(process: str, given: settings.Settings, build: Callable[..., Any]) -> None:
    from c2s_enrich.serving.server import run_server
    from c2s_enrich.telemetry.metrics import Metrics

    with logged(given, process):
        app = build(given, Metrics(), watched=True)
        guarded(lambda: run_server(app, given))


PROCESSES: Mapping[str, Callable[[], None]] = {"web": web, "poller": poller, "ops": ops}


@contextmanager
def logged(given: settings.Settings, process: str) -> Iterator[None]:
    """Logs of this process while inside, from a line that says what started to one at its end."""
    telemetry.logs.configure_logging(given, process)
    log = telemetry.lines.get_logger("c2s_enrich.process")
    log.info(
        "started",
        version=telemetry.release.release(given),
        database=settings.database_name(given),
        concurrency=given.concurrency if process == "poller" else None,
        pool_size=given.database_pool_size,
        pid=os.getpid(),
    )
    for sentence in settings.misspelt(os.environ):
        log.warning("setting_misspelt", problem=sentence)
    try:
        yield
    finally:
        log.info("stopped")
