"""A failing upstream heals without hands: all pollers stop calling it, events wait for it, and not
one of them fails.
"""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from tests.promises.conftest import Product

# What is under way when a pause begins, in both pollers, may still arrive for so long.
UNDER_WAY_SECONDS = 0.5


class TestAnOutage:
    async def test_pauses_the_upstream_and_ends_with_every_event_completed(
        self, product: Product
    ) -> None:
        await product.fault("diretrix", {"kind": "error500"})
        leads = await _deliver(product, 4)
        product.stage.start_poller()
        await product.until("all pollers stop calling it", _paused("diretrix"))

        await product.fault("diretrix")
        # Far less than the mark of a probe lasts: whatever waited is due when the probe has come
        # back.
        await product.until_all_ended(20)

        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        assert (
            await product.db.value("select count(*) from webhook_events where status = 'failed'")
            == 0
        )
        assert (
            await product.db.value("select paused_until from upstreams where name = 'diretrix'")
            is None
        )


class TestAnUpstreamThatAsksToWait:
    async def test_is_left_alone_for_so_long_in_whichever_way_it_says_it(
        self, product: Product
    ) -> None:
        for poller in ("first", "second"):
            product.stage.start_poller(poller)
        leads: list[str] = []

        await _ask_to_wait(product, leads, "diretrix", "1")
        await _ask_to_wait(product, leads, "work_api", "1 second")
        # Without fractions: up to a second less is left of it, but a second at least is waited.
        await _ask_to_wait(
            product,
            leads,
            "c2s",
            format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True),
        )

        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        assert await product.db.value("select max(attempts) from webhook_events") == 1, (
            "waiting has spent attempts"
        )
        assert (
            await product.db.value(
                "select count(*) from event_attempts where result not in ('completed', 'postponed')"
            )
            == 0
        )


class TestARefusedCredential:
    async def test_stops_every_poller_and_is_said_and_one_probe_finds_it_mended(
        self, product: Product
    ) -> None:
        await product.fault("work_api", {"kind": "unauthorised"})
        leads = await _deliver(product, 8)
        for poller in ("first", "second"):
            product.stage.start_poller(poller, CONCURRENCY="1")
        await product.until(
            "every event waits for it",
            "count(*) = 8 from webhook_events where status = 'received' and waiting_for ="
            " 'work_api'",
        )

        assert 1 <= len(await _calls(product, "work_api")) <= 2, "one call of each poller at most"
        # A probe may be under way again: its attempt is given back when it ends.
        spent = "select max(attempts) from webhook_events where status = 'received'"
        assert await product.db.value(spent) == 0
        assert await product.db.fetch("select distinct result from event_attempts") == [
            ("postponed",)
        ]
        [problem] = await _problems(product)
        assert re.fullmatch(
            r"work_api refuses our credential: no calls for another \d+ s\.", problem
        )

        # Somebody mends it, and the pause's time passes. Only one event is due by itself.
        await product.fault("work_api")
        await product.db.execute(
            "update upstreams set paused_until = now() where name = 'work_api'"
        )
        await product.db.execute(
            "update webhook_events set available_at = now() where lead_id = %s", (leads[0],)
        )
        await product.until_all_ended(20)

        assert {
            lead: len(texts) for lead, texts in (await product.messages()).items()
        } == dict.fromkeys(leads, 1)
        async with asyncio.timeout(5):
            while await _problems(product):
                await asyncio.sleep(0.1)


async def _deliver(product: Product, count: int, first: int = 0) -> list[str]:
    """So many new leads of new people; their ids."""
    leads = [f"{number + 1:032x}" for number in range(first, first + count)]
    for number, lead in enumerate(leads, start=first):
        await product.deliver(lead, product.people[number])
    return leads


async def _ask_to_wait(product: Product, leads: list[str], upstream: str, retry_after: str) -> None:
    """The upstream asks everybody to wait (a second at least) until it is paused, and then works
    again; `leads` gets two more.
    """
    before = len(await _calls(product, upstream))
    await product.fault(upstream, {"kind": "throttle", "retry_after": retry_after})
    leads += await _deliver(product, 2, first=len(leads))
    await product.until(f"{upstream} is paused", _paused(upstream))
    await product.fault(upstream)
    await product.until_all_ended(20)

    calls = (await _calls(product, upstream))[before:]
    refused_at = min(call["ended"] for call in calls if call["status"] == 429)
    silence = (refused_at + UNDER_WAY_SECONDS, refused_at + 1.0)
    assert [call for call in calls if silence[0] < call["started"] < silence[1]] == [], (
        f"{upstream} was called while it asked to wait"
    )
    assert any(call["started"] >= silence[1] for call in calls)


async def _calls(product: Product, upstream: str) -> list[dict[str, Any]]:
    return [call for call in (await product.calls())["calls"] if call["upstream"] == upstream]


async def _problems(product: Product) -> list[str]:
    """What /health says is wrong; it may be a second old."""
    health = (await product.stage.client.get(f"{product.stage.web_url}/health")).json()
    assert (health["status"] == "healthy") == (health["problems"] == [])
    return list(health["problems"])


def _paused(upstream: str) -> str:
    return f"exists (select from upstreams where name = '{upstream}' and paused_until is not null)"
