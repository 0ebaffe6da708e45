"""`explain`: why a lead got nothing, or what it got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from c2s_enrich.cli.frame import (
    WRONG_CALL,
    AsJson,
    note,
    operator_zone,
    print_json,
    visible,
    when,
)
from c2s_enrich.cli.remote import Url, ask

if TYPE_CHECKING:
    from c2s_enrich.database import Pool
    from c2s_enrich.ops.causes import Language
    from c2s_enrich.ops.explain import Explanation
    from c2s_enrich.settings import Settings


def explain(
    what: Annotated[str, typer.Argument(help="lead, event, ref of a message, or C2S address")],
    history: Annotated[bool, typer.Option("--history", help="All that happened to it.")] = False,
    lang: Annotated[str, typer.Option(help="en or pt")] = "en",
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Why it stands where it stands, what comes next, and the command that mends it.

    Exit status: 0 all is well, 1 a person has to act, 3 not found, 75 it goes on by itself.

    c2s-enrich explain a27acb6706163126e6369bba649160ae
    """
    if lang not in ("en", "pt"):
        note("error: --lang is en or pt")
        raise typer.Exit(WRONG_CALL)

    async def look(pool: Pool, _: Settings) -> Explanation:
        from c2s_enrich.ops.explain import Explainer

        language = cast("Language", lang)
        return await Explainer(pool).explained(what, language, operator_zone(), history=history)

    from urllib.parse import quote

    said = ask(url, f"explain/{quote(what, safe='')}", {"lang": lang, "history": history}, look)
    if as_json:
        print_json(said)
    else:
        _print(said)
    raise typer.Exit(said["status"])


def _print(said: dict[str, Any]) -> None:
    from datetime import datetime

    event = f"  event {said['event_id']}" if said["event_id"] else ""
    typer.echo(f"Lead {visible(said['lead_id'] or '?')}{event}\n")
    typer.echo(f"  {said['summary']}")
    for sentence in said["because"]:
        typer.echo(f"  {sentence}")
    if said["next"]:
        typer.echo(f"  {said['next']}")
    for each in said["history"]:
        text = f"{each['what']}  {visible(each['detail'])}".rstrip()
        typer.echo(f"\n  {when(datetime.fromisoformat(each['at']))}  {text}", nl=False)
    if said["history"]:
        typer.echo()
    if said["actions"]:
        typer.echo()
    for action in said["actions"]:
        cost = [f"up to {action['paid_calls']} paid calls"] if action["paid_calls"] else []
        cost += [f"{action['sends']} message at most, never twice"] if action["sends"] else []
        price = f"  ({', '.join(cost)})" if cost else ""
        typer.echo(f"  {action['why']}:  {action['command']}{price}")
    note(f"Times are {operator_zone()}.")
