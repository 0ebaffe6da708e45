"""Remembered answers: nothing is paid for twice within its freshness, not even by two leads in the
same instant.

An answer is stored the moment it arrives, so a retry, a reprocess and the next lead of the same
person all find it. Who asks first takes the question (`answers_under_way`); others wait for the
answer instead of paying for their own. A question lapses with the lease of the event that asks, so
a killed poller blocks nobody for longer than that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from c2s_enrich.clock import Clock
from c2s_enrich.enrichment.people_store import PeopleStore
from c2s_enrich.enrichment.store import EnrichmentStore, Remembered
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.telemetry.attempt import tell_attempt

T = TypeVar("T")

# How often a waiting event looks for the other's answer. Answers take 0.4 to 30 s; a look costs a
# fraction of a millisecond.
_LOOK_SECONDS = 0.1


class AnswerMetrics(Protocol):
    """Where answers are counted: `source` is an upstream's name; `found` says whether it knew
    anybody.
    """

    def answer(self, source: str, *, remembered: bool, found: bool) -> None: ...


class Memory:
    """Asks through the database's memory. Freshness: found answers live long, "nobody" and "no
    record" shorter.
    """

    def __init__(
        self,
        store: EnrichmentStore,
        people: PeopleStore,
        clock: Clock,
        metrics: AnswerMetrics,
        *,
        lookup_ttl: timedelta,
        lookup_nobody_ttl: timedelta,
        record_ttl: timedelta,
        record_nobody_ttl: timedelta,
    ) -> None:
        self._store = store
        self._people = people
        self._clock = clock
        self._metrics = metrics
        self._lookup_ttl = {True: lookup_ttl, False: lookup_nobody_ttl}
        self._record_ttl = {True: record_ttl, False: record_nobody_ttl}

    async def candidates(
        self,
        claim: Claim,
        source: str,
        kind: str,
        contact: str,
        ask: Callable[[], Awaitable[tuple[Candidate, ...]]],
    ) -> tuple[Candidate, ...]:
        """Who `source` suggests for a contact; asks it only when no fresh answer is there."""
        what = f"{source} {kind} {contact}"

        async def recall() -> Remembered[tuple[Candidate, ...]] | None:
            return await self._store.recall_lookup(source, kind, contact)

        async def keep(answer: tuple[Candidate, ...], asked_at: datetime) -> None:
            await self._store.keep_lookup(
                claim, what, source, kind, contact, answer, asked_at, self._lookup_ttl[bool(answer)]
            )

        return await self._answer(claim, source, kind, what, recall, ask, keep)

    async def record(
        self, claim: Claim, cpf: Cpf, ask: Callable[[], Awaitable[Profile | None]]
    ) -> Profile | None:
        """A person's record; asks the Work API only when no fresh one is there."""
        what = f"work_api cpf {cpf.digits}"

        async def recall() -> Remembered[Profile | None] | None:
            return await self._people.recall_person(cpf)

        async def keep(answer: Profile | None, asked_at: datetime) -> None:
            await self._people.keep_person(
                claim, what, cpf, answer, asked_at, self._record_ttl[answer is not None]
            )

        return await self._answer(claim, "work_api", "record", what, recall, ask, keep)

    async def _answer(
        self,
        claim: Claim,
        source: str,
        kind: str,
        what: str,
        recall: Callable[[], Awaitable[Remembered[T] | None]],
        ask: Callable[[], Awaitable[T]],
        keep: Callable[[T, datetime], Awaitable[None]],
    ) -> T:
        while True:
            remembered = await recall()
            if remembered is not None:
                self._tell(source, kind, remembered.answer, remembered.at, remembered=True)
                return remembered.answer
            asked_at = await self._store.ask_first(claim, what)
            if asked_at is not None:
                break
            await self._clock.sleep(_LOOK_SECONDS)
        # Between our look and our turn the other may have stored its answer: one more look, or it
        # would be paid for again.
        remembered = await recall()
        if remembered is not None:
            await self._store.give_up_asking(claim, what)
            self._tell(source, kind, remembered.answer, remembered.at, remembered=True)
            return remembered.answer
        try:
            answer = await ask()
        except BaseException:
            await self._store.give_up_asking(claim, what)
            raise
        await keep(answer, asked_at)
        self._tell(source, kind, answer, asked_at, remembered=False)
        return answer

    def _tell(
        self, source: str, kind: str, answer: object, at: datetime, *, remembered: bool
    ) -> None:
        found = len(answer) if isinstance(answer, tuple) else int(answer is not None)
        self._metrics.answer(source, remembered=remembered, found=bool(found))
        tell_attempt(
            "answers",
            source=source,
            kind=kind,
            found=found,
            remembered=remembered,
            at=at.isoformat(timespec="seconds"),
        )
