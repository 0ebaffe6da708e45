"""Who is behind a lead's contacts: each goes through the sources, phones and e-mails at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from c2s_enrich.enrichment.match import ContactAnswer, contradicted
from c2s_enrich.enrichment.remember import Asking, Memory, Question, together
from c2s_enrich.errors import Unproven
from c2s_enrich.people.contact import Contacts, Email, Phone
from c2s_enrich.people.cpf import Candidates
from c2s_enrich.queue.claim import Claim
from c2s_enrich.queue.verdict import UNREADABLE_ATTEMPTS
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.diretrix import Diretrix
from c2s_enrich.upstreams.limits import Admission
from c2s_enrich.upstreams.work_api import WorkApi


@dataclass
class LookedUp:
    """What one attempt has found, and how many questions it may still pay for (`left`). `unasked`:
    beyond that limit; `unproven` sources may have meant nobody.
    """

    claim: Claim
    left: int
    answers: tuple[ContactAnswer, ...] = ()
    unasked: int = 0
    unproven: set[str] = field(default_factory=set)

    async def pay_for(self, ask: Asking[Candidates], admission: Admission) -> Candidates:
        """A remembered answer never comes here."""
        if self.left == 0:
            raise _Spent
        self.left -= 1
        return await ask(admission)


@dataclass(frozen=True)
class Lookup:
    """Asks CPF_SOURCES. Of each kind, the first contact that fits the name ends it."""

    memory: Memory
    diretrix: Diretrix
    work_api: WorkApi
    settings: Settings

    async def __call__(self, claim: Claim, contacts: Contacts, lead_name: str | None) -> LookedUp:
        attempt = LookedUp(claim, self.settings.lookup_questions)

        async def of_a_kind(kind: Sequence[Phone | Email]) -> list[ContactAnswer]:
            answers: list[ContactAnswer] = []
            for place, contact in enumerate(kind):
                try:
                    candidates = await self._ask(attempt, contact)
                except _Spent:
                    attempt.unasked += len(kind) - place
                    break
                if candidates:
                    answers.append(ContactAnswer(contact, candidates))
                    if not contradicted(lead_name, candidates):
                        break
            return answers

        phones, emails = await together(
            [of_a_kind(contacts.national_phones), of_a_kind(contacts.emails)]
        )
        attempt.answers = (*phones, *emails)
        return attempt

    async def _ask(self, attempt: LookedUp, contact: Phone | Email) -> Candidates:
        """The first source that knows somebody; one after the other, because each is paid for."""
        claim = attempt.claim
        for question, ask in self._questions(contact):
            paid = partial(attempt.pay_for, ask)
            try:
                found = await self.memory.candidates(claim, question, paid)
            except Unproven:
                # It may be nobody's contact. After the tries the event ends so, but nothing of it
                # is remembered and the event says which source proved nothing.
                if claim.attempts < min(UNREADABLE_ATTEMPTS, claim.max_attempts):
                    raise
                attempt.unproven.add(question.source)
                continue
            if found:
                return found
        return ()

    def _questions(self, contact: Phone | Email) -> Iterator[tuple[Question, Asking[Candidates]]]:
        """One for each source, in order. The Work API knows no e-mail addresses."""
        for source in self.settings.cpf_sources:
            if isinstance(contact, Phone):
                knows = self.diretrix if source == "diretrix" else self.work_api
                yield Question(source, "phone", contact.e164), partial(knows.by_phone, contact)
            elif source == "diretrix":
                ask = partial(self.diretrix.by_email, contact)
                yield Question(source, "email", contact.address), ask


class _Spent(Exception):
    """The attempt's paid questions are used up."""
