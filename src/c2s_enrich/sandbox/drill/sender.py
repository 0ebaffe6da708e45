"""The CRM of the drill: posts the stream, the same bytes again and again until each delivery is
answered 200, and remembers which were.

Nobody knows whether the real C2S sends twice. Here a refused delivery comes again, so that a stream
under fire still has events to lose; only what was answered 200 counts as accepted. Nothing that
answers, or does not, ends it.
"""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime

import httpx

from c2s_enrich.sandbox.drill.audit import EventKey
from c2s_enrich.sandbox.simulators.payloads import Delivery
from c2s_enrich.sandbox.simulators.stream import Stream
from c2s_enrich.sandbox.stage import WEBHOOK_TOKEN, Stage

_AGAIN_SECONDS, _AGAIN_AT_MOST = 0.2, 2.0
# Longer than STORE_TIMEOUT, so that a 503 is heard.
_PATIENCE_SECONDS = 4.0
# More would only wait in the client while web is away.
_AT_ONCE = 40


class DrillSender:
    """The first of the records: `accepted` holds what a 200 was read for, and when (monotonic)."""

    def __init__(self, stage: Stage, stream: Stream) -> None:
        self.accepted: dict[EventKey, float] = {}
        self.refusals = 0
        self._stage = stage
        self._stream = stream
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def send(self, events: int, seconds: float) -> None:
        """The whole stream, spread over the time. Returns when everything is accepted."""
        pace = seconds / events
        async with asyncio.TaskGroup() as group:
            for delivery in self._stream.deliveries(events):
                await asyncio.sleep(delivery.pause * pace)
                await self._room.acquire()
                # Before its task: a later event of the same lead must not be overtaken at C2S by
                # what an earlier one says.
                for lead in delivery.leads:
                    await self._tell_c2s(lead.lead_id, lead.to_json())
                group.create_task(self._deliver(delivery))

    async def _tell_c2s(self, lead_id: str, body: object) -> None:
        url = f"{self._stage.simulators_url}/_sim/leads/{lead_id}"
        while not await self._is_taken("PUT", url, json.dumps(body).encode()):
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await asyncio.gather(
                *(self._post_until_accepted(delivery) for _ in range(delivery.copies))
            )
        finally:
            self._room.release()

    async def _post_until_accepted(self, delivery: Delivery) -> None:
        url = f"{self._stage.web_url}/api/v1/webhooks/c2s"
        body, wait = json.dumps(delivery.body).encode(), _AGAIN_SECONDS
        while not await self._is_taken("POST", url, body):
            self.refusals += 1
            await asyncio.sleep(wait)
            wait = min(wait * 2, _AGAIN_AT_MOST)
        for lead, at in delivery.events:
            self.accepted.setdefault((lead, datetime.fromisoformat(at)), time.monotonic())

    async def _is_taken(self, method: str, url: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json", "X-Webhook-Token": WEBHOOK_TOKEN}
        try:
            answer = await self._stage.client.request(
                method, url, content=body, headers=headers, timeout=_PATIENCE_SECONDS
            )
        except (httpx.HTTPError, httpx.StreamError, OSError):
            return False
        return answer.status_code == 200
