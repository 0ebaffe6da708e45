"""Remembered answers: nothing is paid for twice within its freshness, not even by two leads at
once.

An answer is stored the moment it arrives. Who asks first takes the question (`answers_under_way`);
others wait for the answer. A question lapses with the lease of the event that asks, so a killed
poller blocks nobody for longer than that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import psycopg

from c2s_enrich import errors
from c2s_enrich.clock import Clock
from c2s_enrich.database import is_transient
from c2s_enrich.enrichment.people_store import PeopleStore
from c2s_enrich.enrichment.store import EnrichmentStore, Question
from c2s_enrich.people.cpf import Candidate, Candidates, Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger, tell_attempt
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Admission, Limits
from c2s_enrich.upstreams.work_api import WorkApi

T = TypeVar("T")
Asking = Callable[[Admission], Awaitable[T]]
"""A paid question, which goes out under the limits' leave."""
_log = get_logger(__name__)

# After these nothing was asked, or the upstream has said that it gives nothing for it.
_CLEARLY_NOT_PAID = (
    *(errors.Paused, errors.NoSlot, errors.BudgetSpent),
    *(errors.Throttled, errors.Unauthorised, errors.Refused),
)

# How often a waiting event looks for the other's answer, which takes 0.4 to 30 s.
_LOOK_SECONDS = 0.1
# How long, and how often, what has arrived is stored again: for half a lease. After the whole lease
# the attempt would be spent.
_AWAY_SECONDS, _AGAIN_SECONDS = 15.0, 0.5


@dataclass(frozen=True)
class Memory:
    store: EnrichmentStore
    people: PeopleStore
    work_api: WorkApi
    limits: Limits
    clock: Clock
    metrics: Metrics
    settings: Settings

    async def candidates(
        self, claim: Claim, question: Question, ask: Asking[Candidates]
    ) -> Candidates:
        """Who a source suggests for a contact; it is asked only when no fresh answer is there."""
        keep, ttl = self.store.keep_lookup, self.settings.lookup_ttl
        return await self._answer(claim, question, candidates_in, ask, keep, ttl)

    async def records(self, claim: Claim, people: Iterable[Cpf]) -> dict[Cpf, Profile | None]:
        """Each one's own record, asked for at the same time; None for who has none."""
        cpfs = list(dict.fromkeys(people))
        answers = await together([self._record(claim, cpf) for cpf in cpfs])
        return dict(zip(cpfs, answers, strict=True))

    async def _record(self, claim: Claim, cpf: Cpf) -> Profile | None:
        question, ttl = Question("work_api", "record", cpf.digits), self.settings.record_ttl
        ask, keep = partial(self.work_api.profile, cpf), self.people.keep_person
        return await self._answer(claim, question, profile_in, ask, keep, ttl)

    async def _answer(
        self,
        claim: Claim,
        question: Question,
        read: Callable[[Any], T],
        ask: Asking[T],
        keep: Callable[[Claim, Question, T, datetime, timedelta], Awaitable[None]],
        found_ttl: timedelta,
    ) -> T:
        source = question.source
        while True:
            reply = await self.store.ask(claim, question, self.limits.terms(source))
            if reply.decision.word == "remembered":
                remembered = read(reply.answer)
                self._tell(question, remembered, reply.at, remembered=True)
                return remembered
            if reply.decision.word != "busy":
                break
            await self.clock.sleep(_LOOK_SECONDS)
        try:
            answer = await ask(await self.limits.granted(source, reply.decision))
        except BaseException as error:
            lost = isinstance(error, errors.UpstreamError | asyncio.CancelledError)
            perhaps_paid = lost and not isinstance(error, _CLEARLY_NOT_PAID)
            await self.store.give_up_asking(claim, question, perhaps_paid=perhaps_paid)
            raise
        freshness = found_ttl if answer else self.settings.nobody_ttl
        await self._keep(partial(keep, claim, question, answer, reply.at, freshness))
        self._tell(question, answer, reply.at, remembered=False)
        return answer

    async def _keep(self, keep: Callable[[], Awaitable[None]]) -> None:
        """It is paid for: while the database is away it waits."""
        until = self.clock.boottime() + _AWAY_SECONDS
        while True:
            try:
                return await keep()
            except psycopg.Error as error:
                if not is_transient(error) or self.clock.boottime() > until:
                    raise
                _log.warning("answer_waits", error=type(error).__name__)
            await self.clock.sleep(_AGAIN_SECONDS)

    def _tell(self, question: Question, answer: object, at: datetime, *, remembered: bool) -> None:
        found = len(answer) if isinstance(answer, tuple) else int(answer is not None)
        self.metrics.answer(question.source, remembered=remembered, found=bool(found))
        tell_attempt(
            "answers",
            source=question.source,
            kind=question.kind,
            found=found,
            remembered=remembered,
            at=at.isoformat(timespec="seconds"),
        )


def candidates_in(answer: list[dict[str, str]]) -> Candidates:
    found = ((Cpf.parse(entry["cpf"]), entry["name"]) for entry in answer)
    return tuple(Candidate(cpf, name) for cpf, name in found if cpf is not None)


def profile_in(answer: object) -> Profile | None:
    return None if answer is None else msgspec.convert(answer, Profile, strict=False)


async def together(questions: Sequence[Awaitable[T]]) -> list[T]:
    """All answers in order. Each is paid for: the first error is raised after all have ended."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
