"""The seller is told once: never a second copy of the same message, whatever is killed and
whenever.
"""

import re
import signal
from pathlib import Path

import pytest
from tests.promises.conftest import Product

MISBEHAVING = Path(__file__).with_name("poller_that_misbehaves.py")

POINTS = [
    "claimed", "extract", "extract:done", "skip", "skip:done", "lookup", "lookup:done", "enrich",
    "enrich:done",
    "store", "store:done", "send", "permit", "permitted", "answered", "send:done",
]  # fmt: skip


class TestAKilledPoller:
    async def test_at_every_step_boundary_leaves_one_message_and_a_completed_event(
        self, product: Product
    ) -> None:
        for number, _ in enumerate(POINTS):
            await product.deliver(f"{number + 1:032x}", product.people[number])
        for point in POINTS:
            # One event each, so that each death is at exactly one point of one event.
            product.stage.start_poller(
                point,
                ("-m", "c2s_enrich.sandbox.drill.odd_poller", "die_at", point),
                CONCURRENCY="1",
            )
        died_at: dict[str, str] = {}
        for point in POINTS:
            assert product.stage.processes[point].wait(30) == -signal.SIGKILL, product.stage.log_of(
                point
            ).read_text()[-2000:]
        # Another of them may have given a dead one's event back already.
        rows = await product.db.fetch(
            "select lead_id, claimed_by as worker from webhook_events where status = 'processing'"
            " union all select lead_id, worker from event_attempts a"
            " join webhook_events e on e.id = a.event_id where a.result = 'worker_lost'"
        )
        pids = {str(product.stage.processes[point].pid): point for point in POINTS}
        for row in rows:
            if died := pids.get(re.split("-", row.worker)[-2]):
                died_at[died] = row.lead_id
        assert sorted(died_at) == sorted(POINTS)

        product.stage.start_poller("survivor")
        await product.until_all_ended()

        messages = await product.messages()
        ended = {
            row.lead_id: (row.status, row.outcome)
            for row in await product.db.fetch(
                "select lead_id, status, outcome from webhook_events where updated_at <"
                " '2025-07-01'"
            )
        }
        for point, lead in died_at.items():
            # Killed after C2S took the message, the event may find that C2S's echo of it has been
            # worked off first.
            assert ended[lead] in {
                ("completed", outcome) for outcome in ("enriched", "unchanged", "superseded")
            }, f"killed at {point}"
            assert len(messages.get(lead, [])) == 1, f"killed at {point}"
        lost = await product.db.value(
            "select count(*) from event_attempts where result = 'worker_lost'"
        )
        assert lost == len(POINTS)

    async def test_asked_politely_gives_its_work_back_without_spending_an_attempt(
        self, product: Product
    ) -> None:
        await product.fault("work_api", {"kind": "slow", "seconds": 20})
        await product.deliver("a" * 32, product.people[0])
        product.stage.start_poller("leaving", GRACE_SECONDS="0.2")
        await product.until(
            "it is being worked on",
            "exists (select from webhook_events where status = 'processing')",
        )

        product.stage.signal("leaving", signal.SIGTERM)
        assert product.stage.processes["leaving"].wait(10) == 0

        assert await product.db.fetch("select status, attempts from webhook_events") == [
            ("received", 0)
        ]


class TestAProcessThatIsFrozenWithItsClock:
    async def test_between_the_permit_and_the_first_byte_does_not_send_when_it_wakes_up(
        self, product: Product
    ) -> None:
        await prove_reading_back(product)
        await product.deliver("a" * 32, product.people[0])
        product.stage.start_poller(
            "frozen", (str(MISBEHAVING), "stands-still-at", "permitted"), CONCURRENCY="1"
        )
        await product.until_frozen("frozen")

        product.stage.start_poller("survivor")
        await product.until_all_ended()
        product.stage.signal("frozen", signal.SIGCONT)
        await product.until_it_logs("frozen", "lease_lost")

        assert len((await product.messages())["a" * 32]) == 1
        assert (
            await product.db.value("select sends from lead_messages where lead_id = %s", ["a" * 32])
            == 2
        )


async def prove_reading_back(product: Product) -> None:
    """Another lead is told; from then on it is known that C2S shows what it has."""
    await product.deliver("f" * 32, product.people[9])
    product.stage.start_poller("first")
    await product.until_all_ended()
    product.stage.kill("first")


class TestAnAnswerThatIsLost:
    async def test_is_found_by_reading_the_lead_back(self, product: Product) -> None:
        await product.fault("c2s", {"kind": "accept_then_lose", "call": "message", "count": 1})
        await product.deliver("b" * 32, product.people[1])

        product.stage.start_poller()
        await product.until_all_ended()

        assert len((await product.messages())["b" * 32]) == 1
        assert await product.db.value("select proof from lead_messages") in ("read_back", "webhook")

    async def test_that_never_arrived_is_sent_again_after_the_settle_time_and_two_looks(
        self, product: Product
    ) -> None:
        await prove_reading_back(product)
        await product.fault("c2s", {"kind": "error500", "call": "message", "count": 1})
        await product.deliver("c" * 32, product.people[2])

        product.stage.start_poller()
        await product.until_all_ended()

        assert len((await product.messages())["c" * 32]) == 1
        assert (
            await product.db.value("select sends from lead_messages where lead_id = %s", ["c" * 32])
            == 2
        )

    @pytest.mark.parametrize("policy", ["hold"])
    async def test_is_left_to_a_person_where_the_policy_says_so(
        self, product: Product, policy: str
    ) -> None:
        await product.fault("c2s", {"kind": "error500", "call": "message", "count": 1})
        await product.deliver("d" * 32, product.people[3])

        product.stage.start_poller(DELIVERY_UNCLEAR=policy)
        await product.until_all_ended()

        assert await product.db.fetch("select status, error_kind from webhook_events") == [
            ("failed", "delivery_unclear")
        ]
        assert "d" * 32 not in await product.messages()
