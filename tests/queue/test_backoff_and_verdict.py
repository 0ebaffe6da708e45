"""The whole retry policy, as values: which error ends an attempt how, how long the waits are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.queue.conftest import NOON, SETTINGS

from c2s_enrich import errors
from c2s_enrich.queue.claim import Claim, Ending
from c2s_enrich.queue.verdict import (
    UNREADABLE_ATTEMPTS,
    backoff,
    database_away,
    longest_backoff,
    verdict,
)

MINUTE = timedelta(minutes=1)

DOWN = errors.Unavailable("diretrix", "HTTP 503")
UNCLEAR = errors.Uncertain("c2s", "no answer")
BROKEN = errors.Unreadable("work_api", "no JSON")
WAITING = [
    errors.Throttled("c2s", MINUTE),
    errors.Paused("c2s", MINUTE, "HTTP 500"),
    errors.NoSlot("c2s", MINUTE),
    errors.BudgetSpent("c2s", MINUTE),
    errors.Unauthorised("c2s", "HTTP 401"),
    errors.NotYet(MINUTE, "too early to look"),
]
TRANSIENT = [DOWN, UNCLEAR, *WAITING]
FINAL = {
    "missing_customer": errors.MissingCustomer(),
    "lead_not_found": errors.LeadNotFound(),
    "delivery_unclear": errors.DeliveryUnclear("was ref R1 delivered?"),
    "upstream_refused": errors.Refused("c2s", "HTTP 422"),
}

chances = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 1000)


def claim(attempts: int = 1, *, age: timedelta = MINUTE, max_attempts: int = 8) -> Claim:
    return Claim(
        UUID(int=1),
        "lead",
        NOON,
        None,
        "{}",
        attempts,
        max_attempts,
        False,
        1,
        NOON,
        age,
        NOON,
        "ana",
    )


def named(error: BaseException) -> str:
    return type(error).__name__


class TestBackoff:
    @given(attempts, chances)
    def test_stays_between_a_tenth_of_its_ceiling_and_the_ceiling(
        self, attempts: int, chance: float
    ) -> None:
        wait = backoff(SETTINGS, attempts, chance)

        assert (
            longest_backoff(SETTINGS, attempts) * 0.0999
            <= wait
            <= longest_backoff(SETTINGS, attempts)
        )

    @given(attempts)
    def test_its_ceiling_doubles_up_to_the_cap(self, attempts: int) -> None:
        assert longest_backoff(SETTINGS, attempts + 1) == min(
            longest_backoff(SETTINGS, attempts) * 2, SETTINGS.backoff_cap
        )

    @given(attempts, chances, chances)
    def test_a_greater_chance_waits_no_less(self, attempts: int, one: float, other: float) -> None:
        low, high = sorted([one, other])

        assert backoff(SETTINGS, attempts, low) <= backoff(SETTINGS, attempts, high)

    @given(st.timedeltas(timedelta(microseconds=1), timedelta(days=3650)), st.integers(0, 10**9))
    def test_any_base_and_any_count_stay_within_the_range_of_times(
        self, base: timedelta, attempts: int
    ) -> None:
        cap = timedelta(days=3650)
        settings = replace(SETTINGS, backoff_base=base, backoff_cap=cap)

        assert longest_backoff(settings, attempts) <= cap

    def test_begins_with_the_base(self) -> None:
        assert longest_backoff(SETTINGS, 1) == SETTINGS.backoff_base


class TestTheVerdict:
    @pytest.mark.parametrize(("kind", "error"), FINAL.items(), ids=FINAL)
    def test_what_repeating_cannot_heal_fails_at_once(self, kind: str, error: Exception) -> None:
        ending = verdict(error, claim(), SETTINGS, 0.5)

        assert (ending.result, ending.error_kind, ending.error_message) == (
            "failed",
            kind,
            str(error),
        )

    @pytest.mark.parametrize("error", WAITING, ids=named)
    def test_what_is_not_the_events_fault_costs_no_attempt(self, error: Exception) -> None:
        assert verdict(error, claim(attempts=8), SETTINGS, 0.5).result == "postponed"

    @pytest.mark.parametrize("error", WAITING[:4], ids=named)
    def test_an_upstream_that_names_its_wait_is_never_asked_before_it(
        self, error: Exception
    ) -> None:
        waits = [verdict(error, claim(), SETTINGS, chance).delay for chance in (0.0, 0.999)]

        assert MINUTE <= waits[0] < waits[1] <= MINUTE * 1.2
        assert verdict(error, claim(), SETTINGS, 0.0).waiting_for == "c2s"

    def test_a_read_back_waits_exactly_until_its_time(self) -> None:
        ending = verdict(errors.NotYet(MINUTE, "too early"), claim(), SETTINGS, 0.9)

        assert (ending.delay, ending.error_kind, ending.waiting_for) == (MINUTE, None, None)

    @pytest.mark.parametrize("error", [DOWN, UNCLEAR], ids=named)
    def test_an_outage_is_retried_with_backoff(self, error: Exception) -> None:
        ending = verdict(error, claim(attempts=3), SETTINGS, 0.5)

        assert (ending.result, ending.error_kind) == ("retried", "upstream_unavailable")
        assert ending.delay == backoff(SETTINGS, 3, 0.5)

    @pytest.mark.parametrize("error", [DOWN, UNCLEAR], ids=named)
    def test_an_outage_never_fails_an_event_whose_attempts_are_spent(
        self, error: Exception
    ) -> None:
        ending = verdict(error, claim(attempts=8), SETTINGS, 0.0)

        assert (ending.result, ending.delay) == ("postponed", SETTINGS.backoff_cap)

    @given(st.sampled_from(TRANSIENT), attempts, chances)
    def test_nothing_transient_fails_before_the_age_limit(
        self, error: Exception, attempts: int, chance: float
    ) -> None:
        ending = verdict(error, claim(attempts, age=SETTINGS.age_limit), SETTINGS, chance)

        assert ending.result in ("retried", "postponed")
        assert ending.delay > timedelta()

    @given(st.sampled_from(TRANSIENT), attempts, chances)
    def test_everything_that_only_waits_fails_after_the_age_limit(
        self, error: Exception, attempts: int, chance: float
    ) -> None:
        ending = verdict(
            error, claim(attempts, age=SETTINGS.age_limit + timedelta(seconds=1)), SETTINGS, chance
        )

        assert ending.result == "failed"
        assert ending.error_kind is not None

    def test_an_unreadable_answer_is_retried_a_few_times_and_then_fails(self) -> None:
        results = [
            verdict(BROKEN, claim(n), SETTINGS, 0.5).result
            for n in range(1, UNREADABLE_ATTEMPTS + 1)
        ]

        assert results == ["retried"] * (UNREADABLE_ATTEMPTS - 1) + ["failed"]

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            (ValueError("oops"), "bug"),
            (TimeoutError("the attempt passed its deadline"), "bug"),
            (errors.LeaseLost(), "worker_lost"),
        ],
    )
    def test_our_own_trouble_is_retried_until_the_attempts_are_spent(
        self, error: Exception, kind: str
    ) -> None:
        endings = [verdict(error, claim(n), SETTINGS, 0.5) for n in range(1, 9)]

        assert [ending.result for ending in endings] == ["retried"] * 7 + ["failed"]
        assert {ending.error_kind for ending in endings} == {kind}
        assert all(ending.error_message for ending in endings)

    def test_trouble_with_our_own_database_costs_no_attempt_until_the_age_limit(self) -> None:
        young, old = claim(8), claim(8, age=SETTINGS.age_limit + timedelta(seconds=1))

        assert database_away(young, SETTINGS, 0.5).result == "postponed"
        assert database_away(old, SETTINGS, 0.5).result == "failed"

    def test_personal_data_does_not_reach_the_row(self) -> None:
        ending: Ending = verdict(RuntimeError("no record for 52998224725"), claim(), SETTINGS, 0.5)

        assert "52998224725" not in (ending.error_message or "")


class TestTheWordsOfAVerdict:
    @pytest.mark.parametrize(
        ("error", "attempts", "words"),
        [
            (WAITING[0], 1, ("postponed", "upstream_unavailable", "throttled", "c2s")),
            (WAITING[1], 1, ("postponed", "upstream_unavailable", "paused", "c2s")),
            (WAITING[2], 1, ("postponed", "upstream_unavailable", "slot", "c2s")),
            (WAITING[3], 1, ("postponed", "upstream_unavailable", "budget", "c2s")),
            (WAITING[4], 1, ("postponed", "upstream_refused", "credential", "c2s")),
            (WAITING[5], 1, ("postponed", None, "read_back", None)),
            (DOWN, 8, ("postponed", "upstream_unavailable", "backoff", "diretrix")),
            (BROKEN, 1, ("retried", "upstream_unreadable", "backoff", None)),
            (BROKEN, 4, ("failed", "upstream_unreadable", None, None)),
            (ValueError(), 1, ("retried", "bug", "backoff", None)),
        ],
    )
    def test_are_what_the_views_and_filters_know(
        self, error: Exception, attempts: int, words: tuple[str | None, ...]
    ) -> None:
        ending = verdict(error, claim(attempts), SETTINGS, 0.5)

        found = (ending.result, ending.error_kind, ending.reason, ending.waiting_for)
        assert found == words

    def test_at_the_age_limit_are_the_same_and_beyond_it_name_what_was_waited_for(self) -> None:
        limit = SETTINGS.age_limit
        late = verdict(WAITING[5], claim(age=limit + MINUTE), SETTINGS, 0.5)

        assert verdict(WAITING[5], claim(age=limit), SETTINGS, 0.5).result == "postponed"
        assert (late.result, late.error_kind) == ("failed", "delivery_unclear")

    def test_for_a_database_that_is_away_wait_one_to_three_seconds(self) -> None:
        soon, later = (database_away(claim(), SETTINGS, chance) for chance in (0.0, 0.75))
        late = database_away(claim(age=SETTINGS.age_limit + MINUTE), SETTINGS, 0.0)

        assert (soon.delay, later.delay) == (timedelta(seconds=1), timedelta(seconds=2.5))
        assert (soon.reason, soon.error_message) == (
            "database",
            "the database could not be reached",
        )
        assert database_away(claim(age=SETTINGS.age_limit), SETTINGS, 0.0) == soon
        assert (late.result, late.error_kind) == ("failed", "bug")

    @pytest.mark.parametrize(
        ("wait", "spread"), [(0.5, 0.625), (10, 11), (600, 607.5)], ids=["short", "usual", "long"]
    )
    def test_spread_a_named_wait_by_a_fifth_within_bounds(self, wait: float, spread: float) -> None:
        error = errors.Throttled("c2s", timedelta(seconds=wait))

        assert verdict(error, claim(), SETTINGS, 0.5).delay == timedelta(seconds=spread)
