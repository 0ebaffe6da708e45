"""A random stream of deliveries for the drill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from c2s_enrich.sandbox.simulators.crm import Lead
from c2s_enrich.sandbox.simulators.payloads import (
    ENVELOPES,
    Delivery,
    as_c2s_knows,
    customer_of,
    masked,
    new_lead_id,
    payload,
    unknown_phone,
    written,
)
from c2s_enrich.sandbox.simulators.population import Person

# 2020-01-01: every time that the traffic invents is after it, and none after now.
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_STEP_SECONDS = 60


@dataclass(frozen=True)
class Said:
    """What one event of the stream says of its lead, as it stands in the body."""

    lead_id: str
    updated_at: datetime
    phone: object
    email: object


@dataclass
class _Invented:
    """A lead of the stream as it was last delivered, and whose e-mail a later update may bring."""

    lead: Lead
    other: Person


class Stream:
    """A seeded stream of deliveries: single ones and batches, duplicates, several events a lead,
    bursts without a pause.

    After it has been read, `events` holds every key that was delivered, and `said` what each of
    them says, in the order of their times.
    """

    def __init__(self, people: Sequence[Person], seed: int, *, per_second: float = 20.0) -> None:
        self._chance = Random(f"stream {seed}")  # noqa: S311 invented traffic
        self._people = [person for person in people if person.has_record]
        self._per_second = per_second
        self._seconds = self._chance.randrange(10**8)
        self._leads: list[_Invented] = []
        self._burst = 0
        self.events: set[tuple[str, str]] = set()
        self.said: list[Said] = []

    def deliveries(self, events: int) -> Iterator[Delivery]:
        """Deliveries until `events` different events are in them. Duplicates of earlier ones come
        in between.
        """
        sent: list[Delivery] = []
        while len(self.events) < events:
            if sent and self._chance.random() < 0.15:
                earlier = self._chance.choice(sent[-50:])
                yield Delivery(earlier.body, earlier.events, pause=self._pause())
                continue
            batch = min(
                self._chance.randrange(2, 8) if self._chance.random() < 0.15 else 1,
                events - len(self.events),
            )
            delivery = self._deliver(batch)
            sent.append(delivery)
            yield delivery

    def _deliver(self, size: int) -> Delivery:
        leads = [
            self._update() if self._leads and self._chance.random() < 0.3 else self._create()
            for _ in range(size)
        ]
        events = tuple((lead.id, lead.updated_at) for lead in leads)
        self.events.update(events)
        self.said += [_said_by(lead) for lead in leads]
        known = tuple(as_c2s_knows(lead, lead.updated_at) for lead in leads)
        if size == 1:
            action = (
                "on_create_lead" if leads[0].created_at == leads[0].updated_at else "on_update_lead"
            )
            body = payload(leads[0], action, self._chance.choice(ENVELOPES))
        else:
            body = [payload(lead, "on_update_lead") for lead in leads]
        copies = 2 if self._chance.random() < 0.05 else 1
        return Delivery(body, events, known, copies, self._pause())

    def _create(self) -> Lead:
        moment = self._moment()
        luck = self._chance.random()
        first, second = self._chance.sample(self._people, 2)
        if luck < 0.15:
            customer = customer_of("Ninguém", unknown_phone(self._chance), None)
        elif luck < 0.35:
            customer = customer_of(first.name, "55" + first.phone, None)
        elif luck < 0.5:
            customer = customer_of(first.name, "55" + first.phone, second.email)
        else:
            customer = customer_of(first.name, masked(first.phone), first.email)
        lead = Lead(new_lead_id(self._chance), customer, created_at=moment, updated_at=moment)
        self._leads.append(_Invented(lead, second))
        return lead

    def _update(self) -> Lead:
        """A later event of an earlier lead: mostly nothing new for us, sometimes another e-mail of
        somebody known.
        """
        known = self._chance.choice(self._leads)
        customer = dict(known.lead.customer or {})
        if self._chance.random() < 0.3:
            customer["email"] = known.other.email
        known.lead = Lead(
            known.lead.id, customer, created_at=known.lead.created_at, updated_at=self._moment()
        )
        return known.lead

    def _pause(self) -> float:
        if self._burst:
            self._burst -= 1
            return 0.0
        if self._chance.random() < 0.03:
            self._burst = 20
        return self._chance.expovariate(self._per_second)

    def _moment(self) -> str:
        # Never twice the same second, because an event's key is its lead and this time; and room
        # for what C2S itself changes in between.
        self._seconds += _STEP_SECONDS
        return written(_EPOCH + timedelta(seconds=self._seconds))


def _said_by(lead: Lead) -> Said:
    customer = lead.customer or {}
    moment = datetime.fromisoformat(lead.updated_at)
    return Said(lead.id, moment, customer.get("phone"), customer.get("email"))
