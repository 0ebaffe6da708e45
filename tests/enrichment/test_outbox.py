"""The outbox's statements: each one is fenced by what it names, and changes nothing otherwise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.brokerage import Brokerage
from tests.conftest import Database
from tests.queue.conftest import Queue

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.history import DatabaseHistory
from c2s_enrich.enrichment.message import SellerMessage
from c2s_enrich.enrichment.skip import Situation
from c2s_enrich.enrichment.store import EnrichmentStore, OutboxMessage, sent_fact
from c2s_enrich.errors import LeaseLost
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.queue.claim import Claim
from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.faults import Fault
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport

SETTLE_TIME = timedelta(seconds=120)
TIME_LIMIT = timedelta(seconds=15)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)
HELLO = SellerMessage(body="hello\n\nref AAAA2222", ref="AAAA2222", content_key="a-key")


@dataclass
class Outbox:
    """One claimed event of one lead, and what its poller may do with its message."""

    db: Database
    queue: Queue
    store: EnrichmentStore

    async def claim(self, lead: str = "lead") -> Claim:
        """A fresh event in the hands of a poller."""
        await self.queue.accept(lead, due=await self.db.value("select now()"))
        return await self.queue.claim(self.queue.worker(now=None))

    async def put(self, claim: Claim, message: SellerMessage = HELLO) -> OutboxMessage:
        """The event's result is stored."""
        return await self.store.store_result(claim, (), message, ("a@example.org",))

    async def message(self, claim: Claim) -> OutboxMessage:
        """The message of an event that would say something else now."""
        [found] = await self.store.unclear_messages(claim, None)
        return found

    async def sending(self, claim: Claim) -> OutboxMessage:
        """A message that was given to the network."""
        await self.store.permit_send(claim, await self.put(claim))
        return await self.message(claim)

    async def let_pass(self, time: timedelta) -> None:
        """So much time goes by for the message alone."""
        await self.db.execute("update lead_messages set sending_at = sending_at - %s", (time,))

    async def row(self) -> Any:
        [row] = await self.db.fetch("select * from lead_messages")
        return row


@pytest.fixture
def outbox(db: Database, pool: Pool) -> Outbox:
    settings = db.settings("poller", settle_time=SETTLE_TIME, c2s_timeout=TIME_LIMIT, max_sends=3)
    store = EnrichmentStore(pool, DatabaseHistory(pool), "an-account", settings)
    return Outbox(db, Queue(db, pool), store)


def stale(claim: Claim) -> Claim:
    """The same claim as a poller has it that lost it."""
    return claim._replace(lease_token=claim.lease_token - 1)


