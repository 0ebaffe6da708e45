"""Who is behind a lead's contacts: each contact goes through the sources in their order by itself,
phones and e-mails at the same time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from c2s_enrich.enrichment.match import ContactAnswer, contradicted
from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.together import together
from c2s_enrich.errors import Unproven
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Contacts, Email, Phone
from c2s_enrich.queue.claim import Claim
from c2s_enrich.queue.verdict import UNREADABLE_ATTEMPTS
from c2s_enrich.upstreams.limits import Admission

PaidQuestion = Callable[[Admission], Awaitable[tuple[Candidate, ...]]]


class PhoneSource(Protocol):
    """Knows people by phone."""

    async def by_phone(self, phone: Phone, admission: Admission) -> tuple[Candidate, ...]: ...


class Source(PhoneSource, Protocol):
    """Knows people by phone and by e-mail."""

    async def by_email(self, email: Email, admission: Admission) -> tuple[Candidate, ...]: ...


@dataclass(frozen=True)
class LookedUp:
    """`answers` of the contacts that lead to somebody, never what a failed source did not say.
    `unasked` contacts would have gone beyond the limit of paid questions; `unproven` sources may
    have meant "nobody".
    """

    answers: tuple[ContactAnswer, ...] = ()
    unasked: int = 0
    unproven: frozenset[str] = frozenset()


class Lookup:
    """Asks CPF_SOURCES. Of each kind, the first contact that fits the name ends it."""

    def __init__(
        self,
        memory: Memory,
        diretrix: Source,
        work_api: PhoneSource,
        order: Sequence[str],
        *,
        most_questions: int,
    ) -> None:
        self._memory = memory
        self._diretrix = diretrix
        self._work_api = work_api
        self._order = order
        self._most_questions = most_questions

    async def __call__(self, claim: Claim, contacts: Contacts, lead_name: str | None) -> LookedUp:
        attempt = _Attempt(claim, self._most_questions)

        async def of_a_kind(kind: Sequence[Phone | Email]) -> LookedUp:
            answers: list[ContactAnswer] = []
            for place, contact in enumerate(kind):
                try:
                    candidates = await self._ask(attempt, contact)
                except _Spent:
                    return LookedUp(tuple(answers), len(kind) - place)
                if candidates:
                    answers.append(ContactAnswer(contact, candidates))
                    if not contradicted(lead_name, candidates):
                        break
            return LookedUp(tuple(answers))

        phones, emails = await together(
            [of_a_kind(contacts.national_phones), of_a_kind(contacts.emails)]
        )
        return LookedUp(
            phones.answers + emails.answers,
            phones.unasked + emails.unasked,
            frozenset(attempt.unproven),
        )

    async def _ask(self, attempt: _Attempt, contact: Phone | Email) -> tuple[Candidate, ...]:
        """The first source that knows somebody; one after the other, because each is paid for."""
        for source in self._order:
            question = self._question(source, contact)
            if question is None:
                continue

            async def paid(
                admission: Admission, question: PaidQuestion = question
            ) -> tuple[Candidate, ...]:
                attempt.pay()
                return await question(admission)

            kind, key = (
                ("phone", contact.e164)
                if isinstance(contact, Phone)
                else ("email", contact.address)
            )
            try:
                found = await self._memory.candidates(attempt.claim, source, kind, key, paid)
            except Unproven:
                # It may be nobody's contact. After the tries the event ends so, but nothing of it
                # is remembered and the event says which source proved nothing.
                if not attempt.was_the_last:
                    raise
                attempt.unproven.add(source)
                continue
            if found:
                return found
        return ()

    def _question(self, source: str, contact: Phone | Email) -> PaidQuestion | None:
        """None where the source does not know this kind of contact."""
        if isinstance(contact, Phone):
            knows = self._diretrix if source == "diretrix" else self._work_api
            return partial(knows.by_phone, contact)
        return partial(self._diretrix.by_email, contact) if source == "diretrix" else None


class _Spent(Exception):
    """The attempt's paid questions are used up."""


class _Attempt:
    """What one attempt has paid for, and what proved nothing."""

    def __init__(self, claim: Claim, questions: int) -> None:
        self.claim = claim
        self.unproven: set[str] = set()
        self._left = questions

    @property
    def was_the_last(self) -> bool:
        """Whether the tries for an unreadable answer end with this attempt."""
        return self.claim.attempts >= min(UNREADABLE_ATTEMPTS, self.claim.max_attempts)

    def pay(self) -> None:
        """Counts a question that is about to be paid for; a remembered answer never comes here."""
        if self._left == 0:
            raise _Spent
        self._left -= 1
