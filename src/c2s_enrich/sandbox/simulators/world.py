"""What is true in the simulated world: people, the CRM's leads with their messages, and every call
that came in.

With a journal, what C2S knows survives `kill -9` of the simulator: each line is on the disk before
the call is answered.
"""

from __future__ import annotations

import json
import os
import time
import uuid
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Self

from c2s_enrich.sandbox.simulators.faults import Dial
from c2s_enrich.sandbox.simulators.population import Person, populate

BRASILIA = timezone(timedelta(hours=-3))
# Calls kept with all details; the counts go on beyond it.
CALLS_KEPT = 20_000


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


@dataclass
class Call:
    """One request to a simulated upstream. Times are monotonic seconds of the simulator; `subject`
    is the contact, CPF or lead id.
    """

    upstream: str
    kind: str
    subject: str
    started: float
    ended: float | None = None
    fault: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class Manners:
    """How the simulated services behave where the real ones are unknown or differ by account.

    `lag`: seconds until a message that C2S took can be read back. `c2s_per_minute`: C2S answers 429
    above it, 0 for never. `accepts_message_key`: C2S records a message sent as `{"message": …}`, as
    the gateway does; when not, it answers 201 and records nothing. `auth_headers`: which of C2S's
    two header forms it looks at.
    """

    lag: float = 0.0
    c2s_per_minute: int = 0
    accepts_message_key: bool = True
    shows_external_id: bool = False
    auth_headers: tuple[str, ...] = ("authorization", "authentication")
    c2s_token: str = "a-c2s-token"  # noqa: S105 the simulators' own
    diretrix_user: str = "a-user"
    diretrix_pass: str = "a-password"  # noqa: S105
    work_api_token: str = "a-work-token"  # noqa: S105


class World:
    """People by contact, leads by id, the calls, the dial. One process, one world."""

    def __init__(
        self,
        seed: int = 1,
        *,
        size: int = 500,
        journal: Path | None = None,
        manners: Manners | None = None,
    ) -> None:
        self.seed = seed
        self.people: list[Person] = []
        self.leads: dict[str, Lead] = {}
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.dial = Dial(seed)
        self.manners = manners or Manners()
        self.by_phone: dict[str, list[Person]] = {}
        self.by_email: dict[str, list[Person]] = {}
        self.by_cpf: dict[str, Person] = {}
        for person in populate(seed, size):
            self._know(person)
        self._journal = _Journal(journal) if journal is not None else None
        if self._journal is not None:
            for entry in self._journal.replay():
                self._apply(entry)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._journal is not None:
            self._journal.close()

    def add_person(self, person: Person) -> Person:
        """One more person whom all sources know."""
        self._record({"add": "person", "person": _fields(person)})
        return self.by_cpf[person.cpf]

    def add_lead(
        self,
        lead_id: str,
        *,
        name: object = None,
        phone: object = None,
        email: object = None,
        closed: bool = False,
    ) -> Lead:
        """A lead that C2S knows, or new contents of one. Without name, phone and e-mail it has no
        customer data.
        """
        customer = None
        if (name, phone, email) != (None, None, None):
            customer = {
                "id": "c" + lead_id[:8],
                "name": name,
                "email": email,
                "phone": phone,
                "phone2": None,
                "phone_global": None,
            }
        self._record(
            {"add": "lead", "id": lead_id, "customer": customer, "closed": closed, "at": _now()}
        )
        return self.leads[lead_id]

    def add_message(self, lead: Lead, body: str, external_id: str | None) -> Message:
        """A message that C2S takes: from here on it counts, whatever becomes of the answer."""
        visible_at = time.time() + self.manners.lag
        self._record(
            {
                "add": "message",
                "lead": lead.id,
                "id": uuid.uuid4().hex,
                "body": body,
                "external_id": external_id,
                "at": _later(lead.updated_at),
                "visible_at": visible_at,
            }
        )
        return lead.messages[-1]

    @contextmanager
    def call(self, upstream: str, kind: str, subject: str) -> Iterator[Call]:
        """Notes one call from its start to its end."""
        call = Call(upstream, kind, subject, time.monotonic())
        self.calls.append(call)
        self.counts[(upstream, kind)] += 1
        try:
            yield call
        finally:
            call.ended = time.monotonic()

    def asked(
        self, upstream: str, kind: str | None = None, subject: str | None = None
    ) -> list[Call]:
        """The calls that came to an upstream, oldest first."""
        return [
            call
            for call in self.calls
            if call.upstream == upstream
            and kind in (None, call.kind)
            and subject in (None, call.subject)
        ]

    def most_at_once(self, upstream: str) -> int:
        """The largest number of calls to an upstream that were under way at the same moment."""
        moments = [
            (moment, step)
            for call in self.asked(upstream)
            for moment, step in (
                (call.started, 1),
                (call.ended if call.ended is not None else float("inf"), -1),
            )
        ]
        running = most = 0
        for _, step in sorted(moments):
            running += step
            most = max(most, running)
        return most

    def _record(self, entry: Mapping[str, object]) -> None:
        if self._journal is not None:
            self._journal.append(entry)
        self._apply(entry)

    def _apply(self, entry: Mapping[str, object]) -> None:
        match entry:
            case {"add": "person", "person": dict() as fields}:
                self._know(Person(**fields))
            case {
                "add": "lead",
                "id": str() as lead_id,
                "customer": customer,
                "closed": bool() as closed,
                "at": str() as at,
            }:
                lead = self.leads.setdefault(lead_id, Lead(lead_id, None, created_at=at))
                lead.customer = customer if isinstance(customer, dict) else None
                lead.closed = closed
                lead.updated_at = at
            case {
                "add": "message",
                "lead": str() as lead_id,
                "id": str() as identity,
                "body": str() as body,
                "at": str() as at,
                **rest,
            }:
                lead = self.leads[lead_id]
                external_id = rest["external_id"]
                visible_at = rest["visible_at"]
                lead.messages.append(
                    Message(
                        identity,
                        body,
                        external_id if isinstance(external_id, str) else None,
                        at,
                        float(visible_at) if isinstance(visible_at, int | float) else 0.0,
                    )
                )
                lead.updated_at = at
            case _:
                raise ValueError("the journal holds a line that is not ours")

    def _know(self, person: Person) -> None:
        self.people.append(person)
        self.by_cpf[person.cpf] = person
        self.by_phone.setdefault(person.phone, []).append(person)
        self.by_email.setdefault(person.email, []).append(person)


class _Journal:
    """Append-only JSON lines. A line counts once its line break is there: a torn last one was never
    answered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab")

    def replay(self) -> Iterator[Mapping[str, object]]:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            self._file.truncate(len(whole))
        for line in whole.splitlines():
            yield json.loads(line)

    def append(self, entry: Mapping[str, object]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _now() -> str:
    """The time as C2S writes it: seconds with .000 and Brasília's offset."""
    return datetime.now(UTC).astimezone(BRASILIA).strftime("%Y-%m-%dT%H:%M:%S.000-03:00")


def _later(than: str) -> str:
    """Now, but at least a second after `than`: C2S's times have one second's resolution, and a
    change must change them.
    """
    now = _now()
    if now > than:
        return now
    return (datetime.fromisoformat(than) + timedelta(seconds=1)).strftime(
        "%Y-%m-%dT%H:%M:%S.000-03:00"
    )


def _fields(person: Person) -> dict[str, object]:
    return {
        name: getattr(person, name)
        for name in ("serial", "cpf", "name", "sex", "phone", "email", "has_record")
    }
