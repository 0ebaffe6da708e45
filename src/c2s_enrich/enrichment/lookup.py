"""Who is behind a lead's contacts: the sources in their order, each one asked by phone and by
e-mail at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.together import together
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Contacts, Email, Phone
from c2s_enrich.queue.claim import Claim


class PhoneSource(Protocol):
    """Knows people by phone."""

    async def by_phone(self, phone: Phone) -> tuple[Candidate, ...]: ...


class Source(PhoneSource, Protocol):
    """Knows people by phone and by e-mail."""

    async def by_email(self, email: Email) -> tuple[Candidate, ...]: ...


@dataclass(frozen=True)
class Suggestions:
    """Candidates by the way they were found; empty means that nobody is known there, never that a
    source failed.
    """

    by_phone: tuple[Candidate, ...] = ()
    by_email: tuple[Candidate, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_phone or self.by_email)


class Lookup:
    """Asks the sources named in CPF_SOURCES, in that order, until one of them suggests somebody."""

    def __init__(
        self, memory: Memory, diretrix: Source, work_api: PhoneSource, order: Sequence[str]
    ) -> None:
        self._memory = memory
        self._diretrix = diretrix
        self._work_api = work_api
        self._order = order

    async def __call__(self, claim: Claim, contacts: Contacts) -> Suggestions:
        for name in self._order:
            if name == "diretrix":
                by_phone, by_email = await together(
                    [
                        self._phones(claim, name, self._diretrix, contacts),
                        self._emails(claim, contacts),
                    ]
                )
                suggestions = Suggestions(by_phone, by_email)
            else:
                suggestions = Suggestions(
                    by_phone=await self._phones(claim, name, self._work_api, contacts)
                )
            if suggestions:
                return suggestions
        return Suggestions()

    async def _phones(
        self, claim: Claim, name: str, source: PhoneSource, contacts: Contacts
    ) -> tuple[Candidate, ...]:
        """The first phone that leads to somebody; one after the other, because each further one is
        paid for.
        """
        for phone in contacts.national_phones:
            ask = partial(source.by_phone, phone)
            found = await self._memory.candidates(claim, name, "phone", phone.e164, ask)
            if found:
                return found
        return ()

    async def _emails(self, claim: Claim, contacts: Contacts) -> tuple[Candidate, ...]:
        for email in contacts.emails:
            ask = partial(self._diretrix.by_email, email)
            found = await self._memory.candidates(claim, "diretrix", "email", email.address, ask)
            if found:
                return found
        return ()
