"""Who the lead is, judged from what the sources suggested for the phone and for the e-mail.

Refuses to call one source two people: one answer is `OneSource`, which is neither an agreement nor
a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.name import compare_names

FoundBy = Literal["phone", "email", "both"]


@dataclass(frozen=True)
class SamePerson:
    """Phone and e-mail lead to one CPF."""

    candidate: Candidate

    @property
    def people(self) -> tuple[tuple[Candidate, FoundBy], ...]:
        """Each person, with what led to them."""
        return ((self.candidate, "both"),)


@dataclass(frozen=True)
class DifferentPeople:
    """Phone and e-mail lead to two CPFs. Which of them is the lead is for the seller to find out."""

    by_phone: Candidate
    by_email: Candidate

    @property
    def people(self) -> tuple[tuple[Candidate, FoundBy], ...]:
        """Each person, with what led to them: the phone's first."""
        return ((self.by_phone, "phone"), (self.by_email, "email"))


@dataclass(frozen=True)
class OneSource:
    """Only the phone, or only the e-mail, leads to somebody."""

    candidate: Candidate
    found_by: Literal["phone", "email"]

    @property
    def people(self) -> tuple[tuple[Candidate, FoundBy], ...]:
        """The person, with what led to them."""
        return ((self.candidate, self.found_by),)


@dataclass(frozen=True)
class Nobody:
    """No source knows the contacts: a normal end, not an error."""


Found = SamePerson | DifferentPeople | OneSource
Match = Found | Nobody


def match(
    lead_name: str | None, by_phone: Sequence[Candidate], by_email: Sequence[Candidate]
) -> Match:
    """Decides from CPFs, never from names. Where several people remain, the lead's name chooses,
    then the source's order.

    Both sequences are answers: a source that failed must not come here as an empty one.
    """
    if by_phone and by_email:
        shared = _shared(by_phone, by_email)
        if shared:
            return SamePerson(_best(lead_name, shared))
        return DifferentPeople(_best(lead_name, by_phone), _best(lead_name, by_email))
    if by_phone:
        return OneSource(_best(lead_name, by_phone), "phone")
    if by_email:
        return OneSource(_best(lead_name, by_email), "email")
    return Nobody()


def found_people(found: Found) -> tuple[tuple[Cpf, FoundBy], ...]:
    """The CPFs to ask a record for, each with what led to it."""
    return tuple((candidate.cpf, found_by) for candidate, found_by in found.people)


def _best(lead_name: str | None, candidates: Iterable[Candidate]) -> Candidate:
    # min() keeps the first of equals, which is the source's order.
    return min(candidates, key=lambda candidate: compare_names(lead_name, candidate.name))


def _shared(by_phone: Sequence[Candidate], by_email: Sequence[Candidate]) -> list[Candidate]:
    """People in both answers, the ones that stand early in both first; the same whichever answer
    comes first.
    """
    emails = {
        candidate.cpf: (place, candidate)
        for place, candidate in reversed(list(enumerate(by_email)))
    }
    found: dict[Cpf, tuple[int, Candidate]] = {}
    for place, candidate in enumerate(by_phone):
        if candidate.cpf in emails and candidate.cpf not in found:
            other_place, other = emails[candidate.cpf]
            # The longer spelling of the name says more; both are names of one CPF.
            named = max(candidate, other, key=lambda one: (len(one.name), one.name))
            found[candidate.cpf] = (place + other_place, named)
    return [
        candidate
        for _, candidate in sorted(found.values(), key=lambda entry: (entry[0], entry[1].cpf))
    ]
