"""What the simulated CRM delivers: every envelope says the same, and the stream knows what must
come of it.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.sandbox.simulators.crm import Lead
from c2s_enrich.sandbox.simulators.payloads import ENVELOPES, Delivery, Envelope, payload
from c2s_enrich.sandbox.simulators.population import populate
from c2s_enrich.sandbox.simulators.scenarios import scenarios
from c2s_enrich.sandbox.simulators.stream import Stream
from c2s_enrich.sandbox.simulators.world import World


def facts_in(body: object) -> list[LeadFacts]:
    """The leads of a delivery, one or several."""
    single = LeadFacts.from_json(body)
    if single is not None:
        return [single]
    assert isinstance(body, list)
    return [facts for part in body if (facts := LeadFacts.from_json(part)) is not None]


class TestAPayload:
    @pytest.mark.parametrize("envelope", ENVELOPES)
    def test_says_the_same_in_every_envelope(self, envelope: Envelope) -> None:
        customer: dict[str, object] = {
            "id": "c",
            "name": "Ana",
            "email": "ana@example.com",
            "phone": 5511987654321,
        }
        lead = Lead(
            "1f" * 16,
            customer,
            updated_at="2026-02-01T10:00:00.000-03:00",
            created_at="2026-02-01T10:00:00.000-03:00",
        )

        facts = LeadFacts.from_json(
            json.loads(json.dumps(payload(lead, "on_create_lead", envelope)))
        )

        assert facts == LeadFacts.from_json({"data": lead.to_json()})
        assert facts is not None
        assert (facts.name, facts.phone, facts.email) == ("Ana", "5511987654321", "ana@example.com")

    def test_may_leave_the_action_out(self) -> None:
        assert "hook_action" not in json.dumps(payload(Lead("1f" * 16, None), None))


class TestTheScenarios:
    def test_expect_something_of_every_event_they_deliver(self) -> None:
        for scenario in scenarios(World(1)):
            delivered = {
                event
                for deliveries in scenario.rounds
                for delivery in deliveries
                for event in delivery.events
            }
            assert delivered == {
                (expected.lead_id, expected.updated_at) for expected in scenario.expected
            }, scenario.title
            assert scenario.messages.keys() <= {expected.lead_id for expected in scenario.expected}

    def test_can_be_played_twice_on_one_database(self) -> None:
        world = World(1)
        first, second = (
            {expected.lead_id for s in scenarios(world) for expected in s.expected}
            for _ in range(2)
        )

        assert not first & second


class TestTheStream:
    def read(self, seed: int) -> tuple[Stream, list[Delivery]]:
        stream = Stream(populate(1, 500), seed)
        return stream, list(stream.deliveries(400))

    def test_repeats_itself_for_the_same_seed(self) -> None:
        assert self.read(4)[1] == self.read(4)[1]
        assert self.read(4)[1] != self.read(5)[1]

    def test_has_duplicates_batches_bursts_and_several_events_a_lead(self) -> None:
        stream, deliveries = self.read(4)
        keys = [event for delivery in deliveries for event in delivery.events]

        assert len(stream.events) == len(set(keys)) == 400
        assert len(keys) > 420
        assert max(len(delivery.events) for delivery in deliveries) > 3
        assert len({lead_id for lead_id, _ in keys}) < 350
        assert sum(delivery.pause == 0 for delivery in deliveries) > 20
        assert any(delivery.copies > 1 for delivery in deliveries)

    def test_names_the_keys_that_are_in_its_bodies(self) -> None:
        _, deliveries = self.read(4)

        for delivery in deliveries:
            found = facts_in(json.loads(json.dumps(delivery.body)))
            assert [facts.lead_id for facts in found] == [lead_id for lead_id, _ in delivery.events]
            assert {lead.lead_id for lead in delivery.leads} <= {facts.lead_id for facts in found}

    def test_remembers_what_each_event_says(self) -> None:
        stream, deliveries = self.read(4)
        in_bodies = {
            (facts.lead_id, facts.updated_at): (facts.phone, facts.email)
            for delivery in deliveries
            for facts in facts_in(json.loads(json.dumps(delivery.body)))
        }

        assert {
            (said.lead_id, said.updated_at): (said.phone, said.email) for said in stream.said
        } == in_bodies

    def test_leaves_room_for_what_c2s_changes_between_two_events_of_a_lead(self) -> None:
        stream, deliveries = self.read(4)
        with World(1) as world:
            for delivery in deliveries:
                for new in delivery.leads:
                    said: dict[str, Any] = new.to_json()
                    lead = world.add_lead(new.lead_id, **said)
                    world.add_message(lead, "a text", None)

                    echo = datetime.fromisoformat(lead.updated_at)
                    assert (lead.id, lead.updated_at) not in stream.events
                    assert echo > datetime.fromisoformat(str(new.updated_at))
            for lead_id in {said.lead_id for said in stream.said}:
                times = [said.updated_at for said in stream.said if said.lead_id == lead_id]
                assert times == sorted(times)
