"""The queue's only door to the database: each statement of `sql/queries/queue.sql` has its one
caller here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, LiteralString
from uuid import UUID

import msgspec
from psycopg import errors as pg

from c2s_enrich.database import Pool, statements
from c2s_enrich.queue.backoff import Backoff
from c2s_enrich.queue.claim import Claim, ClaimKey, Ending, Journal
from c2s_enrich.queue.kept_connection import Line

Lane = Literal["oldest", "freshest", "suspect"]
Settled = Literal["settled", "busy", "lost"]

# The place before every event. The mark only speeds the claim up: `sweep` goes back here.
_START = (datetime(1970, 1, 1, tzinfo=UTC), UUID(int=0))

# Another poller can take a lead between our look and our update; each repeat sees its row and looks
# elsewhere.
_CLAIM_TRIES = 5
_TAKEN_MEANWHILE = (pg.UniqueViolation, pg.LockNotAvailable, pg.DeadlockDetected)


@dataclass(frozen=True)
class Outlook:
    """What an idle poller needs to know: seconds until the next event becomes due (None: nothing
    waits); is a suspect due?
    """

    next_due: float | None
    suspect_due: bool


@dataclass(frozen=True)
class Settlement:
    """One claim's end with its history."""

    claim: Claim
    ending: Ending
    journal: Journal


