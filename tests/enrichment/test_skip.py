"""Which events need no work."""

from dataclasses import replace

import pytest

from c2s_enrich.enrichment.message import Told, with_forgotten
from c2s_enrich.enrichment.skip import Situation, reason_to_skip
from c2s_enrich.people.c2s_lead import LeadFacts

OPEN = LeadFacts("lead", phone="11987650001")
CLOSED = LeadFacts("lead", phone="11987650001", closed=True)
QUIET = Situation(
    newer_exists=False,
    newer_waits=False,
    told_fingerprint=None,
    told=(),
    unsent=False,
)
NEWER = replace(QUIET, newer_exists=True)
TOLD = replace(QUIET, told_fingerprint="new")
TOLD_AND_NEWER = replace(TOLD, newer_exists=True)
TOLD_UNDER_THE_KEY_BEFORE = replace(QUIET, told_fingerprint="old")


class TestAnEvent:
    @pytest.mark.parametrize(
        ("facts", "situation", "expected"),
        [
            (OPEN, QUIET, None),
            (CLOSED, QUIET, "ignored"),
            (OPEN, NEWER, "superseded"),
            (OPEN, TOLD, "unchanged"),
            (OPEN, TOLD_UNDER_THE_KEY_BEFORE, "unchanged"),
            (OPEN, TOLD_AND_NEWER, "unchanged"),
            (LeadFacts("lead"), TOLD, None),
        ],
    )
    def test_is_skipped_for_one_reason(
        self, facts: LeadFacts, situation: Situation, expected: str | None
    ) -> None:
        assert reason_to_skip(facts, ("new", "old"), situation, reprocess=False) == expected

    @pytest.mark.parametrize("facts", [OPEN, CLOSED])
    def test_that_a_person_asked_for_is_never_skipped(self, facts: LeadFacts) -> None:
        assert reason_to_skip(facts, ("new",), NEWER, reprocess=True) is None

    def test_is_not_unchanged_where_a_restore_forgot_what_was_told_last(self) -> None:
        known = Told("key", "AAAAAAAA", frozenset())
        for refs, expected in (
            (["AAAAAAAA", "BBBBBBBB"], None),
            (["BBBBBBBB", "AAAAAAAA"], "unchanged"),
        ):
            situation = replace(TOLD, told=with_forgotten([known], refs))

            assert reason_to_skip(OPEN, ("new",), situation, reprocess=False) == expected

    def test_that_a_person_asked_for_is_told_by_a_newer_one_that_waits(self) -> None:
        # The older one would tell what was known before it.
        waiting = replace(NEWER, newer_waits=True)

        skip = reason_to_skip(OPEN, ("new",), waiting, reprocess=True)

        assert skip == "superseded"
