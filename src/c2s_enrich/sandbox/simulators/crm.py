"""What C2S holds: leads and the messages on them, in its documented shapes."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

BRASILIA = timezone(timedelta(hours=-3))
_TIME = "%Y-%m-%dT%H:%M:%S.000-03:00"


def now() -> str:
    """The time as C2S writes it: seconds with .000 and Brasília's offset."""
    return datetime.now(UTC).astimezone(BRASILIA).strftime(_TIME)


@dataclass
class Message:
    """One message that C2S took. `visible_at` (epoch seconds) is when reading the lead shows it."""

    id: str
    body: str
    external_id: str | None
    created_at: str
    visible_at: float

    def to_json(self, *, with_external_id: bool = False) -> dict[str, object]:
        """The documented shape; whether C2S gives the external id back is unknown."""
        return {
            "id": self.id,
            "sender_id": "bot",
            "recipient_id": "customer",
            "sender_type": "SysUser",
            "recipient_type": "Customer",
            "body": self.body,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "read_at": None,
            **({"external_id": self.external_id} if with_external_id else {}),
        }


@dataclass
class Lead:
    """A lead as the CRM holds it. `customer` is None where the CRM has no customer data."""

    id: str
    customer: dict[str, object] | None
    closed: bool = False
    created_at: str = ""
    updated_at: str = ""
    messages: list[Message] = field(default_factory=list)
    own_time: bool = False
    """Its time was given with it: what changes it comes a second later, not now."""

    @property
    def next_change(self) -> str:
        """When a change that comes now takes place: at least a second after the last one, because
        C2S's times have one second's resolution, and a change must change them.
        """
        if not self.own_time and now() > self.updated_at:
            return now()
        later = datetime.fromisoformat(self.updated_at) + timedelta(seconds=1)
        return later.strftime(_TIME)

    @property
    def internal_id(self) -> int:
        """The number beside the opaque id, as C2S has one for each lead."""
        return zlib.crc32(self.id.encode())

    def to_json(self, *, with_external_id: bool = False) -> dict[str, object]:
        """The documented shape of GET /leads/{id}, without the `data` around it."""
        shown = [message for message in self.messages if message.visible_at <= time.time()]
        return {
            "type": "lead",
            "id": self.id,
            "internal_id": self.internal_id,
            "attributes": {
                "description": "Tenho interesse neste imóvel",
                "observation": None,
                "is_favorite": False,
                "customer": self.customer,
                "product": {
                    "id": "p1",
                    "description": "[101] Apartamento",
                    "prop_ref": None,
                    "price": "350.000,00",
                    "price_float": 350000.0,
                },
                "seller": None,
                "lead_source": {"id": 3, "name": "Site"},
                "channel": {"id": 1, "name": "Internet"},
                "lead_status": {"id": 3, "alias": "lost", "name": "Arquivado"}
                if self.closed
                else {"id": 0, "alias": "new", "name": "Novo"},
                "funnel_status": {"status": "New lead"},
                "done_details": {"done": False, "done_details": None, "done_price": None},
                "archive_details": {"archived": self.closed, "archive_notes": None},
                "tags": [],
                "log": [],
                "messages": [],
                "created_at": self.created_at,
                "updated_at": self.updated_at,
                "read_at": None,
                "replied_at": None,
            },
            "schedulated_actions": [],
            "messages": [message.to_json(with_external_id=with_external_id) for message in shown],
            "facebook_attributes": {},
        }
