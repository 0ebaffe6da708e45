"""The schedule of faults: the same for the same seed, and nothing left out."""

import pytest

from c2s_enrich.sandbox.drill.plan import FAULTS, POINTS, TARGETS, schedule


class TestTheSchedule:
    def test_is_the_same_for_the_same_seed(self) -> None:
        assert schedule(7, 60) == schedule(7, 60)

    def test_differs_from_seed_to_seed(self) -> None:
        assert schedule(7, 60) != schedule(8, 60)

    def test_has_every_fault_even_in_the_shortest_drill(self) -> None:
        assert {strike.fault for strike in schedule(1, 6)} == set(FAULTS)

    @pytest.mark.parametrize("fault", FAULTS)
    def test_of_ten_minutes_has_every_target_of_every_fault(self, fault: str) -> None:
        struck = {strike.target for strike in schedule(1, 600) if strike.fault == fault}

        assert struck == set(TARGETS[fault])

    def test_of_two_minutes_lets_a_poller_die_at_ten_points_at_least(self) -> None:
        assert (
            len(
                {strike.target for strike in schedule(1, 120) if strike.fault == "die_at"}
                & set(POINTS)
            )
            >= 10
        )

    def test_can_be_nothing_but_one_fault(self) -> None:
        assert {strike.fault for strike in schedule(1, 30, only="zombie")} == {"zombie"}

    def test_is_in_order_and_within_its_time(self) -> None:
        times = [strike.at for strike in schedule(3, 60)]

        assert times == sorted(times)
        assert all(0 <= moment <= 60 for moment in times)
