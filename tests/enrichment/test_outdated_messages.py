"""A lead changes while nobody knows whether the message about its former contact arrived: no row of
the outbox stays unclear.
"""

from typing import Any

from tests.brokerage import Brokerage

from c2s_enrich.sandbox.simulators.faults import Fault

LEAD = "a" * 32


async def send_without_an_answer(brokerage: Brokerage, kind: str) -> None:
    """An event that names no contact takes the lead's. Its message may have been sent; then a newer
    event changes the contact.
    """
    brokerage.world.dial.set("c2s", Fault(kind, call="message", count=1))
    first = await brokerage.accept(LEAD, brokerage.people[0])
    await brokerage.db.execute(
        "update webhook_events set payload_raw = payload_raw #- '{data,attributes,customer}'"
        " where id = %s",
        [first],
    )
    await brokerage.work()
    assert await brokerage.db.value("select status from lead_messages") == "sending"

    second = await brokerage.accept(LEAD, brokerage.people[1])
    # Its payload shows no message: that would be a receipt.
    await brokerage.db.execute(
        "update webhook_events set payload_raw = payload_raw #- '{data,attributes,messages}' #-"
        " '{data,messages}' where id = %s",
        [second],
    )
    await brokerage.db.execute(
        "update webhook_events set available_at = now() + interval '1 hour' where attempts > 0"
    )
    await brokerage.work()
    assert await brokerage.outcomes() == {LEAD: "enriched"}


async def come_back(brokerage: Brokerage, **settings: Any) -> None:
    """The older event's turn, long after the settle time."""
    await brokerage.db.execute(
        "update lead_messages set sending_at = sending_at - interval '1 hour' where status ="
        " 'sending'"
    )
    await brokerage.db.execute(
        "update webhook_events set available_at = now() where status = 'received'"
    )
    await brokerage.work(**settings)


class TestAMessageThatIsOutdatedBeforeItIsClear:
    async def test_counts_as_sent_once_it_is_found_on_the_lead(self, brokerage: Brokerage) -> None:
        await send_without_an_answer(brokerage, "accept_then_lose")

        await come_back(brokerage)

        assert (
            await brokerage.db.value(
                "select count(*) from webhook_events where status <> 'completed'"
            )
            == 0
        )
        proofs = await brokerage.db.fetch(
            "select status, proof from lead_messages order by created_at"
        )
        assert proofs == [("sent", "read_back"), ("sent", "answer")]
        assert len(brokerage.messages(LEAD)) == 2

    async def test_is_withdrawn_once_two_looks_did_not_find_it(self, brokerage: Brokerage) -> None:
        await send_without_an_answer(brokerage, "reset")

        await come_back(brokerage)
        assert (
            await brokerage.db.value("select status from lead_messages where looks > 0")
            == "sending"
        )
        await come_back(brokerage)

        assert (
            await brokerage.db.value(
                "select count(*) from webhook_events where status <> 'completed'"
            )
            == 0
        )
        assert await brokerage.db.fetch("select status, proof from lead_messages") == [
            ("sent", "answer")
        ]
        assert len(brokerage.messages(LEAD)) == 1

    async def test_is_cleared_up_as_well_when_nobody_is_found_any_more(
        self, brokerage: Brokerage
    ) -> None:
        brokerage.world.dial.set("c2s", Fault("accept_then_lose", call="message", count=1))
        await brokerage.accept(LEAD, brokerage.people[0])
        await brokerage.work()
        await brokerage.db.execute("update contact_lookups set candidates = '[]'")

        await come_back(brokerage, CPF_SOURCES="diretrix")

        assert await brokerage.outcomes() == {LEAD: "not_found"}
        assert await brokerage.db.fetch("select status, proof from lead_messages") == [
            ("sent", "read_back")
        ]
