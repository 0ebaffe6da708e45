"""The queue's only door to the database: each statement of `queue.sql` has its caller here."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, LiteralString, NamedTuple, cast
from uuid import UUID

import msgspec

from c2s_enrich.connection import Statement
from c2s_enrich.database import Pool, Statements, statements, wire_statements
from c2s_enrich.queue.claim import Claim, ClaimKey, Ending, Journal
from c2s_enrich.queue.kept_connection import KeptConnection
from c2s_enrich.settings import Settings

# The table's own bound: what is longer would be refused, and with it every ending of its batch.
_ERROR_LENGTH = 1000

Lane = Literal["oldest", "freshest", "suspect"]
Settled = Literal["settled", "busy", "lost"]
# A place in the order of the ordinary lane.
Place = tuple[datetime, UUID]
# One claim's end with its history.
Settlement = tuple[Claim, Ending, Journal]


class Look(NamedTuple):
    """Where a claim looks: a lane, and in the ordinary one the place after which it begins."""

    lane: Lane
    after: Place


class Outlook(NamedTuple):
    """What a poller at rest must know. `next_due`: seconds until the next event becomes due, None
    where nothing waits; `silent`: workers with a pulse and no session left; `suspect_held`: by this
    worker's process for suspects.
    """

    next_due: float | None
    due: bool
    suspect_due: bool
    lease_over: bool
    others_busy: bool
    silent: list[str]
    suspect_held: bool


@dataclass(eq=False)
class QueueStore:
    """Claims and settles for one worker. `record_facts` is the statement that records the facts of
    completed events, as a JSON list in its parameter `facts`. `metrics_address` is where this
    process serves its metrics. `now` moves the clock of every statement in tests.
    """

    pool: Pool
    settings: Settings
    worker: str
    record_facts: LiteralString | None = None
    version: str | None = None
    now: datetime | None = None
    metrics_address: str | None = None

    def __post_init__(self) -> None:
        self._rows = Statements(self.pool, "queue").rows
        self._sql = dict(wire_statements("queue"))
        if self.record_facts is not None:
            fact = f"with fact as ({self.record_facts.rstrip(';')}), ending"
            settle = statements("queue")["settle"].replace("with ending", fact, 1)
            self._sql["settle"] = Statement(settle)
        self._kept = tuple(KeptConnection(self.pool) for _ in range(3))
        self._claiming, self._settling, self._beating = self._kept

    @property
    def _common(self) -> dict[str, Any]:
        """What the statements take from; each knows its own parameters."""
        s = self.settings
        return {
            "worker": self.worker,
            "now": self.now,
            "lease": s.lease,
            "deadline": s.attempt_deadline,
            "max_attempts": s.max_attempts,
            "backoff_base": s.backoff_base,
            "backoff_cap": s.backoff_cap,
        }

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """While inside, claims, settlements and heartbeats keep a connection of the pool each."""
        for kept in self._kept:
            kept.steady = True
        try:
            yield
        finally:
            for kept in self._kept:
                await kept.hang_up()
                kept.steady = False

    async def claim(
        self, look: Look, slots: int, window: timedelta = timedelta(minutes=1)
    ) -> tuple[list[Claim], Place]:
        """Up to `slots` due events, at most one of each lead, leased to this worker; and how far it
        looked. Raises UniqueViolation or LockNotAvailable when another poller took a lead.
        """
        params = self._common | {
            "lane": look.lane,
            "slots": slots,
            "mark_at": look.after[0],
            "mark_id": look.after[1],
            "window": window,
        }
        async with self._claiming.connection() as connection:
            _, rows = await connection.ask(self._sql["claim"], params, binary=True)
        claims = [Claim._make((*row[:12], self.worker)) for row in rows]
        return claims, rows[0][12:] if rows else look.after

    async def extend_leases(self, claims: Sequence[Claim]) -> dict[ClaimKey, bool]:
        """One statement for all: the claims that are still ours, and whether each was extended
        (False: its row was busy).
        """
        ids, tokens = [c.event_id for c in claims], [c.lease_token for c in claims]
        params = self._common | {"ids": ids, "tokens": tokens}
        async with self._beating.connection() as connection:
            _, rows = await connection.ask(self._sql["extend_leases"], params)
        return {(event_id, token): extended for event_id, token, extended in rows}

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Ends claims and records their facts in one statement. Answers in their order."""
        facts = [ending.fact for _, ending, _ in settlements if ending.fact is not None]
        endings = [_told(n, *settlement) for n, settlement in enumerate(settlements)]
        params = self._common | {"endings": _json(endings), "facts": _json(facts)}
        async with self._settling.connection() as connection:
            _, [(answers,)] = await connection.ask(self._sql["settle"], params)
        return cast("list[Settled]", answers)

    async def reclaim(
        self, holding: Sequence[Claim] = (), dead: Sequence[str] = ()
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Gives back what `dead` or hung workers held: the events, each with event_id, lead_id,
        attempt, worker and failed, and the workers whose rows somebody has locked. What this worker
        is still `holding` it ends by itself, so only a passed deadline takes it away.
        """
        params = self._common | {"holding": [c.event_id for c in holding], "dead": list(dead)}
        [(reclaimed, locked_by)] = await self._rows("reclaim", **params)
        return reclaimed, locked_by

    async def catch_up(self) -> int:
        """How many events the database's clock, now set right, had stored with a time to come."""
        return len(await self._rows("catch_up"))

    async def end_sessions(self, worker: str) -> int:
        """Ends what that worker has open in the database; how many sessions there were."""
        [(ended,)] = await self._rows("end_sessions", worker=worker)
        return int(ended)

    async def beat(
        self, in_flight: int, concurrency: int, pulse: bool, suspects: str = ""
    ) -> Outlook:
        """Says that this worker lives, and answers what one at rest must know."""
        params = self._common | {
            "in_flight": in_flight,
            "concurrency": concurrency,
            "pulse": pulse,
            "suspects": suspects,
            "version": self.version,
            "metrics": self.metrics_address,
        }
        [row] = await self._rows("beat", **params)
        return Outlook(*row)

    async def leave(self, names: Sequence[str]) -> None:
        """These workers have ended."""
        await self._rows("pollers_leave", names=names)


def _told(n: int, claim: Claim, ending: Ending, journal: Journal) -> dict[str, object]:
    """What there is to say of one ending; the statement takes the rest for null."""
    detail = dict(journal.detail)
    if journal.answers:
        detail["answers"] = journal.answers
    if ending.error_message is not None and journal.steps:
        # Where an attempt that ended early was.
        detail["step"] = journal.steps[-1]["step"]
    told = {
        "outcome": ending.outcome,
        "fingerprint": ending.fingerprint,
        "error_kind": ending.error_kind,
        "error_message": ending.error_message and ending.error_message[:_ERROR_LENGTH],
        "waiting_for": ending.waiting_for,
        "waiting_reason": ending.reason,
        "steps": journal.steps,
        "calls": journal.calls,
        "outcome_detail": detail,
    }
    return {
        "n": n,
        "id": claim.event_id,
        "lease_token": claim.lease_token,
        "result": ending.result,
        "delay": ending.delay.total_seconds(),
        **{name: value for name, value in told.items() if value},
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
