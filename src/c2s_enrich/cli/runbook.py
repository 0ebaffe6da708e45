"""`status`, `pollers` and `runbook`: the service now, and the questions of `sql/runbook/`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from c2s_enrich.cli import ending, frame

_WATCH_SECONDS = 2.0


def runbook(
    name: Annotated[str | None, typer.Argument(help="none: list the questions")] = None,
    as_csv: frame.AsCsv = False,
    as_json: frame.AsJson = False,
) -> None:
    """Answer one of the questions of sql/runbook, read-only.

    c2s-enrich runbook leads_by_seller --csv
    """
    from c2s_enrich.ops.filters import nearest
    from c2s_enrich.ops.runbook import questions

    known = questions()
    if name is None:
        rows = [{"name": each, "question": text} for each, text in known.items()]
        return _print(rows, as_json, as_csv, "")
    if name not in known:
        ending.fail(f"there is no question `{name}`{nearest(name, known)}")
    return show(name, f"No rows: {known[name]}", as_json=as_json, as_csv=as_csv)


def pollers(as_json: frame.AsJson = False) -> None:
    """Pollers by their last sign of life."""
    show("pollers", "No poller runs: start one with `c2s-enrich poller`.", as_json=as_json)


def show(
    name: str, empty: str, *, as_json: bool, as_csv: bool = False, limit: int | None = None
) -> None:
    """The rows of one question, at most `limit`."""
    from c2s_enrich.ops.runbook import answer

    _print(frame.with_pool(lambda pool: answer(pool, name))[:limit], as_json, as_csv, empty)


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
    as_json: frame.AsJson = False,
) -> None:
    """What a person should know, and what waits. Exit status 1: something is wrong."""
    import time

    while True:
        said = frame.with_pool(look)
        if watch and sys.stdout.isatty():
            typer.echo("\033[H\033[2J", nl=False)
        if as_json:
            frame.print_json(said)
        else:
            for problem in said["problems"]:
                typer.echo(f"! {problem.sentence}  {problem.command}".rstrip())
            if not said["problems"]:
                typer.echo("All is well.")
            _print(said["queue"], False, False, "Nothing waits and nothing failed.")
        if not watch:
            raise typer.Exit(ending.NOT_DONE if said["problems"] else 0)
        ending.guarded(lambda: time.sleep(_WATCH_SECONDS))


async def look(pool: frame.Pool) -> dict[str, Any]:
    from c2s_enrich.ops.problems import problems_of
    from c2s_enrich.ops.runbook import answer
    from c2s_enrich.ops.store import OpsStore

    facts = await OpsStore(pool).facts()
    return {"problems": problems_of(facts), "queue": await answer(pool, "queue")}


def _print(rows: list[dict[str, Any]], as_json: bool, in_csv: bool, empty: str) -> None:
    from c2s_enrich.ops.cells import as_csv

    if in_csv:
        return typer.echo(as_csv(rows), nl=False)
    columns = {name: name for name in (rows or [{}])[0]}
    return frame.print_table(rows, columns, as_json=as_json, empty=empty)
