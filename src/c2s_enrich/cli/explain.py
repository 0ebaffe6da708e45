"""`explain`: why a lead got nothing, or what it got."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from c2s_enrich.cli import frame
from c2s_enrich.cli.remote import Url, ask

if TYPE_CHECKING:
    from c2s_enrich.ops.explain import Explanation


def explain(
    what: frame.What,
    history: Annotated[bool, typer.Option("--history", help="All that happened to it.")] = False,
    lang: Annotated[Literal["en", "pt"], typer.Option(help="language of the sentences")] = "en",
    as_json: frame.AsJson = False,
    url: Url = None,
) -> None:
    """Why it stands where it stands, what comes next, and the command that mends it.

    Exit status: 0 all is well, 1 a person has to act, 3 not found, 75 it goes on by itself.

    c2s-enrich explain a27acb6706163126e6369bba649160ae
    """
    from urllib.parse import quote

    from c2s_enrich.ops.explain import Explainer, Explanation

    said = ask(
        url,
        f"explain/{quote(what, safe='')}",
        {"lang": lang, "history": str(history).lower()},
        Explanation,
        lambda pool, _: Explainer(pool).explained(
            what, lang, frame.operator_zone(), history=history
        ),
    )
    if as_json:
        frame.print_json(said)
    else:
        _print(said)
    raise typer.Exit(said.status)


def _print(said: Explanation) -> None:
    event = f"  event {said.event_id}" if said.event_id else ""
    typer.echo(f"Lead {frame.visible(said.lead_id or '?')}{event}\n")
    for sentence in (said.summary, *said.because, *filter(None, [said.next])):
        typer.echo(f"  {sentence}")
    if said.history:
        typer.echo()
    for each in said.history:
        typer.echo(f"  {frame.when(each.at)}  {each.what}  {frame.visible(each.detail)}".rstrip())
    if said.actions:
        typer.echo()
    for action in said.actions:
        cost = [f"up to {action.paid_calls} paid calls"] if action.paid_calls else []
        cost += [f"{action.sends} message at most, never twice"] if action.sends else []
        price = f"  ({', '.join(cost)})" if cost else ""
        typer.echo(f"  {action.why}:  {action.command}{price}")
    frame.note(f"Times are {frame.operator_zone()}.")