class TestAPollerThatLostItsLease:
    async def test_may_not_send(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.put(claim)

        assert await outbox.store.permit_send(stale(claim), message) is None
        assert await outbox.store.permit_send(claim, message) is not None

    async def test_stores_no_result(self, outbox: Outbox) -> None:
        claim = await outbox.claim()

        with pytest.raises(LeaseLost):
            await outbox.put(stale(claim))
        assert await outbox.db.value("select count(*) from lead_messages") == 0

    async def test_merges_no_facts(self, outbox: Outbox) -> None:
        claim = await outbox.claim()

        with pytest.raises(LeaseLost):
            await outbox.store.begin_work(stale(claim), LeadFacts("lead", name="Ana"), ())

    async def test_stores_nothing_of_a_lead_that_was_erased(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        await outbox.db.execute("insert into erased_leads (lead_id) values ('lead')")

        with pytest.raises(LeaseLost):
            await outbox.store.begin_work(claim, LeadFacts("lead", name="Ana"), ())
        assert await outbox.db.value("select count(*) from leads") == 0

    async def test_withdraws_nothing(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        await outbox.put(claim)

        await outbox.store.withdraw_unsent(stale(claim))

        assert (await outbox.row()).status == "pending"


class TestTheRightToSend:
    @pytest.mark.parametrize(("left", "given"), [(TIME_LIMIT - SECOND, False), (LEASE, True)])
    async def test_is_given_only_while_the_lease_outlasts_the_call(
        self, outbox: Outbox, left: timedelta, given: bool
    ) -> None:
        claim = await outbox.claim()
        message = await outbox.put(claim)
        await outbox.db.execute(
            "update webhook_events set lease_expires_at = clock_timestamp() + %s", (left,)
        )

        assert (await outbox.store.permit_send(claim, message) is not None) is given

    @pytest.mark.parametrize(
        ("passed", "looks", "sends", "given"),
        [
            pytest.param(SETTLE_TIME + SECOND, 2, 1, True, id="after two looks"),
            pytest.param(SETTLE_TIME + SECOND, 1, 1, False, id="not after one look"),
            pytest.param(SETTLE_TIME - SECOND, 2, 1, False, id="not within the settle time"),
            pytest.param(SETTLE_TIME + SECOND, 2, 3, False, id="not more often than MAX_SENDS"),
        ],
    )
    async def test_is_given_again(
        self, outbox: Outbox, passed: timedelta, looks: int, sends: int, given: bool
    ) -> None:
        claim = await outbox.claim()
        message = await outbox.sending(claim)
        await outbox.let_pass(passed)
        await outbox.db.execute("update lead_messages set looks = %s, sends = %s", (looks, sends))

        assert (await outbox.store.permit_send(claim, message) is not None) is given

    async def test_starts_the_looks_again(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.sending(claim)
        await outbox.let_pass(SETTLE_TIME + SECOND)
        await outbox.db.execute("update lead_messages set looks = 2")

        await outbox.store.permit_send(claim, message)

        assert ((await outbox.row()).looks, (await outbox.row()).sends) == (0, 2)

    @pytest.mark.parametrize(("status", "back"), [(422, "pending"), (500, "sending")])
    async def test_is_given_back_after_a_clear_no_alone(
        self, brokerage: Brokerage, status: int, back: str
    ) -> None:
        brokerage.world.dial.set("c2s", Fault("error500", call="message", status=status, count=1))
        await brokerage.accept("lead", brokerage.people[0])

        await brokerage.work()

        assert await brokerage.db.value("select status from lead_messages") == back

    @pytest.mark.parametrize(("policy", "sends"), [("hold", 1), ("resend", 2)])
    async def test_is_used_again_only_where_the_policy_says_so(
        self, brokerage: Brokerage, policy: str, sends: int
    ) -> None:
        await brokerage.accept("another", brokerage.people[1])
        await brokerage.work()
        brokerage.world.dial.set("c2s", Fault("error500", call="message", count=1))
        await brokerage.accept("lead", brokerage.people[0])

        for _ in range(4):
            await brokerage.work(DELIVERY_UNCLEAR=policy)
            await brokerage.db.execute(
                "update lead_messages set sending_at = sending_at - interval '1 hour'"
            )
            await brokerage.db.execute(
                "update webhook_events set available_at = now() where status = 'received'"
            )

        assert len(brokerage.world.asked("c2s", "message", "lead")) == sends

    async def test_is_not_used_by_a_process_whose_own_countdown_is_over(
        self, brokerage: Brokerage
    ) -> None:
        async def lose_the_lease(point: str) -> None:
            if point == "permitted":
                [flight] = poller.in_flight.values()
                flight.lease.taken_away = True

        await brokerage.accept("lead", brokerage.people[0])
        async with brokerage.poller(boundary=lose_the_lease) as poller:
            await poller.drain()

        assert brokerage.world.asked("c2s", "message") == []
        # Its poller may end it before it has noted that nothing left: then a look will tell.
        assert await brokerage.db.value("select status from lead_messages") != "sent"


class RefusesMessages(SimulatedTransport):
    """C2S's host refuses the connection of each message."""

    refused = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/create_message"):
            self.refused += 1
            raise httpx.ConnectError("refused")
        return await super().handle_async_request(request)


class TestAClearNo:
    async def test_is_not_asked_for_again_within_the_attempt(self, brokerage: Brokerage) -> None:
        brokerage.transport = RefusesMessages(build_simulators(brokerage.world))
        await brokerage.accept("lead", brokerage.people[0])

        await brokerage.work()

        assert brokerage.transport.refused == 1
        assert await brokerage.db.value("select status from lead_messages") == "pending"

    async def test_does_not_count_as_a_send(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.put(claim)
        sending_at = await outbox.store.permit_send(claim, message)
        assert sending_at is not None

        await outbox.store.not_sent(message, sending_at)

        row = await outbox.row()
        assert (row.status, row.sends) == ("pending", 0)

    async def test_cannot_undo_a_later_send(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.sending(claim)
        assert message.sending_at is not None

        await outbox.store.not_sent(message, message.sending_at - SECOND)

        assert (await outbox.row()).status == "sending"


class TestALook:
    async def test_counts_only_after_the_settle_time(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        await outbox.sending(claim)

        assert await outbox.store.record_look(await outbox.message(claim)) is None
        await outbox.let_pass(SETTLE_TIME + SECOND)
        assert await outbox.store.record_look(await outbox.message(claim)) == (1, False)

    async def test_of_an_earlier_send_does_not_count_for_a_later_one(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        earlier = await outbox.sending(claim)
        await outbox.let_pass(SETTLE_TIME + SECOND)

        assert await outbox.store.record_look(earlier) is None


class TestAMessage:
    async def test_keeps_its_first_proof(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.sending(claim)

        await outbox.store.record_sent(sent_fact(message, "answer"))
        first = await outbox.row()
        await outbox.store.record_sent(sent_fact(message, "read_back"))

        assert await outbox.row() == first

    async def test_that_was_sent_stays_with_its_event(self, outbox: Outbox) -> None:
        claim = await outbox.claim()
        message = await outbox.sending(claim)
        await outbox.store.record_sent(sent_fact(message, "answer"))
        await outbox.db.execute(
            "update webhook_events set status = 'completed', outcome = 'enriched'"
        )

        await outbox.put(await outbox.claim())

        assert (await outbox.row()).event_id == claim.event_id

    @pytest.mark.parametrize(("looks", "left"), [(1, 1), (2, 0)])
    async def test_is_withdrawn_once_two_looks_did_not_find_it(
        self, outbox: Outbox, looks: int, left: int
    ) -> None:
        claim = await outbox.claim()
        await outbox.sending(claim)
        await outbox.let_pass(SETTLE_TIME + SECOND)
        await outbox.db.execute("update lead_messages set looks = %s", (looks,))

        await outbox.store.withdraw_unsent(claim)

        assert await outbox.db.value("select count(*) from lead_messages") == left

    async def test_is_proven_by_a_payload_of_its_own_lead_alone(self, outbox: Outbox) -> None:
        claim, other = await outbox.claim(), await outbox.claim("another")
        await outbox.sending(claim)

        await outbox.store.begin_work(other, LeadFacts("another"), ["AAAA2222"])
        assert (await outbox.row()).status == "sending"
        await outbox.store.begin_work(claim, LeadFacts("lead"), ["AAAA2222"])
        assert (await outbox.row()).proof == "webhook"


class TestTheSituation:
    async def situation(
        self, outbox: Outbox, other: Callable[[datetime], Awaitable[Any]]
    ) -> Situation:
        """How an event finds its lead next to another event, which is told the event's time."""
        claim = await outbox.claim()
        await other(claim.updated_at)
        return (await outbox.store.begin_work(claim, LeadFacts("lead"), ()))[1]

    @pytest.mark.parametrize(
        ("lead", "status", "newer"),
        [
            pytest.param("lead", "received", True, id="a newer event that waits"),
            pytest.param("lead", "failed", False, id="no newer event that failed"),
            pytest.param("another", "received", False, id="no other lead's event"),
        ],
    )
    async def test_knows(self, outbox: Outbox, lead: str, status: str, newer: bool) -> None:
        async def other(_: datetime) -> None:
            event_id = await outbox.queue.accept(lead)
            await outbox.db.execute(
                "update webhook_events set status = %s where id = %s and status <> %s",
                (status, event_id, status),
            )

        assert (await self.situation(outbox, other)).newer_exists is newer

    @pytest.mark.parametrize(
        ("outcome", "told"),
        [("enriched", "f"), ("partial", "f"), ("superseded", None), ("not_found", None)],
    )
    async def test_counts_as_told_only_what_was_told(
        self, outbox: Outbox, outcome: str, told: str | None
    ) -> None:
        async def other(_: datetime) -> None:
            event_id = await outbox.queue.accept()
            await outbox.db.execute(
                "update webhook_events set status = 'completed', outcome = %s, fingerprint = 'f',"
                " updated_at = updated_at - interval '1 day' where id = %s",
                (outcome, event_id),
            )

        assert (await self.situation(outbox, other)).told_fingerprint == told
