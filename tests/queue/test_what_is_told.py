"""One line for each attempt, in the words of SQL, and every line of an attempt names its event."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import told
from tests.queue.conftest import LEASE, NOON, Queue, Recorded, make_poller

from c2s_enrich.errors import LeadNotFound
from c2s_enrich.queue.claim import Claim, Done, Journal, Lease
from c2s_enrich.telemetry.lines import get_logger, tell_attempt


async def work(queue: Queue, handler: Any, metrics: Recorded | None = None) -> list[dict[str, Any]]:
    """The lines that a poller writes until nothing is due."""
    with told() as lines:
        await make_poller(queue.worker(), handler, metrics=metrics).drain()
    return lines


async def one_call(claim: Claim, lease: Lease, journal: Journal) -> Done:
    async with journal.step("lookup"):
        call = {"upstream": "diretrix", "kind": "phone", "result": "ok", "paid": True}
        tell_attempt("calls", **call, seconds=0.4)
        get_logger("elsewhere").info("upstream_called")
    return Done("enriched")


async def unknown_lead(claim: Claim, lease: Lease, journal: Journal) -> Done:
    raise LeadNotFound


class TestALineOfAnAttempt:
    async def test_holds_what_happened_under_the_names_of_the_table(self, queue: Queue) -> None:
        event_id = await queue.accept(lead="lead-1")

        [line] = [each for each in await work(queue, one_call) if each["event"] == "completed"]

        assert line.pop("duration_s") >= 0
        assert line.pop("since_received_s") >= 0
        assert line.pop("steps").keys() == {"lookup"}
        assert line == {
            "event": "completed",
            "level": "info",
            "event_id": event_id,
            "lead_id": "lead-1",
            "attempt": 1,
            "outcome": "enriched",
            "calls": {"diretrix.phone": 1},
            "paid": 1,
        }

    async def test_of_a_failure_is_a_warning_with_its_kind(self, queue: Queue) -> None:
        await queue.accept()

        [line] = [each for each in await work(queue, unknown_lead) if each["event"] == "failed"]

        assert (line["level"], line["error_kind"], line["error"]) == (
            "warning",
            "lead_not_found",
            "Lead not found",
        )

    async def test_names_the_event_whoever_writes_it(self, queue: Queue) -> None:
        event_id = await queue.accept(lead="lead-1")

        [line] = [
            each for each in await work(queue, one_call) if each["event"] == "upstream_called"
        ]

        assert (line["event_id"], line["lead_id"], line["attempt"]) == (event_id, "lead-1", 1)

    async def test_of_a_lost_event_names_it_and_the_dead_poller(self, queue: Queue) -> None:
        event_id = await queue.accept(lead="lead-1")
        await queue.claim(queue.worker("ana"))

        with told() as lines:
            await make_poller(queue.worker("bruno", now=NOON + LEASE), one_call)._janitor.look()

        [line] = [each for each in lines if each["event"] == "reclaimed"]
        assert {name: line[name] for name in ("event_id", "lead_id", "worker", "failed")} == {
            "event_id": str(event_id),
            "lead_id": "lead-1",
            "worker": "ana",
            "failed": False,
        }


class TestTheNumbers:
    @pytest.mark.parametrize(
        ("handler", "outcome", "steps"),
        [(one_call, "enriched", ["lookup"]), (unknown_lead, None, [])],
    )
    async def test_of_an_attempt_are_counted_once(
        self, queue: Queue, handler: Any, outcome: str | None, steps: list[str]
    ) -> None:
        await queue.accept()
        metrics = Recorded()

        await work(queue, handler, metrics)

        assert metrics.steps == steps
        assert [ended for ended, _ in metrics.ends] == [outcome]
        assert metrics.registry.get_sample_value("c2s_event_wait_seconds_count") == 1
