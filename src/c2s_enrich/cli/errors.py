"""`errors`: what fails alike, in groups, and whether alerts count them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from c2s_enrich.cli import ending, frame
from c2s_enrich.cli.filtering import takes_filter
from c2s_enrich.cli.remote import Url, ask
from c2s_enrich.ops.filters import Filter

Fingerprint = Annotated[str, typer.Argument(help="fingerprint of a group of `errors`")]

app = frame.group("Errors in groups of one each: see them, mute their alerts.")


@app.callback(invoke_without_command=True, no_args_is_help=False)
@takes_filter
def list_errors(
    context: typer.Context, chosen: Filter, as_json: frame.AsJson = False, url: Url = None
) -> None:
    """Failed and waiting events in groups of one error each; the fingerprint is a filter, too.

    c2s-enrich errors --since 24h
    """
    from c2s_enrich.ops.events import ErrorGroup, EventsDesk

    if context.invoked_subcommand:
        return
    frame.print_table(
        ask(
            url,
            "errors",
            lambda pool: EventsDesk(pool).errors(chosen),
            list[ErrorGroup],
            query=chosen.texts,
        ),
        {
            "error": "error_group",
            "events": "events",
            "leads": "leads",
            "newest": "newest_at",
            "first": "first_at",
            "kind": "error_kind",
            "step": "error_step",
            "muted since": "muted_since",
            "newest message": "newest_message",
        },
        as_json=as_json,
        empty="No event has an error" + (f" and matches {chosen.options}." if chosen else "."),
        spare=("first", "kind", "step", "muted since"),
    )


@app.command("mute")
def mute_error(error: Fingerprint) -> None:
    """No alert counts this error until it is fixed.

    It ends after a week, when no event from before has the error any more, or when one of its
    events is reprocessed.
    """
    _change("mute", error, "no event has this error")
    ending.note(f"No alert counts {error} until it is fixed.")


@app.command("unmute")
def unmute_error(error: Fingerprint) -> None:
    """Alerts count this error again."""
    _change("unmute", error, "it was not muted")
    ending.note(f"Alerts count {error} again.")


def _change(verb: Literal["mute", "unmute"], error: str, missing: str) -> None:
    async def change(pool: frame.Pool) -> bool:
        from c2s_enrich.ops.events import EventsDesk

        desk = EventsDesk(pool)
        return await frame.audited(pool, lambda: desk.mute(error, verb), verb, {"error": error})

    if not frame.with_pool(change):
        ending.fail(f"{error}: {missing}", ending.NOT_FOUND)