class QueueStore:
    """Claims and settles for one worker. `record_facts` is the statement that records the facts of
    completed events, as a JSON list in its parameter `facts`. `now` moves the clock of every
    statement in tests; production leaves it None.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        worker: str,
        lease: timedelta,
        deadline: timedelta,
        backoff: Backoff,
        record_facts: LiteralString | None = None,
        now: datetime | None = None,
    ) -> None:
        self._pool = pool
        self._sql = statements("queue")
        self._settle = self._sql["settle"]
        if record_facts is not None:
            facts = record_facts.rstrip(";")
            self._settle = self._settle.replace("with ending", f"with fact as ({facts}), ending")
        self.worker = worker
        self._lease = lease
        self._deadline = deadline
        self._backoff = backoff
        self.now = now
        self._mark = _START
        self._breadth = 1
        self.conflicts = 0
        self._claiming, self._settling, self._beating = self._lines = (
            Line(pool),
            Line(pool),
            Line(pool),
        )

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """While inside, claims, settlements and heartbeats keep a connection each (three of the
        pool's).
        """
        for line in self._lines:
            line.steady = True
        try:
            yield
        finally:
            for line in self._lines:
                line.steady = False
                await line.hang_up()

    def sweep(self) -> None:
        """The next claim starts from the very first due event: finds rows that were reset, or
        committed late, behind the mark.
        """
        self._mark = _START

    @property
    def swept(self) -> bool:
        """True when the next claim looks at every due event."""
        return self._mark == _START

    async def claim(
        self, slots: int, lane: Lane = "oldest", window: timedelta = timedelta(minutes=1)
    ) -> list[Claim]:
        """Up to `slots` due events, at most one of each lead, leased to this worker."""
        for turn in range(_CLAIM_TRIES):
            try:
                return await self._claim_once(slots if turn < _CLAIM_TRIES - 1 else 1, lane, window)
            except _TAKEN_MEANWHILE:
                self.conflicts += 1
                await asyncio.sleep(0.002 * turn)
        return []

    async def _claim_once(self, slots: int, lane: Lane, window: timedelta) -> list[Claim]:
        fetch = slots * self._breadth
        mark_at, mark_id = self._mark
        params = {
            "lane": lane, "slots": slots, "fetch": fetch, "mark_at": mark_at, "mark_id": mark_id, "window": window,
            "worker": self.worker, "lease": self._lease, "deadline": self._deadline, "now": self.now,
        }  # fmt: skip
        async with self._claiming.connection() as connection:
            rows = await (await connection.execute(self._sql["claim"], params)).fetchall()
        claims = [
            Claim(
                event_id=row[0],
                lead_id=row[1],
                updated_at=row[2],
                hook_action=row[3],
                payload=row[4],
                attempts=row[5],
                max_attempts=row[6],
                reprocess=row[7],
                lease_token=row[8],
                claimed_at=row[9],
                age=row[10],
                available_at=row[11],
                worker=self.worker,
            )
            for row in rows
        ]
        if lane == "oldest" and claims:
            # Short of the slots though every look was used: one lead fills the head. Look at four
            # times as many until it is over.
            short = len(claims) < slots and rows[0][12] == fetch
            self._breadth = 4 if short else 1
            if not short:
                self._mark = (claims[-1].available_at, claims[-1].event_id)
        return claims

    async def extend_leases(self, claims: Sequence[Claim]) -> dict[ClaimKey, bool]:
        """One statement for all: the claims that are still ours, and whether each was extended
        (False: its row was busy).
        """
        params = {
            "ids": [c.event_id for c in claims],
            "tokens": [c.lease_token for c in claims],
            "lease": self._lease,
            "now": self.now,
        }
        async with self._beating.connection() as connection:
            rows = await (await connection.execute(self._sql["extend_leases"], params)).fetchall()
        return {(event_id, token): extended for event_id, token, extended in rows}

    async def settle(self, settlements: Sequence[Settlement]) -> list[Settled]:
        """Ends the claims and records the facts that go with them, all in one statement. Answers in
        the order of `settlements`.
        """
        facts = [s.ending.fact for s in settlements if s.ending.fact is not None]
        params = {
            "endings": _json([_ending(s) for s in settlements]),
            "facts": _json(facts),
            "now": self.now,
        }
        async with self._settling.connection() as connection:
            rows = await (await connection.execute(self._settle, params)).fetchall()
        answers: dict[ClaimKey, Settled] = {
            (event_id, token): answer for event_id, token, answer in rows
        }
        return [answers[s.claim.key] for s in settlements]

    async def reclaim_expired(self, holding: Sequence[Claim] = ()) -> tuple[int, int]:
        """Gives back what dead or hung workers held: (reclaimed, of which failed for good).

        What this worker is still `holding` it ends by itself, so only a passed deadline takes it
        away.
        """
        params = {
            "holding": [c.event_id for c in holding], "now": self.now, "backoff_base": self._backoff.base, "backoff_cap": self._backoff.cap,
        }  # fmt: skip
        async with self._pool.connection() as connection:
            [(reclaimed, failed)] = await (
                await connection.execute(self._sql["reclaim_expired"], params)
            ).fetchall()
        return reclaimed, failed

    async def outlook(self) -> Outlook:
        async with self._claiming.connection() as connection:
            [row] = await (
                await connection.execute(self._sql["outlook"], {"now": self.now})
            ).fetchall()
        return Outlook(*row)

    async def beat(self, in_flight: int, concurrency: int) -> None:
        """Tells people that this worker lives."""
        async with self._pool.connection() as connection:
            await connection.execute(
                self._sql["poller_beats"],
                {"name": self.worker, "in_flight": in_flight, "concurrency": concurrency},
            )

    async def leave(self) -> None:
        """Tells people that this worker has ended."""
        async with self._pool.connection() as connection:
            await connection.execute(self._sql["poller_leaves"], {"name": self.worker})


def _ending(settlement: Settlement) -> dict[str, object]:
    claim, ending, journal = settlement.claim, settlement.ending, settlement.journal
    return {
        "id": claim.event_id,
        "lease_token": claim.lease_token,
        "result": ending.result,
        "outcome": ending.outcome,
        "error_kind": ending.error_kind,
        "error_message": ending.error_message,
        "delay": ending.delay.total_seconds(),
        "waiting_for": ending.waiting_for,
        "waiting_reason": ending.reason,
        "outcome_detail": _detail(settlement),
        "fingerprint": ending.fingerprint,
        "attempt": claim.attempts,
        "worker": claim.worker,
        "started_at": claim.claimed_at,
        "steps": journal.steps,
        "calls": journal.calls,
    }


def _detail(settlement: Settlement) -> dict[str, object] | None:
    """What the event's outcome or error rests on; None where there is nothing to say."""
    journal = settlement.journal
    detail = journal.detail | ({"answers": journal.answers} if journal.answers else {})
    if settlement.ending.error_message is not None and journal.last_step is not None:
        detail["step"] = journal.last_step
    return detail or None


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
