"""A flight: one claim that this poller works on, until it is known how its attempt ends."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Literal

from c2s_enrich.database import is_transient
from c2s_enrich.errors import LeaseLost
from c2s_enrich.queue.claim import Claim, Ending, Handler, Journal, Lease
from c2s_enrich.queue.verdict import database_away, verdict
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import Level, begin_attempt, get_logger

_log = get_logger("c2s_enrich.queue")

# Spreads what would otherwise come back together.
chance = random.random

Why = Literal["taken_away", "lease_over", "deadline", "leaving", "settling"]


@dataclass(eq=False)
class Flight:
    """One claim with its task, its lease, and why the task was ended before its time. `ending` is
    there once the attempt is over. `busy_wait`: seconds to the next try to settle it, where
    somebody else has the row locked: mostly another statement of milliseconds.
    """

    claim: Claim
    lease: Lease
    journal: Journal
    task: asyncio.Task[None] = field(init=False)
    ending: Ending = field(init=False)
    why: Why | None = None
    begun: bool = False
    busy_wait: float = 0.02

    async def attempt(self, handler: Handler, settings: Settings) -> Ending | None:
        """Runs the handler. None when there is nothing to settle: the event is someone else's."""
        error: BaseException
        try:
            self.begun = True
            if self.why is not None:
                raise asyncio.CancelledError
            begin_attempt(self.journal.record, self._named())
            await self.journal.at("claimed")
            return Ending("completed", *await handler(self.claim, self.lease, self.journal))
        except asyncio.CancelledError:
            match self.why:
                case "taken_away":
                    return None
                case "leaving":
                    return Ending("released")
                case "lease_over":
                    error = LeaseLost("the lease ended before it could be extended")
                case "deadline":
                    error = TimeoutError("the attempt passed its deadline")
                case _ if self.task.cancelling():
                    raise  # the whole poller is being ended
                case _:
                    error = RuntimeError("the handler was cancelled from within")
        except Exception as raised:
            error = raised
        if is_transient(error):
            _log.warning("database_trouble", error=type(error).__name__)
            return database_away(self.claim, settings, chance())
        ending = verdict(error, self.claim, settings, chance())
        if ending.error_kind == "bug":
            _log.error("bug", exc_info=error)
        return ending

    def end(self, why: Why) -> None:
        """Ends the task, once, and never while its settlement is under way. A task that has not
        begun would never run and never settle: it ends itself at its first step.
        """
        if self.why is None:
            self.why = why
            if self.begun:
                self.task.cancel()

    def take_away(self) -> None:
        """The event belongs to someone else now."""
        self.lease.taken_away = True
        self.end("taken_away")

    def tell(self, transition: str) -> float:
        """The one line of this attempt in the log. Seconds since the event arrived."""
        elapsed = self.journal.elapsed
        since_received = self.claim.age.total_seconds() + elapsed
        facts = self._named() | self.journal.told()
        facts |= {"duration_s": round(elapsed, 3), "since_received_s": round(since_received, 3)}
        if hasattr(self, "ending"):
            facts |= self.ending.told()
        level: Level = "warning" if transition in ("failed", "lease_lost") else "info"
        _log.tell(level, transition, facts, searched=False)
        return since_received

    def _named(self) -> dict[str, object]:
        claim = self.claim
        return {"event_id": claim.event_id, "lead_id": claim.lead_id, "attempt": claim.attempts}
