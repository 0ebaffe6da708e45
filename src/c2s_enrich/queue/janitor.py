"""The janitor: says that this poller lives, and gives back what dead or hung ones held."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.queue.flights import Flights
from c2s_enrich.queue.store import Outlook, QueueStore
from c2s_enrich.queue.suspects import SuspectProcess
from c2s_enrich.queue.wakeup import Listener
from c2s_enrich.telemetry.lines import get_logger
from c2s_enrich.telemetry.metrics import Metrics

_log = get_logger("c2s_enrich.queue")

# While anybody has work in flight, a death is noticed within two looks.
_BUSY_SECONDS = 1.0
# People and /health see a poller beat at least this often.
_IDLE_SECONDS = 10.0
# Rare, because each turn costs statements also at rest. Retention may wait so long.
_HOUSEKEEPING_SECONDS = 300.0
# A worker whose session has ended may be connecting again, as all do after a fail-over.
_CONFIRM_SECONDS = 1.0


@dataclass
class Janitor:
    """`reclaimed` is called when events have been given back. While the listener is connected, the
    server can see this worker's life.
    """

    store: QueueStore
    flights: Flights
    suspects: SuspectProcess
    clock: Clock
    metrics: Metrics
    concurrency: int
    lease: timedelta
    reclaimed: Callable[[], None]
    listener: Listener | None
    _silent_since: dict[str, float] = field(default_factory=dict, init=False)
    _locked_since: dict[str, float] = field(default_factory=dict, init=False)
    _looked_at = float("-inf")
    _others_busy = False

    async def run(self) -> None:
        """Looks round for ever: every second while there is work in flight anywhere."""
        while True:
            busy = self.flights or self._others_busy or self.suspects.running
            every = _BUSY_SECONDS if busy else _IDLE_SECONDS
            if self.clock.boottime() - self._looked_at >= every:
                try:
                    await self.look()
                except Exception as error:
                    if not is_transient(error):
                        raise
                    _log.warning("janitor_waits", error=type(error).__name__)
            await self.clock.sleep(min(_BUSY_SECONDS, self.lease.total_seconds() / 3))

    async def look(self) -> Outlook:
        """Beats, and does what the answer asks for."""
        pulse = self.listener is not None and self.listener.connected
        suspects = self.suspects.name
        outlook = await self.store.beat(len(self.flights), self.concurrency, pulse, suspects)
        now = self.clock.boottime()
        # A look that took long, or was long ago, proves no more than another.
        since = min(_BUSY_SECONDS, now - self._looked_at)
        self.suspects.end_if_stuck(at_work=outlook.suspect_held, seconds=since)
        self._looked_at = now
        self._others_busy = outlook.others_busy or outlook.lease_over or bool(outlook.silent)
        dead = self._lasting(self._silent_since, outlook.silent, _CONFIRM_SECONDS)
        dead += self.suspects.take_ended()
        if dead or outlook.lease_over:
            await self._reclaim(dead)
        if outlook.suspect_due:
            await self.suspects.start()
        return outlook

    async def _reclaim(self, dead: list[str]) -> None:
        holding = [flight.claim for flight in self.flights.values()]
        reclaimed, locked_by = await self.store.reclaim(holding, dead)
        if reclaimed:
            for event in reclaimed:
                _log.warning("reclaimed", **event)
            failed = sum(event["failed"] for event in reclaimed)
            self.metrics.event("reclaimed", len(reclaimed))
            self.metrics.event("failed", failed, "worker_lost")
            self.reclaimed()
        elif dead and not locked_by:
            await self.store.leave(dead)
        for worker in self._lasting(self._locked_since, locked_by, self.lease.total_seconds() / 3):
            sessions = await self.store.end_sessions(worker)
            _log.warning("sessions_ended", worker=worker, sessions=sessions)

    def _lasting(self, since: dict[str, float], seen: list[str], seconds: float) -> list[str]:
        """Those that have been seen in each look for so long; `since` is brought up to date."""
        now = self.clock.boottime()
        kept = {name: since.get(name, now) for name in seen}
        since.clear()
        since.update(kept)
        return [name for name, began in kept.items() if now - began >= seconds]

    async def housekeeping(self, duties: tuple[Callable[[], Awaitable[None]], ...]) -> None:
        """The further duties, apart from the looks: they may take long, and may fail."""
        while True:
            for duty in (self._catch_up, *duties):
                try:
                    await duty()
                except Exception:
                    _log.exception("housekeeping_failed")
            await self.clock.sleep(_HOUSEKEEPING_SECONDS)

    async def _catch_up(self) -> None:
        if events := await self.store.catch_up():
            _log.warning("clock_was_ahead", events=events)
            self.reclaimed()
