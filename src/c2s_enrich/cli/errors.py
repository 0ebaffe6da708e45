"""`errors`: what fails alike, in groups, and whether alerts count them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_FOUND, fail, note
from c2s_enrich.cli.lazy import ops
from c2s_enrich.cli.printing import print_table
from c2s_enrich.ops.filters import Filter

Fingerprint = Annotated[str, typer.Argument(help="fingerprint of a group of `errors`")]

app = frame.group("Errors in groups of one each: see them, mute their alerts.")


@app.callback(invoke_without_command=True, no_args_is_help=False)
@frame.takes_filter
def list_errors(
    context: typer.Context, chosen: Filter, as_json: frame.AsJson = False, url: frame.Url = None
) -> None:
    """Failed and waiting events in groups of one error each; the fingerprint is a filter, too.

    c2s-enrich errors --since 24h
    """
    if context.invoked_subcommand:
        return
    groups = frame.ask(
        url,
        "errors",
        lambda pool: ops.events.EventsDesk(pool).errors(chosen),
        list[ops.events.ErrorGroup],
        query=chosen.texts,
    )
    columns = {
        "error": "error_group", "events": "events", "leads": "leads", "newest": "newest_at",
        "first": "first_at", "kind": "error_kind", "step": "error_step",
        "muted since": "muted_since", "newest message": "newest_message",
    }  # fmt: skip
    empty = "No event has an error" + (f" and matches {chosen.options}." if chosen else ".")
    spare = ("first", "kind", "step", "muted since")
    print_table(groups, columns, as_json=as_json, empty=empty, spare=spare)


@app.command("mute")
def mute_error(error: Fingerprint) -> None:
    """No alert counts this error until it is fixed.

    It ends after a week, when no event from before has the error any more, or when one of its
    events is reprocessed.
    """
    _change("mute", error, "no event has this error")
    note(f"No alert counts {error} until it is fixed.")


@app.command("unmute")
def unmute_error(error: Fingerprint) -> None:
    """Alerts count this error again."""
    _change("unmute", error, "it was not muted")
    note(f"Alerts count {error} again.")


def _change(verb: Literal["mute", "unmute"], error: str, missing: str) -> None:
    desk = ops.events.EventsDesk
    change = frame.audited(verb, {"error": error}, lambda pool: desk(pool).mute(error, verb))
    if not frame.with_pool(change):
        fail(f"{error}: {missing}", NOT_FOUND)
