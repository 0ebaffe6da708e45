"""Remembered answers: nothing is paid for twice within its freshness, not even by two leads at
once.

An answer is stored the moment it arrives. Who asks first takes the question (`answers_under_way`);
others wait for the answer. A question lapses with the lease of the event that asks, so a killed
poller blocks nobody for longer than that. The statements are those of `sql/queries/people.sql`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import psycopg

from c2s_enrich import errors
from c2s_enrich.clock import Clock
from c2s_enrich.database import Pool, Statements, is_transient
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Candidate, Candidates, Cpf
from c2s_enrich.people.profile import AddressEntry, Profile
from c2s_enrich.queue.claim import Claim
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger, tell_attempt
from c2s_enrich.telemetry.metrics import Metrics
from c2s_enrich.upstreams.limits import Admission, Decision, Limits, Terms
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
class Question:
    """A paid question. `kind` is phone, email or record; `subject` the contact or the CPF."""

    source: str
    kind: str
    subject: str = field(repr=False)

    def params(self, claim: Claim) -> dict[str, object]:
        """For statements. `what` is its key while it is being asked."""
        what = f"{self.source} {'cpf' if self.kind == 'record' else self.kind} {self.subject}"
        return {
            "what": what, "source": self.source, "kind": self.kind, "subject": self.subject,
            "event_id": claim.event_id, "lease_token": claim.lease_token,
        }  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """`decision.word` is remembered, busy or a limit's. `at`: when it was asked, or is from now."""

    decision: Decision
    answer: Any = field(repr=False)
    at: datetime


@dataclass(frozen=True)
class Memory:
    pool: Pool
    work_api: WorkApi
    limits: Limits
    clock: Clock
    metrics: Metrics
    settings: Settings

    @property
    def _sql(self) -> Statements:
        return Statements(self.pool, "people")

    async def candidates(
        self, claim: Claim, question: Question, ask: Asking[Candidates]
    ) -> Candidates:
        """Who a source suggests for a contact; it is asked only when no fresh answer is there."""
        return await self._answer(claim, question, candidates_in, ask, self.settings.lookup_ttl)

    async def records(self, claim: Claim, people: Iterable[Cpf]) -> dict[Cpf, Profile | None]:
        """Each one's own record, asked for at the same time; None for who has none."""
        cpfs, ttl = list(dict.fromkeys(people)), self.settings.record_ttl
        answers = await together(
            [
                self._answer(
                    claim,
                    Question("work_api", "record", cpf.digits),
                    profile_in,
                    partial(self.work_api.profile, cpf),
                    ttl,
                )
                for cpf in cpfs
            ]
        )
        return dict(zip(cpfs, answers, strict=True))

    async def _answer(
        self,
        claim: Claim,
        question: Question,
        read: Callable[[Any], T],
        ask: Asking[T],
        found_ttl: timedelta,
    ) -> T:
        source = question.source
        while True:
            reply = await self.ask(claim, question, self.limits.terms(source))
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
            await self.give_up_asking(claim, question, perhaps_paid=perhaps_paid)
            raise
        freshness = found_ttl if answer else self.settings.nobody_ttl
        await self._keep_surely(partial(self.keep, claim, question, answer, reply.at, freshness))
        self._tell(question, answer, reply.at, remembered=False)
        return answer

    async def ask(self, claim: Claim, question: Question, terms: Terms) -> Reply:
        """A remembered answer, or the right to ask and the limits' decision, in one statement."""
        [row] = await self._sql.rows("ask", **question.params(claim), **terms)
        return Reply(Decision(*row[:5]), *row[5:])

    async def give_up_asking(self, claim: Claim, question: Question, *, perhaps_paid: bool) -> None:
        params = question.params(claim)
        await self._sql.rows("give_up_asking", **params, perhaps_paid=perhaps_paid)

    async def keep(
        self,
        claim: Claim,
        question: Question,
        answer: object,
        asked_at: datetime,
        freshness: timedelta,
    ) -> None:
        """Remembers candidates, or a record or that there is none, and ends the question. Freshness
        counts from `asked_at`, the database's time before the question left. A fact, not fenced: it
        was paid for. Only an answer older than the known one, or of an erased lead, is dropped.
        """
        given = question.params(claim) | {"asked_at": asked_at, "freshness": freshness}
        if isinstance(answer, tuple):
            candidates = [{"cpf": each.cpf.digits, "name": each.name} for each in answer]
            await self._sql.rows("keep_lookup", **given, candidates=_json(candidates))
            return
        await self._sql.rows(
            "keep_person",
            **given,
            profile=None if answer is None else _json(answer),
            **{
                name: _entries(getattr(answer, name, ()))
                for name in ("phones", "emails", "addresses", "companies")
            },
        )

    async def _keep_surely(self, keep: Callable[[], Awaitable[None]]) -> None:
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


async def forget_answers(pool: Pool, lead_ids: Sequence[str]) -> int:
    """Ends the freshness of all answers that these leads rest on; returns how many."""
    async with pool.connection() as connection, connection.transaction():
        sql = Statements(connection, "people")
        leads = await sql.rows("lead_contacts", lead_ids=list(lead_ids))
        contacts = [key for row in leads for key in read_contacts(LeadFacts(*row)).keys]
        lookups = await sql.touch("forget_lookups", lead_ids=list(lead_ids), contacts=contacts)
        return lookups + await sql.touch("forget_people", lead_ids=list(lead_ids))


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


def _entries(entries: Sequence[msgspec.Struct]) -> str:
    """A list of the profile as JSON, in its order: best first."""
    fields: list[dict[str, Any]] = msgspec.to_builtins(entries)
    for entry, as_json in zip(entries, fields, strict=True):
        if isinstance(entry, AddressEntry):
            as_json["key"] = entry.key
    return _json(fields)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
