"""The processes of production with what prepares their database, an assistant's tools, and the
whole service on this machine: `demo` and `drill`.
"""

from functools import partial
from typing import Annotated

from typer import Exit, Option, echo

from c2s_enrich.cli import entry, frame
from c2s_enrich.cli.ending import fail, guarded, load_settings, note, run
from c2s_enrich.cli.lazy import migrations, telemetry

LastLine = Annotated[bool, Option("--json", help="The last line is a JSON object.")]


def web(
    insecure: Annotated[
        bool, Option("--insecure", help="Start without WEBHOOK_SECRET; needs HOST=127.0.0.1.")
    ] = False,
) -> None:
    """Receive webhooks until SIGTERM: store them and do nothing else."""
    entry.web(insecure=insecure)


def poller() -> None:
    """Work on events until SIGTERM. Several pollers may run at once."""
    entry.poller()


def migrate() -> None:
    """Bring the database to the newest schema. Safe to repeat, and from several machines at
    once.
    """
    address = load_settings("migrate").direct_url.reveal()

    async def reached_and_applied() -> list[str]:
        await frame.reach(address)
        return await migrations.migrate(address, say=note)

    applied = run(reached_and_applied())
    for name in applied:
        echo(f"applied {name}")
    if not applied:
        echo("nothing to do: the schema is up to date")


def mcp() -> None:
    """Serve status, explain, errors and plan to an assistant, read-only, over stdin and stdout.

    Needs the extra: pip install "c2s-enrich[mcp]"
    """
    settings = load_settings("migrate")
    telemetry.logs.configure_logging(settings, "command")
    try:
        from c2s_enrich.cli.assistant import build_server
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        fail('install the extra first: pip install "c2s-enrich[mcp]"')
    run(build_server(settings).run_stdio_async())


def demo(
    once: Annotated[bool, Option(help="Exit once every event has been processed.")] = False,
    as_json: LastLine = False,
) -> None:
    """Watch leads arrive, get enriched and answered, with simulated upstreams."""
    from c2s_enrich.sandbox.demo.run import run_demo

    raise Exit(guarded(lambda: run_demo(once=once, as_json=as_json)))


def drill(
    seed: Annotated[
        int, Option(help="The same seed gives the same traffic and the same faults.")
    ] = 1,
    minutes: Annotated[
        float, Option(min=0.1, help="How long faults strike; start, drain and audit come on top.")
    ] = 1,
    events: Annotated[
        int | None, Option(min=1, help="Different events; default: four a second.")
    ] = None,
    only: Annotated[
        str | None, Option(metavar="FAULT", help="Only this fault; `list` names them all.")
    ] = None,
    matrix: Annotated[
        bool,
        Option(
            "--matrix",
            help="Instead: every point of an event's life with every point of its next attempt"
            " and every answer of C2S. --events then is the size of a sample.",
        ),
    ] = False,
    as_json: LastLine = False,
) -> None:
    """Break everything on purpose and count what was lost, told twice or left behind."""
    from c2s_enrich.sandbox.drill.matrix import run_matrix
    from c2s_enrich.sandbox.drill.plan import FAULTS
    from c2s_enrich.sandbox.drill.run import run_drill

    if only is not None and only not in FAULTS:
        fail("--only is one of " + ", ".join(FAULTS))
    if matrix:
        raise Exit(guarded(lambda: run_matrix(size=events, as_json=as_json)))
    work = partial(run_drill, seed=seed, minutes=minutes, events=events, only=only, as_json=as_json)
    raise Exit(guarded(work))
