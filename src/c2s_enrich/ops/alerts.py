"""Posts what begins and what ends to ALERT_WEBHOOK_URL, in Slack's format.

The table `alerts` remembers what was told, so many processes say a thing once and a restart repeats
nothing. A post that fails is tried again in the next round: told at least once.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from html import escape
from urllib.parse import quote

import psycopg

from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, Statements
from c2s_enrich.ops.health import AWAY, Health
from c2s_enrich.ops.problems import Problem
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.serving.server import monitor
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

_ROUND = timedelta(seconds=30)
# What is over within a minute heals by itself.
_HOLD = timedelta(minutes=1)
_AWAY_SECONDS, _POST_SECONDS = 120.0, 10.0

_log = get_logger(__name__)


@dataclass(frozen=True)
class Alert:
    """One thing to tell; `since` is its age, `over` says that it has ended."""

    key: str
    text: str
    since: timedelta
    over: bool


class Alerts:
    """One process's part: it looks, and where it has the turn it tells for all."""

    def __init__(
        self,
        pool: Pool,
        health: Health,
        clock: Clock,
        settings: Settings,
        process: str,
        hold: timedelta = _HOLD,
    ) -> None:
        """`process` begins with its kind: web, poller or ops. Pollers tell of valuable leads."""
        self._pool, self._sql, self._health = pool, Statements(pool, "alerts"), health
        self._clock, self._settings, self._process, self._hold = clock, settings, process, hold
        self._kind = process.split()[0]
        self._away_since: float | None = None
        self._away_told = False

    async def run(self) -> None:
        """A round every half minute, for ever; trouble is logged and tried again."""
        while True:
            try:
                await self.once(_ROUND * 0.9)
            except (psycopg.Error, OSError, TimeoutError) as error:
                _log.warning("alerts_wait", error=type(error).__name__)
            await self._clock.sleep(_ROUND.total_seconds())

    async def once(self, every: timedelta) -> None:
        """One round; no other process does the common part again before `every` has passed."""
        facts, problems = await self._health.look()
        await self._tell_of_database(facts is None and AWAY in problems)
        if facts is None:
            return
        # What only this process knows it tells itself; the rest is told by whoever has the turn.
        await self._tell(self._process, [each for each in problems if each.code == "own"])
        # What doctor asks for: alerts of pollers alone do not tell that all pollers are dead.
        await take_turn(self._pool, f"alerts of {self._kind}", every)
        if await take_turn(self._pool, "alerts", every):
            await self._tell("service", [p for p in problems if p.code != "own" and p.urgent])
            income = self._settings.alert_income_from
            if income and self._kind == "poller":
                await self._sql.rows("valuable_leads", income=income)
                await self._post_new("leads", timedelta())
            await self._sql.rows("forget_alerts")

    async def _tell_of_database(self, away: bool) -> None:
        """From memory: a table could not be asked. Each process says it once."""
        now = self._clock.boottime()
        if not away:
            said = f":white_check_mark: {self._process}: the database answers again."
            self._away_told = self._away_told and not await self._post(said)
            self._away_since = None
            return
        self._away_since = now if self._away_since is None else self._away_since
        if not self._away_told and now - self._away_since >= _AWAY_SECONDS:
            said = f":red_circle: {self._process}: the database has not answered for 2 minutes."
            self._away_told = await self._post(said)

    async def _tell(self, scope: str, problems: Sequence[Problem]) -> None:
        keys = [f"{scope}:{each.key}" for each in problems]
        texts = [f"{each.sentence} `{each.command}`".removesuffix(" ``") for each in problems]
        await self._sql.rows("note_problems", scope=scope, keys=keys, texts=texts)
        await self._post_new(scope, self._hold)

    async def _post_new(self, scope: str, hold: timedelta) -> None:
        alerts = await self._sql.read(Alert, "alerts_to_tell", scope=scope, hold=hold)
        if alerts and await self._post("\n".join(map(self._line, alerts))):
            await self._sql.rows("alerts_told", keys=[each.key for each in alerts])

    def _line(self, alert: Alert) -> str:
        # In Slack <!channel> calls everybody.
        text, given = escape(alert.text, quote=False), self._settings
        if alert.key.startswith("lead:"):
            link = given.lead_link.replace("{lead_id}", quote(alert.text, safe=""))
            income = f"A lead with an income from {given.alert_income_from}"
            return f":large_green_circle: {income}: {link or f'lead {text}'}"
        if alert.over:
            minutes = alert.since.total_seconds() / 60
            return f":white_check_mark: Over, {minutes:.0f} min after it began: {text}"
        return f":red_circle: {text}"

    async def _post(self, text: str) -> bool:
        # Here: web, for one, has no other use for httpx.
        from c2s_enrich.upstreams.transport import ask_once

        try:
            status, _ = await ask_once(
                self._settings.alert_webhook_url.reveal(),
                seconds=_POST_SECONDS,
                body=json.dumps({"text": text}).encode(),
                headers={"content-type": "application/json"},
            )
        except OSError as error:
            _log.warning("alert_not_delivered", error=str(error) or type(error).__name__)
            return False
        delivered = 200 <= status < 300
        tell = _log.info if delivered else _log.warning
        tell("alert_delivered" if delivered else "alert_not_delivered", status=status)
        return delivered


@asynccontextmanager
async def watch(
    settings: Settings, pool: Pool, metrics: Metrics, health: Health, process: str, watched: bool
) -> AsyncIterator[str | None]:
    """Serves METRICS_PORT (yields its address) and sends alerts while inside, where `watched`."""
    if not watched:
        yield None
        return
    name = f"{process} on {socket.gethostname()[:30]}"
    sender = Alerts(pool, health, Clock(), settings, name)
    async with monitor(settings, metrics, health.routes(), health.refresh) as address:
        alerting = asyncio.create_task(sender.run()) if settings.alert_webhook_url else None
        try:
            yield address
        finally:
            if alerting is not None:
                alerting.cancel()
