"""The demo's stories: what is delivered, and how each event must end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal

from c2s_enrich.sandbox.simulators.crm import Lead
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.payloads import (
    Delivery,
    Envelope,
    customer_of,
    masked,
    new_lead_id,
    one_delivery,
    unknown_phone,
    written,
)
from c2s_enrich.sandbox.simulators.world import World


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
        # Lead ids must differ from the last demo's on the same database.
        self._chance = Random()  # noqa: S311
        self._people = iter([person for person in world.people if person.has_record])
        self._time = datetime.now(UTC) - timedelta(hours=1)

    def same_person(self) -> Scenario:
        who = next(self._people)
        delivery, done = self._one(who.name, masked(who.phone), who.email)
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
            unknown_phone(self._chance),
            "ninguem@exemplo-simulado.com.br",
            outcome="not_found",
        )
        return Scenario("a contact nobody knows", ((delivery,),), (done,))

    def no_customer(self) -> Scenario:
        lead = self._lead(None, None, None)
        failed = Expected(lead.id, lead.updated_at, "failed", error="Missing customer data")
        return Scenario(
            "a lead without customer data",
            ((one_delivery(lead, "on_create_lead", known=True),),),
            (failed,),
        )

    def unknown_lead(self) -> Scenario:
        lead = self._lead(None, None, None)
        failed = Expected(lead.id, lead.updated_at, "failed", error="Lead not found")
        return Scenario(
            "a lead that C2S does not know",
            ((one_delivery(lead, "on_create_lead", known=False),),),
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
            customer_of(who.name, "+55 " + masked(who.phone), who.email.upper()),
            updated_at=self._moment(),
        )
        update = one_delivery(later, "on_update_lead", known=False)
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
            "a closed lead", ((one_delivery(lead, "on_close_lead", known=True),),), (ignored,)
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
        delivery = one_delivery(
            lead, "on_create_lead", known=True, envelope=envelope, copies=copies
        )
        return delivery, Expected(lead.id, lead.updated_at, "completed", outcome)

    def _lead(self, name: str | None, phone: object, email: str | None) -> Lead:
        moment = self._moment()
        return Lead(
            new_lead_id(self._chance),
            customer_of(name, phone, email),
            created_at=moment,
            updated_at=moment,
        )

    def _moment(self) -> str:
        self._time += timedelta(seconds=1)
        return written(self._time)
