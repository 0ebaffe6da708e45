"""The matrix: what it enumerates, a sample of it, and that it goes red for a wrong product."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import Database

from c2s_enrich.enrichment.send import Sender
from c2s_enrich.enrichment.store import EnrichmentStore, sent_fact
from c2s_enrich.sandbox.drill.audit import Findings
from c2s_enrich.sandbox.drill.matrix import Matrix
from c2s_enrich.sandbox.drill.plan import POINTS
from c2s_enrich.sandbox.drill.schedules import ANSWERS, Attempt, Schedule, schedules


async def play(db: Database, *chosen: Schedule) -> Findings:
    """Plays on the test's database, and takes its diary away."""
    try:
        return await Matrix(db.url, chosen).play()
    finally:
        await db.execute("drop table drill_resets")


class TestTheMatrix:
    def test_has_each_schedule_once_and_thousands_of_them(self) -> None:
        every = schedules()

        assert len(every) == len(set(every)) > 8000

    def test_has_every_point_with_every_point_of_the_next_attempt(self) -> None:
        points = {*POINTS, "settle", "settled"}

        assert {(s.first.point, s.second.point) for s in schedules()} >= {
            (first, second) for first in points for second in points
        }

    def test_has_every_answer_to_both_attempts(self) -> None:
        assert {(s.first.answer, s.second.answer) for s in schedules()} >= {
            (first, second) for first in ANSWERS for second in ANSWERS
        }

    async def test_leaves_nothing_lost_twice_or_stuck_in_a_sample(self, db: Database) -> None:
        every = schedules()

        found = await play(db, *every[:: len(every) // 40])

        assert found.problems == ()
        assert found.messages_expected >= 40


class TestTheMatrixGoesRed:
    async def test_for_a_product_that_sends_an_unclear_message_again_without_a_look(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def not_seen(*_: Any) -> None:
            return None

        right = EnrichmentStore.record_look

        async def proven(*given: Any) -> Any:
            looked = await right(*given)
            return looked and (looked[0], True)

        monkeypatch.setattr(Sender, "_seen_at_c2s", not_seen)
        monkeypatch.setattr(EnrichmentStore, "record_look", proven)

        found = await play(
            db,
            Schedule(Attempt("ends", None, "lost after"), "settled", Attempt("ends", None, "yes")),
        )

        assert found.messages_duplicated == 1

    async def test_for_a_product_that_forgets_an_unclear_message(
        self, db: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def told(store: EnrichmentStore, message: Any, *_: Any) -> Any:
            return sent_fact(message, "answer", None)

        async def send(sender: Any, claim: Any, lease: Any, journal: Any, message: Any) -> Any:
            return await told(sender.store, message)

        monkeypatch.setattr(Sender, "__call__", send)

        found = await play(
            db, Schedule(Attempt("dies", "claimed"), "soon", Attempt("dies", "send"))
        )

        assert found.messages_missing > 0
