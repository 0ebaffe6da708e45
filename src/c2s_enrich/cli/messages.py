"""`messages`: those without proof of delivery, and a person's verdict on them."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from typer import Argument, Option

from c2s_enrich.cli import frame, status
from c2s_enrich.cli.ending import NOT_FOUND, fail, note
from c2s_enrich.cli.events import bulk
from c2s_enrich.cli.lazy import ops
from c2s_enrich.cli.printing import Column, print_table
from c2s_enrich.ops.filters import Filter

OneMessage = Annotated[UUID | None, Argument()]
AllUnclear = Annotated[
    bool, Option("--all-unclear", help="All whose event has failed as delivery_unclear.")
]

app = frame.group("Messages without proof of delivery, and how to settle them.")


@app.command("list")
def list_messages(as_json: frame.AsJson = False) -> None:
    """Every message that is pending or whose delivery is unclear."""
    columns: dict[str, Column] = {
        "message": "id", "lead": "lead_id", "ref": "ref", "status": "status", "sent": "sends",
        "not found": "looks",
        "event": lambda row: f"{row['event_status'] or ''} {row['event_error_kind'] or ''}".strip(),
    }  # fmt: skip
    rows = frame.with_pool(lambda pool: ops.events.EventsDesk(pool).open_messages())
    empty = "No message is open: every one that was written is proven to be delivered."
    print_table(rows, columns, as_json=as_json, empty=empty)


@app.command("sent")
def list_sent(
    limit: frame.Limit = 20, as_csv: frame.AsCsv = False, as_json: frame.AsJson = False
) -> None:
    """The log of sent messages, newest first."""
    empty = "No message was sent yet."
    status.show("messages_sent", empty, as_json=as_json, as_csv=as_csv, limit=limit)


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
            fail("give the id of one message, or --all-unclear")
        if message_id is None:
            order = ops.plans.Order(verb, Filter(kind="delivery_unclear"))
            return bulk(order, dry_run, yes, as_json=False)

        desk, delivered = ops.events.EventsDesk, verb == "delivered"
        settle = frame.audited(
            verb,
            {"message": str(message_id)},
            lambda pool: desk(pool).judge(message_id, delivered=delivered),
        )
        if not frame.with_pool(settle):
            fail(f"no open message {message_id}: already settled, or unknown", NOT_FOUND)
        return note(said)


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
    note(f"Recorded: {who} can see the messages.")
