"""Who the lead is: CPFs tell people apart, the lead's name says who comes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from c2s_enrich.people.contact import Email, Phone
from c2s_enrich.people.cpf import Candidate, Candidates, Cpf
from c2s_enrich.people.name import NameAgreement, compare_names

FoundBy = Literal["phone", "email", "both"]

# A contact of more people than this is nobody's in particular; they are counted, not compared.
_COMPARED_AT_MOST = 50


@dataclass(frozen=True)
class ContactAnswer:
    """Whom one contact leads to, in the source's order; never empty."""

    contact: Phone | Email
    candidates: Candidates


@dataclass(frozen=True)
class FoundPerson:
    """Somebody to tell the seller about, with the kind of contact that leads to them."""

    candidate: Candidate
    found_by: FoundBy


@dataclass(frozen=True)
class ContactOwner:
    """Whom a contact leads to, one of the people found where it can; how many people share it."""

    contact: Phone | Email
    candidate: Candidate
    sharing: int


@dataclass(frozen=True)
class Match:
    """At most two people, who fits the lead's name first; none is a normal end, not an error."""

    people: tuple[FoundPerson, ...] = ()
    owners: tuple[ContactOwner, ...] = ()


def match(lead_name: str | None, answers: Sequence[ContactAnswer]) -> Match:
    """The best person of all, and with them the best of the other kind of contact where that leads
    elsewhere. Best is who fits the lead's name, then who is known by phone and by e-mail, then who
    comes first at the source.
    """
    known = _people(answers)
    ranks = {
        cpf: (not agreement.fits, found_by != "both", agreement, place)
        for cpf, (candidate, found_by, place) in known.items()
        for agreement in (compare_names(lead_name, candidate.name),)
    }

    def best(answered: Sequence[ContactAnswer]) -> Cpf:
        return min(
            (candidate.cpf for answer in answered for candidate in _compared(answer)),
            key=lambda cpf: ranks[cpf],
        )

    if not answers:
        return Match()
    shown = [best(answers)]
    found_by = known[shown[0]][1]
    if others := [answer for answer in answers if _kind(answer) != found_by != "both"]:
        shown.append(best(others))
    owners = []
    for answer in answers:
        cpfs = {candidate.cpf for candidate in answer.candidates}
        owner = next((cpf for cpf in shown if cpf in cpfs), None) or best([answer])
        owners.append(ContactOwner(answer.contact, known[owner][0], len(cpfs)))
    return Match(tuple(FoundPerson(*known[cpf][:2]) for cpf in shown), tuple(owners))


def contradicted(lead_name: str | None, candidates: Sequence[Candidate]) -> bool:
    """Whether the lead's name speaks against these people: one has another name, and none fits."""
    agreements = {compare_names(lead_name, one.name) for one in candidates[:_COMPARED_AT_MOST]}
    return NameAgreement.DIFFERENT in agreements and not any(one.fits for one in agreements)


def _people(answers: Sequence[ContactAnswer]) -> dict[Cpf, tuple[Candidate, FoundBy, int]]:
    """Everybody once: the longest spelling of the name, what leads there, the sum of the places."""
    places: dict[Cpf, dict[FoundBy, int]] = {}
    named: dict[Cpf, Candidate] = {}
    for answer in answers:
        for place, candidate in enumerate(_compared(answer)):
            places.setdefault(candidate.cpf, {}).setdefault(_kind(answer), place)
            known = named.setdefault(candidate.cpf, candidate)
            named[candidate.cpf] = max(known, candidate, key=lambda one: (len(one.name), one.name))
    return {
        cpf: (named[cpf], "both" if len(found) > 1 else next(iter(found)), sum(found.values()))
        for cpf, found in places.items()
    }


def _compared(answer: ContactAnswer) -> Candidates:
    return answer.candidates[:_COMPARED_AT_MOST]


def _kind(answer: ContactAnswer) -> FoundBy:
    return "phone" if isinstance(answer.contact, Phone) else "email"
