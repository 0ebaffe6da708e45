"""Remembered answers: nothing is paid for twice within its freshness, not even by two leads in the
same instant.

An answer is stored the moment it arrives, so a retry, a reprocess and the next lead of the same
person all find it. Who asks first takes the question (`answers_under_way`); others wait for the
answer instead of paying for their own. A question lapses with the lease of the event that asks, so
a killed poller blocks nobody for longer than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import msgspec

from c2s_enrich.clock import Clock
from c2s_enrich.enrichment.people_store import PeopleStore
from c2s_enrich.enrichment.store import EnrichmentStore, Question
from c2s_enrich.errors import (
    BudgetSpent,
    NoSlot,
    Paused,
    Refused,
    Throttled,
    Unauthorised,
    UpstreamError,
)
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.telemetry.attempt import tell_attempt
from c2s_enrich.upstreams.limits import Admission, Decision, Terms

T = TypeVar("T")

# After these nothing was asked, or the upstream has said that it gives nothing for it.
_CLEARLY_NOT_PAID = (Paused, NoSlot, BudgetSpent, Throttled, Unauthorised, Refused)

# How often a waiting event looks for the other's answer. Answers take 0.4 to 30 s; a look costs a
# fraction of a millisecond.
_LOOK_SECONDS = 0.1


class AnswerMetrics(Protocol):
    """Where answers are counted: `source` is an upstream's name; `found` says whether it knew
    anybody.
    """

    def answer(self, source: str, *, remembered: bool, found: bool) -> None: ...


class CallLimits(Protocol):
    """What all pollers share about an upstream; see `upstreams/limits.py`."""

    def terms(self, name: str) -> Terms: ...

    async def granted(self, name: str, decision: Decision) -> Admission: ...


class Memory:
    """Asks through the database's memory."""

    def __init__(
        self,
        store: EnrichmentStore,
        people: PeopleStore,
        limits: CallLimits,
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
        self._limits = limits
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
        ask: Callable[[Admission], Awaitable[tuple[Candidate, ...]]],
    ) -> tuple[Candidate, ...]:
        """Who `source` suggests for a contact; asks it only when no fresh answer is there."""
        question = Question(source, kind, contact)

        async def keep(answer: tuple[Candidate, ...], asked_at: datetime) -> None:
            freshness = self._lookup_ttl[bool(answer)]
            await self._store.keep_lookup(claim, question, answer, asked_at, freshness)

        return await self._answer(claim, question, candidates_in, ask, keep)

    async def record(
        self, claim: Claim, cpf: Cpf, ask: Callable[[Admission], Awaitable[Profile | None]]
    ) -> Profile | None:
        """A person's record; asks the Work API only when no fresh one is there."""
        question = Question("work_api", "record", cpf.digits)

        async def keep(answer: Profile | None, asked_at: datetime) -> None:
            freshness = self._record_ttl[answer is not None]
            await self._people.keep_person(claim, question, answer, asked_at, freshness)

        return await self._answer(claim, question, profile_in, ask, keep)

    async def _answer(
        self,
        claim: Claim,
        question: Question,
        read: Callable[[Any], T],
        ask: Callable[[Admission], Awaitable[T]],
        keep: Callable[[T, datetime], Awaitable[None]],
    ) -> T:
        source = question.source
        while True:
            reply = await self._store.ask(claim, question, self._limits.terms(source))
            if reply.decision.word == "remembered":
                remembered = read(reply.answer)
                self._tell(question, remembered, reply.at, remembered=True)
                return remembered
            if reply.decision.word != "busy":
                break
            await self._clock.sleep(_LOOK_SECONDS)
        try:
            answer = await ask(await self._limits.granted(source, reply.decision))
        except BaseException as error:
            lost = isinstance(error, UpstreamError | asyncio.CancelledError)
            perhaps_paid = lost and not isinstance(error, _CLEARLY_NOT_PAID)
            await self._store.give_up_asking(claim, question, perhaps_paid=perhaps_paid)
            raise
        await keep(answer, reply.at)
        self._tell(question, answer, reply.at, remembered=False)
        return answer

    def _tell(self, question: Question, answer: object, at: datetime, *, remembered: bool) -> None:
        found = len(answer) if isinstance(answer, tuple) else int(answer is not None)
        self._metrics.answer(question.source, remembered=remembered, found=bool(found))
        tell_attempt(
            "answers",
            source=question.source,
            kind=question.kind,
            found=found,
            remembered=remembered,
            at=at.isoformat(timespec="seconds"),
        )


def candidates_in(answer: list[dict[str, str]]) -> tuple[Candidate, ...]:
    """A remembered lookup."""
    found = ((Cpf.parse(entry["cpf"]), entry["name"]) for entry in answer)
    return tuple(Candidate(cpf, name) for cpf, name in found if cpf is not None)


def profile_in(answer: object) -> Profile | None:
    """A remembered record."""
    return None if answer is None else msgspec.convert(answer, Profile, strict=False)
