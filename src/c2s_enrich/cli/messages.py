"""`messages`: those without proof of delivery, and a person's verdict on them."""

from __future__ import annotations

from uuid import UUID

from c2s_enrich.cli.events import at_the_desk
from c2s_enrich.cli.frame import AsJson, fail, group, note, print_table

app = group("Messages without proof of delivery, and how to settle them.")


@app.command("list")
def list_messages(as_json: AsJson = False) -> None:
    """Every message that is pending or whose delivery is unclear."""
    print_table(
        at_the_desk(lambda desk: desk.open_messages()),
        {
            "message": lambda line: line.id,
            "lead": lambda line: line.lead_id,
            "ref": lambda line: line.ref,
            "status": lambda line: line.status,
            "sent": lambda line: line.sends,
            "not found": lambda line: line.looks,
            "event": lambda line: (
                f"{line.event_status or ''} {line.event_error_kind or ''}".strip()
            ),
        },
        as_json=as_json,
        empty="No message is open: every one that was written is proven to be delivered.",
    )


@app.command("delivered")
def message_was_delivered(message_id: UUID) -> None:
    """A person has seen the message on the lead."""
    _judge(message_id, delivered=True)


@app.command("not-delivered")
def message_was_not_delivered(message_id: UUID) -> None:
    """A person has looked and the message is not there: it is sent (again)."""
    _judge(message_id, delivered=False)


def _judge(message_id: UUID, *, delivered: bool) -> None:
    if not at_the_desk(lambda desk: desk.judge(message_id, delivered=delivered)):
        fail(f"no open message {message_id} (already settled, or unknown)")
    note("Recorded as delivered." if delivered else "The message will be sent again.")
