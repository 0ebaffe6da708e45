"""The CRM that delivers: payloads in every envelope seen, the demo's scenarios, and a random stream
for the drill.

It makes bodies and says what must come of them; it posts nothing. Whoever posts has first to make
C2S know each delivery's leads (`World.add_lead`, or `PUT /_sim/leads/{id}`), as the real one knows
a lead before its hook fires.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.world import BRASILIA, Lead, World

Envelope = Literal["bare", "data", "lead", "array", "data array", "flat"]
ENVELOPES: tuple[Envelope, ...] = ("bare", "data", "lead", "array", "data array", "flat")
# 2020-01-01: every time that the traffic invents is after it, and none after now.
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class NewLead:
    """A lead that C2S has to know before its hook fires: the arguments of `World.add_lead`."""

    lead_id: str
    name: str | None = None
    phone: object = None
    email: str | None = None
    closed: bool = False

    def to_json(self) -> dict[str, object]:
        """The body of `PUT /_sim/leads/{lead_id}`."""
        return {"name": self.name, "phone": self.phone, "email": self.email, "closed": self.closed}


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


@dataclass(frozen=True)
class Expected:
    """How one event must end. `error` is its error_message where it fails."""

    lead_id: str
    updated_at: str
    status: Literal["completed", "failed"]
    outcome: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Scenario:
    """One story of the demo. A round is posted when everything of the round before has ended.

    `messages` holds, for each lead that gets its one message, a mark that must stand in it ("" for
    any text); a lead that is not named gets none. `faults` are set before the first round. Events
    that nobody posted (C2S's echo of our own message) end completed and unchanged.
    """

    title: str
    rounds: tuple[tuple[Delivery, ...], ...]
    expected: tuple[Expected, ...]
    messages: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, tuple[Fault, ...]] = field(default_factory=dict)


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


def scenarios(world: World) -> tuple[Scenario, ...]:
    """The demo's stories, about the first people of this world. Times are new in each call, so that
    a demo can be repeated.
    """
    script = _Script(world)
    return (
        script.same_person(),
        script.different_people(),
        script.phone_only(),
        script.fake_email(),
        script.nobody(),
        script.no_customer(),
        script.unknown_lead(),
        script.duplicate(),
        script.batch(),
        script.unchanged(),
        script.closed(),
        script.fails_and_heals(),
    )


class _Script:
    """Writes the scenarios, handing out people, lead ids and times."""

    def __init__(self, world: World) -> None:
        self._chance = Random()  # noqa: S311 lead ids must differ from the last demo's on the same database
        self._people = iter([person for person in world.people if person.has_record])
        self._time = datetime.now(UTC) - timedelta(hours=1)

    def same_person(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, _masked(who.phone), who.email)
        return self._told("a person found by phone and e-mail", delivery, done, "📞📧")

    def different_people(self) -> Scenario:
        first, second = next(self._people), next(self._people)
        delivery, done = self._one(first.name, "55" + first.phone, second.email, envelope="data")
        return self._told("phone and e-mail of two different people", delivery, done, "⚠️")

    def phone_only(self) -> Scenario:
        who = next(self._people)
        # A number where text was due, as one account sends it.
        delivery, done = self._one(who.name, int("55" + who.phone), None, envelope="lead")
        return self._told("a phone and no e-mail", delivery, done)

    def fake_email(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, "+55" + who.phone, "teste@teste.com", envelope="flat")
        return self._told("a real phone and a fake e-mail", delivery, done)

    def nobody(self) -> Scenario:
        delivery, done = self._one(
            "Ninguém Conhecido",
            _unknown_phone(self._chance),
            "ninguem@exemplo-simulado.com.br",
            outcome="not_found",
        )
        return Scenario("a contact nobody knows", ((delivery,),), (done,))

    def no_customer(self) -> Scenario:
        lead = self._lead(None, None, None)
        failed = Expected(lead.id, lead.updated_at, "failed", error="Missing customer data")
        return Scenario(
            "a lead without customer data",
            ((_delivery(lead, "on_create_lead", known=True),),),
            (failed,),
        )

    def unknown_lead(self) -> Scenario:
        lead = self._lead(None, None, None)
        failed = Expected(lead.id, lead.updated_at, "failed", error="Lead not found")
        return Scenario(
            "a lead that C2S does not know",
            ((_delivery(lead, "on_create_lead", known=False),),),
            (failed,),
        )

    def duplicate(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, who.phone, who.email, copies=3)
        return self._told("the same delivery three times", delivery, done, "📞📧")

    def batch(self) -> Scenario:
        three = [
            self._one(who.name, who.phone, who.email)
            for who in (next(self._people), next(self._people), next(self._people))
        ]
        bodies = [delivery.body for delivery, _ in three]
        events = tuple(event for delivery, _ in three for event in delivery.events)
        leads = tuple(lead for delivery, _ in three for lead in delivery.leads)
        expected = tuple(done for _, done in three)
        return Scenario(
            "a batch of three",
            ((Delivery(bodies, events, leads),),),
            expected,
            {done.lead_id: "📞📧" for done in expected},
        )

    def unchanged(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, who.phone, who.email)
        # The same number and address, written otherwise: nothing has changed for us.
        later = Lead(
            done.lead_id,
            _customer(who.name, "+55 " + _masked(who.phone), who.email.upper()),
            updated_at=self._moment(),
        )
        update = _delivery(later, "on_update_lead", known=False)
        again = Expected(later.id, later.updated_at, "completed", "unchanged")
        return Scenario(
            "an update that changes nothing",
            ((delivery,), (update,)),
            (done, again),
            {done.lead_id: "📞📧"},
        )

    def closed(self) -> Scenario:
        who = next(self._people)
        lead = self._lead(who.name, who.phone, who.email)
        lead.closed = True
        ignored = Expected(lead.id, lead.updated_at, "completed", "ignored")
        return Scenario(
            "a closed lead", ((_delivery(lead, "on_close_lead", known=True),),), (ignored,)
        )

    def fails_and_heals(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, who.phone, who.email)
        # Enough for a call and its tries, and then for the first probe.
        fault = Fault("error500", call="phone", only=who.phone, count=4)
        return Scenario(
            "Diretrix fails and heals",
            ((delivery,),),
            (done,),
            {done.lead_id: "📞📧"},
            {"diretrix": (fault,)},
        )

    def _told(self, title: str, delivery: Delivery, done: Expected, mark: str = "") -> Scenario:
        return Scenario(title, ((delivery,),), (done,), {done.lead_id: mark})

    def _one(
        self,
        name: str,
        phone: object,
        email: str | None,
        *,
        outcome: str = "enriched",
        envelope: Envelope = "bare",
        copies: int = 1,
    ) -> tuple[Delivery, Expected]:
        lead = self._lead(name, phone, email)
        delivery = _delivery(lead, "on_create_lead", known=True, envelope=envelope, copies=copies)
        return delivery, Expected(lead.id, lead.updated_at, "completed", outcome)

    def _lead(self, name: str | None, phone: object, email: str | None) -> Lead:
        moment = self._moment()
        return Lead(
            _lead_id(self._chance),
            _customer(name, phone, email),
            created_at=moment,
            updated_at=moment,
        )

    def _moment(self) -> str:
        self._time += timedelta(seconds=1)
        return _written(self._time)


@dataclass
class _Invented:
    """A lead of the stream as it was last delivered, and whose e-mail a later update may bring."""

    lead: Lead
    other: Person


class Stream:
    """A seeded stream of deliveries: single ones and batches, duplicates, several events a lead,
    bursts without a pause.

    After it has been read, `events` holds every key that was delivered and `must_tell` the leads
    that must have got at least one message (their contacts are known and the people have a record);
    all others must have got none.
    """

    def __init__(self, world: World, seed: int, *, per_second: float = 20.0) -> None:
        self._chance = Random(f"stream {seed}")  # noqa: S311 invented traffic
        self._people = [person for person in world.people if person.has_record]
        self._per_second = per_second
        self._seconds = self._chance.randrange(10**8)
        self._leads: list[_Invented] = []
        self._burst = 0
        self.events: set[tuple[str, str]] = set()
        self.must_tell: set[str] = set()

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
        known = tuple(_as_c2s_knows(lead) for lead in leads)
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
            customer = _customer("Ninguém", _unknown_phone(self._chance), None)
        elif luck < 0.35:
            customer = _customer(first.name, "55" + first.phone, None)
        elif luck < 0.5:
            customer = _customer(first.name, "55" + first.phone, second.email)
        else:
            customer = _customer(first.name, _masked(first.phone), first.email)
        lead = Lead(_lead_id(self._chance), customer, created_at=moment, updated_at=moment)
        if luck >= 0.15:
            self.must_tell.add(lead.id)
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
            self.must_tell.add(known.lead.id)
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
        # Never twice the same second: an event's key is its lead and this time.
        self._seconds += 1
        return _written(_EPOCH + timedelta(seconds=self._seconds))


def _delivery(
    lead: Lead, action: str, *, known: bool, envelope: Envelope = "bare", copies: int = 1
) -> Delivery:
    leads = (_as_c2s_knows(lead),) if known else ()
    return Delivery(payload(lead, action, envelope), ((lead.id, lead.updated_at),), leads, copies)


def _as_c2s_knows(lead: Lead) -> NewLead:
    customer = lead.customer or {}
    name, email = customer.get("name"), customer.get("email")
    return NewLead(
        lead.id,
        name if isinstance(name, str) else None,
        customer.get("phone"),
        email if isinstance(email, str) else None,
        lead.closed,
    )


def _customer(name: str | None, phone: object, email: str | None) -> dict[str, object] | None:
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


def _masked(phone: str) -> str:
    return f"({phone[:2]}) {phone[2:7]}-{phone[7:]}"


def _unknown_phone(chance: Random) -> str:
    """A valid number that `populate` never gives: its people are not in Acre."""
    return f"689{chance.choice('6789')}{chance.randrange(1234567, 7654321)}"


def _lead_id(chance: Random) -> str:
    return f"{chance.getrandbits(128):032x}"


def _written(moment: datetime) -> str:
    return moment.astimezone(BRASILIA).strftime("%Y-%m-%dT%H:%M:%S.000-03:00")
