"""What is true in the simulated world: people, the CRM's leads with their messages, and every call
that came in.

With a journal, what C2S knows survives `kill -9` of the simulator: each line is on the disk before
the call is answered.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from c2s_enrich.sandbox.simulators.crm import Lead, Message, now
from c2s_enrich.sandbox.simulators.faults import Dial
from c2s_enrich.sandbox.simulators.journal import CrmJournal
from c2s_enrich.sandbox.simulators.population import Person, populate

# Calls kept with all details; the counts go on beyond it.
CALLS_KEPT = 100_000


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
        self._journal = CrmJournal(journal) if journal is not None else None
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

    def add_lead(
        self,
        lead_id: str,
        *,
        name: object = None,
        phone: object = None,
        email: object = None,
        closed: bool = False,
        updated_at: str | None = None,
    ) -> Lead:
        """A lead that C2S knows, or new contents of one. Without name, phone and e-mail it has no
        customer data; without `updated_at` it changes now.
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
            {
                "add": "lead",
                "id": lead_id,
                "customer": customer,
                "closed": closed,
                "at": updated_at or now(),
                "own_time": updated_at is not None,
            }
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
                "at": lead.next_change,
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
            case {
                "add": "lead",
                "id": str() as lead_id,
                "customer": customer,
                "closed": bool() as closed,
                "at": str() as at,
                "own_time": bool() as own_time,
            }:
                lead = self.leads.setdefault(lead_id, Lead(lead_id, None, created_at=at))
                lead.customer = customer if isinstance(customer, dict) else None
                lead.closed = closed
                lead.updated_at, lead.own_time = at, own_time
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
