"""`messages`: those without proof of delivery, and a person's verdict on them."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal
from uuid import UUID

import typer

from c2s_enrich.cli import ending, frame
from c2s_enrich.cli.runbook import show

app = frame.group("Messages without proof of delivery, and how to settle them.")


@app.command("list")
def list_messages(as_json: frame.AsJson = False) -> None:
    """Every message that is pending or whose delivery is unclear."""
    from c2s_enrich.ops.events import EventsDesk

    frame.print_table(
        frame.with_pool(lambda pool: EventsDesk(pool).open_messages()),
        {
            "message": "id",
            "lead": "lead_id",
            "ref": "ref",
            "status": "status",
            "sent": "sends",
            "not found": "looks",
            "event": lambda line: (
                f"{line['event_status'] or ''} {line['event_error_kind'] or ''}".strip()
            ),
        },
        as_json=as_json,
        empty="No message is open: every one that was written is proven to be delivered.",
    )


@app.command("sent")
def list_sent(
    limit: frame.Limit = 20, as_csv: frame.AsCsv = False, as_json: frame.AsJson = False
) -> None:
    """The log of sent messages, newest first."""
    show("messages_sent", "No message was sent yet.", as_json=as_json, as_csv=as_csv, limit=limit)


AllUnclear = Annotated[
    bool, typer.Option("--all-unclear", help="All whose event has failed as delivery_unclear.")
]
OneMessage = Annotated[UUID | None, typer.Argument()]


def _verdict(verb: Literal["delivered", "not_delivered"], meaning: str, said: str) -> None:
    """Adds the command for one verdict of a person."""

    @app.command(verb.replace("_", "-"), help=meaning)
    def judge(
        message_id: OneMessage = None,
        all_unclear: AllUnclear = False,
        dry_run: frame.DryRun = False,
        yes: frame.Yes = False,
    ) -> None:
        if (message_id is None) is not all_unclear:
            ending.fail("give the id of one message, or --all-unclear")
        if message_id is None:
            from c2s_enrich.cli.events import bulk
            from c2s_enrich.ops.filters import Filter
            from c2s_enrich.ops.plans import Order

            return bulk(Order(verb, Filter(kind="delivery_unclear")), dry_run, yes, as_json=False)

        async def settle(pool: frame.Pool) -> bool:
            from c2s_enrich.ops.events import EventsDesk

            words, desk = {"message": str(message_id)}, EventsDesk(pool)
            judged = partial(desk.judge, message_id, delivered=verb == "delivered")
            return await frame.audited(pool, judged, verb, words)

        if not frame.with_pool(settle):
            sentence = f"no open message {message_id}: already settled, or unknown"
            ending.fail(sentence, ending.NOT_FOUND)
        return ending.note(said)


_verdict("delivered", "A person has seen the message on the lead.", "Recorded as delivered.")
_verdict(
    "not_delivered",
    """A person has looked and the message is not there: it is sent (again).

    After a promotion of a new database, --all-unclear judges all that were held.
    """,
    "The message will be sent again.",
)


@app.command("visible-to")
def visible_to(who: Literal["sellers", "customers"]) -> None:
    """Record what a person found out: who can see a message on a lead? It contains a CPF.

    \b
    c2s-enrich messages visible-to sellers
    """
    frame.with_pool(lambda pool: frame.planner(pool).record("visible_to", {"who": who}))
    ending.note(f"Recorded: {who} can see the messages.")
