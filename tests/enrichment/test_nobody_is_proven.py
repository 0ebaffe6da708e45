"""An answer that proves nothing is never remembered as "nobody", and the source is named."""

from typing import Any

import httpx
import pytest
from tests.brokerage import Brokerage

from c2s_enrich.sandbox.simulators.app import build_simulators
from c2s_enrich.sandbox.simulators.transport import SimulatedTransport

LEAD = "a" * 32
PAGE = "<!DOCTYPE html><html><title>Not found</title></html>"


class ProxyInFrontOfDiretrix(SimulatedTransport):
    """Answers for Diretrix with a web page of its own."""

    status = 404

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if "/Consultas/" in request.url.path:
            return httpx.Response(self.status, html=PAGE)
        return await super().handle_async_request(request)


@pytest.fixture
def proxied(brokerage: Brokerage) -> Brokerage:
    brokerage.transport = ProxyInFrontOfDiretrix(build_simulators(brokerage.world))
    return brokerage


async def work_through_the_tries(brokerage: Brokerage, tries: int, **settings: Any) -> None:
    for _ in range(tries):
        await brokerage.work(**settings)
        await brokerage.db.execute("update upstreams set paused_until = null, failures = 0")
        await brokerage.db.execute(
            "update webhook_events set available_at = now() where status = 'received'"
        )


async def kept(brokerage: Brokerage) -> list[tuple[str, str]]:
    return await brokerage.db.fetch("select source, kind from contact_lookups")


class TestAWebPageThatSaysNotFound:
    @pytest.mark.parametrize("status", [400, 404])
    async def test_is_tried_again_and_then_nobody_without_being_remembered(
        self, proxied: Brokerage, status: int
    ) -> None:
        assert isinstance(proxied.transport, ProxyInFrontOfDiretrix)
        proxied.transport.status = status
        await proxied.accept(LEAD, proxied.people[0])

        await work_through_the_tries(proxied, 3, CPF_SOURCES="diretrix")
        assert await proxied.outcomes() == {LEAD: "received"}
        await work_through_the_tries(proxied, 1, CPF_SOURCES="diretrix")

        assert await proxied.outcomes() == {LEAD: "not_found"}
        assert await kept(proxied) == []
        detail = await proxied.db.value("select outcome_detail from webhook_events")
        assert detail["unproven"] == ["diretrix"]
        told = await proxied.db.value("select unproven from health_last_hour")
        assert told == "1 diretrix"

    async def test_leaves_the_next_source_its_turn(self, proxied: Brokerage) -> None:
        await proxied.accept(LEAD, proxied.people[0])

        await work_through_the_tries(proxied, 4)

        assert await proxied.outcomes() == {LEAD: "enriched"}
        assert await kept(proxied) == [("work_api", "phone")]


class TestTheCountByArea:
    async def test_says_how_often_nobody_was_known(self, brokerage: Brokerage) -> None:
        await brokerage.accept(LEAD, brokerage.people[0], phone="88912340071", email=None)

        await brokerage.work()

        rows = await brokerage.db.fetch("select ddd, source, answers, not_found from v_found_share")
        assert sorted(rows) == [("88", "diretrix", 1, 1), ("88", "work_api", 1, 1)]
