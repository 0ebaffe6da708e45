"""Webhook bodies as C2S writes them, in every envelope seen, and the parts they are made of.

It makes bodies; it posts nothing. Whoever posts has first to make C2S know each delivery's leads
(`World.add_lead`, or `PUT /_sim/leads/{id}`), as the real one knows a lead before its hook fires.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from random import Random
from typing import Literal

from c2s_enrich.sandbox.simulators.crm import BRASILIA, Lead

Envelope = Literal["bare", "data", "lead", "array", "data array", "flat"]
ENVELOPES: tuple[Envelope, ...] = ("bare", "data", "lead", "array", "data array", "flat")


@dataclass(frozen=True)
class NewLead:
    """A lead that C2S has to know before its hook fires: the arguments of `World.add_lead`."""

    lead_id: str
    name: str | None = None
    phone: object = None
    email: str | None = None
    closed: bool = False
    updated_at: str | None = None

    def to_json(self) -> dict[str, object]:
        """The body of `PUT /_sim/leads/{lead_id}`."""
        return {name: value for name, value in asdict(self).items() if name != "lead_id"}


@dataclass(frozen=True)
class Delivery:
    """One body to post, `copies` times. `events` are the (lead_id, updated_at) in it, without those
    that cannot be stored.
    """

    body: object
    events: tuple[tuple[str, str], ...]
    leads: tuple[NewLead, ...] = ()
    copies: int = 1
    pause: float = 0.0


def payload(lead: Lead, action: str | None, envelope: Envelope = "bare") -> object:
    """A webhook's body as JSON values. All envelopes say the same."""
    full = lead.to_json()
    hook = {"hook_action": action} if action is not None else {}
    bare = {"id": full["id"], "attributes": full["attributes"], **hook}
    match envelope:
        case "bare":
            return bare
        case "data":
            return {"data": full, **hook}
        case "lead":
            return {"lead": full, **hook}
        case "array":
            return [bare]
        case "data array":
            return {"data": [full], **hook}
        case "flat":
            attributes = full["attributes"]
            assert isinstance(attributes, dict)  # noqa: S101 Lead.to_json made it
            return {"data": {"id": full["id"], **attributes}, "timestamp": lead.updated_at, **hook}


def one_delivery(
    lead: Lead, action: str, *, known: bool, envelope: Envelope = "bare", copies: int = 1
) -> Delivery:
    leads = (as_c2s_knows(lead),) if known else ()
    return Delivery(payload(lead, action, envelope), ((lead.id, lead.updated_at),), leads, copies)


def as_c2s_knows(lead: Lead, updated_at: str | None = None) -> NewLead:
    customer = lead.customer or {}
    name, email = customer.get("name"), customer.get("email")
    return NewLead(
        lead.id,
        name if isinstance(name, str) else None,
        customer.get("phone"),
        email if isinstance(email, str) else None,
        lead.closed,
        updated_at,
    )


def customer_of(name: str | None, phone: object, email: str | None) -> dict[str, object] | None:
    if (name, phone, email) == (None, None, None):
        return None
    return {
        "id": "c1",
        "name": name,
        "email": email,
        "phone": phone,
        "phone2": None,
        "phone_global": None,
    }


def masked(phone: str) -> str:
    return f"({phone[:2]}) {phone[2:7]}-{phone[7:]}"


def unknown_phone(chance: Random) -> str:
    """A valid number that `populate` never gives: its people are not in Acre."""
    return f"689{chance.choice('6789')}{chance.randrange(1234567, 7654321)}"


def new_lead_id(chance: Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def written(moment: datetime) -> str:
    return moment.astimezone(BRASILIA).strftime("%Y-%m-%dT%H:%M:%S.000-03:00")
