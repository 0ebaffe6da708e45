"""From a payload to facts, and our own refs found in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cast import ANA, DAVI_PAYLOAD, KEYS, TODAY, lead_json

from c2s_enrich.enrichment.extract import facts_in, own_refs
from c2s_enrich.enrichment.match import FoundPerson, Match
from c2s_enrich.enrichment.message import REF_ALPHABET, compose_message
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import Contacts, fingerprints, read_contacts


def facts_of(payload: object, *, lead_id: str, hook_action: str | None) -> LeadFacts:
    return facts_in(json.dumps(payload), lead_id=lead_id, hook_action=hook_action)


class TestTheFacts:
    def test_of_ana_are_her_contacts(self) -> None:
        facts = facts_in(
            json.dumps(lead_json(ANA)), lead_id="the-row's", hook_action="on_create_lead"
        )

        assert [phone.national for phone in read_contacts(facts).phones] == [ANA.phone]
        assert [email.address for email in read_contacts(facts).emails] == [ANA.email]

    def test_of_davi_are_an_email_only(self) -> None:
        contacts = read_contacts(facts_of(DAVI_PAYLOAD, lead_id="90210", hook_action=None))

        assert (contacts.phones, [email.address for email in contacts.emails]) == (
            (),
            ["davi.barbosa@example.com"],
        )

    def test_belong_to_the_lead_of_the_row(self) -> None:
        assert (
            facts_of(lead_json(ANA), lead_id="the-row's", hook_action=None).lead_id == "the-row's"
        )

    @pytest.mark.parametrize("payload", ["null", "[]", '"x"', "{}", '{"data": null}', "", "{{"])
    def test_of_an_unreadable_payload_are_the_lead_alone(self, payload: str) -> None:
        assert facts_in(payload, lead_id="a-lead", hook_action=None) == LeadFacts("a-lead")


class TestClosed:
    def test_is_what_the_closing_hook_says_whatever_the_payload_holds(self) -> None:
        assert facts_of({}, lead_id="a-lead", hook_action="on_close_lead").closed
        assert facts_in(
            json.dumps(lead_json(ANA)), lead_id="a-lead", hook_action="on_close_lead"
        ).closed

    def test_is_what_the_payload_says_under_any_other_hook(self) -> None:
        archived: dict[str, Any] = {
            "id": "a-lead",
            "attributes": {"archive_details": {"archived": True}},
        }

        assert facts_of(archived, lead_id="a-lead", hook_action="on_update_lead").closed
        assert not facts_in(
            json.dumps(lead_json(ANA)), lead_id="a-lead", hook_action="on_update_lead"
        ).closed


class TestOwnRefs:
    @pytest.mark.parametrize(
        "text",
        [
            "📞📧 ...\n\nref 7F3K29QD",
            "...<br>ref 7F3K29QD",
            "ref 7F3K29QD\r\n",
            "7F3K29QD",
            "<p>ref 7F3K29QD</p>",
            "x ref 7F3K29QD e ref 7F3K29QD",
        ],
    )
    def test_are_found_as_a_line_in_html_or_as_an_external_id(self, text: str) -> None:
        assert own_refs([text, "Bom dia"]) == ("7F3K29QD",)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "ref",
            "ref 7F3K29Q",
            "ref 7F3K29QDX",
            "ref ILOU29QD",
            "href 7F3K29QD",
            "pref 7F3K29QD",
            "7f3k29qd",
        ],
    )
    def test_are_not_seen_in_other_words(self, text: str) -> None:
        assert own_refs([text]) == ()

    def test_of_a_message_of_ours_are_found_in_the_echo_that_c2s_sends(self) -> None:
        lead = LeadFacts("a-lead")
        message = compose_message(
            Match((FoundPerson(ANA.candidate, "phone"),)), {}, lead, Contacts(), KEYS, today=TODAY
        )
        echo = lead_json(ANA)
        echo["data"]["messages"].append({"body": message.body, "sender_type": "SysUser"})

        facts = facts_of(echo, lead_id="a-lead", hook_action="on_update_lead")

        assert own_refs(facts.messages) == (message.ref,)

    def test_and_the_echo_has_the_fingerprint_of_the_lead_before_it(self) -> None:
        # Only messages and updated_at differ: fifty of these must stay quiet.
        before, echo = lead_json(ANA), lead_json(ANA)
        echo["data"]["attributes"]["updated_at"] = "2026-03-09T11:00:00.000-03:00"
        echo["data"]["messages"].append({"body": "ref 7F3K29QD"})

        prints = {
            fingerprints(read_contacts(facts), facts.name, KEYS)
            for payload in (before, echo)
            for facts in (facts_of(payload, lead_id="a", hook_action="on_update_lead"),)
        }

        assert len(prints) == 1

    @given(st.text(REF_ALPHABET, min_size=8, max_size=8), st.text(max_size=50))
    def test_are_found_at_the_end_of_any_text(self, ref: str, text: str) -> None:
        assert own_refs([f"{text}\n\nref {ref}"])[-1] == ref
