"""`demo` and `drill`: the whole service on this machine, with a Postgres of its own."""

from functools import partial
from typing import Annotated

import typer

from c2s_enrich.cli import ending

LastLine = Annotated[bool, typer.Option("--json", help="The last line is a JSON object.")]


def demo(
    once: Annotated[bool, typer.Option(help="Exit once every event has been processed.")] = False,
    as_json: LastLine = False,
) -> None:
    """Watch leads arrive, get enriched and answered, with simulated upstreams."""
    from c2s_enrich.sandbox.demo.run import run_demo

    raise typer.Exit(ending.guarded(lambda: run_demo(once=once, as_json=as_json)))


def drill(
    seed: Annotated[
        int, typer.Option(help="The same seed gives the same traffic and the same faults.")
    ] = 1,
    minutes: Annotated[
        float,
        typer.Option(min=0.1, help="How long faults strike; start, drain and audit come on top."),
    ] = 1,
    events: Annotated[
        int | None, typer.Option(min=1, help="Different events; default: four a second.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="FAULT", help="Only this fault; `list` names them all.")
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix",
            help="Instead: every point of an event's life with every point of its next attempt"
            " and every answer of C2S. --events then is the size of a sample.",
        ),
    ] = False,
    as_json: LastLine = False,
) -> None:
    """Break everything on purpose and count what was lost, told twice or left behind."""
    from c2s_enrich.sandbox.drill.plan import FAULTS
    from c2s_enrich.sandbox.drill.run import run_drill

    if only is not None and only not in FAULTS:
        ending.fail("--only is one of " + ", ".join(FAULTS))
    if matrix:
        from c2s_enrich.sandbox.drill.matrix import run_matrix

        raise typer.Exit(ending.guarded(lambda: run_matrix(size=events, as_json=as_json)))
    work = partial(run_drill, seed=seed, minutes=minutes, events=events, only=only, as_json=as_json)
    raise typer.Exit(ending.guarded(work))
