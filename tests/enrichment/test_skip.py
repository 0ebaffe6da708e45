"""Which events need no work."""

import pytest

from c2s_enrich.enrichment.skip import Situation, Skip, reason_to_skip
from c2s_enrich.people.c2s_lead import LeadFacts

OPEN = LeadFacts("lead", phone="11987650001")
CLOSED = LeadFacts("lead", phone="11987650001", closed=True)
QUIET = Situation(newer_exists=False, told_fingerprint=None, told=(), message_unclear=False)
NEWER = Situation(newer_exists=True, told_fingerprint=None, told=(), message_unclear=False)
TOLD = Situation(newer_exists=False, told_fingerprint="new", told=(), message_unclear=False)
TOLD_AND_NEWER = Situation(
    newer_exists=True, told_fingerprint="new", told=(), message_unclear=False
)
TOLD_UNDER_THE_KEY_BEFORE = Situation(
    newer_exists=False, told_fingerprint="old", told=(), message_unclear=False
)


class TestAnEvent:
    @pytest.mark.parametrize(
        ("facts", "situation", "expected"),
        [
            (OPEN, QUIET, None),
            (CLOSED, QUIET, Skip("ignored", withdraw=True)),
            (OPEN, NEWER, Skip("superseded", withdraw=True)),
            (OPEN, TOLD, Skip("unchanged", withdraw=False)),
            (OPEN, TOLD_UNDER_THE_KEY_BEFORE, Skip("unchanged", withdraw=False)),
            (OPEN, TOLD_AND_NEWER, Skip("unchanged", withdraw=False)),
            (LeadFacts("lead"), TOLD, None),
        ],
    )
    def test_is_skipped_for_one_reason(
        self, facts: LeadFacts, situation: Situation, expected: Skip | None
    ) -> None:
        assert reason_to_skip(facts, ("new", "old"), situation, reprocess=False) == expected

    @pytest.mark.parametrize("facts", [OPEN, CLOSED])
    def test_that_a_person_asked_for_is_never_skipped(self, facts: LeadFacts) -> None:
        assert reason_to_skip(facts, ("new",), NEWER, reprocess=True) is None

    @pytest.mark.parametrize("facts", [OPEN, CLOSED])
    def test_is_not_skipped_while_its_message_may_have_been_sent(self, facts: LeadFacts) -> None:
        unclear = Situation(
            newer_exists=True, told_fingerprint="new", told=(), message_unclear=True
        )

        assert reason_to_skip(facts, ("new",), unclear, reprocess=False) is None
