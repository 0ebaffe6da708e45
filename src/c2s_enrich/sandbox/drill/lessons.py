"""What each seller must have learnt, from the traffic alone, and what a message teaches. Pure.

It reads what was posted and what the simulated world knows; it imports nothing of the product, so
that a product which is wrong about people cannot be wrong here in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from c2s_enrich.sandbox.simulators.population import Person
from c2s_enrich.sandbox.simulators.stream import Said

How = Literal["both", "two people", "phone", "email"]

_OPENINGS: tuple[tuple[str, How], ...] = (
    ("📞📧", "both"),
    ("⚠️", "two people"),
    ("🔎 Só pelo telefone", "phone"),
    ("🔎 Só pelo e-mail", "email"),
)
_CPF = re.compile(r"\b(\d{3})\.(\d{3})\.(\d{3})-(\d{2})\b")
_EMAIL = re.compile(r"[\w.+-]+@[\w.-]+\w")
_REF = re.compile(r"\bref ([0-9A-Z]{8})\b")


@dataclass(frozen=True)
class Lesson:
    """What a seller learns: how the lead's contacts led to whom. `people` are CPFs, `emails` the
    addresses that a message about them may show.
    """

    how: How
    people: tuple[str, ...]
    emails: frozenset[str]

    def is_taught_by(self, message: str) -> bool:
        """Whether this message says it, of these people and of nobody else."""
        return (
            _how(message) == self.how
            and sorted("".join(digits) for digits in _CPF.findall(message)) == sorted(self.people)
            and {address.lower() for address in _EMAIL.findall(message)} <= self.emails
        )


class Directory:
    """Whom the sources know, by contact."""

    def __init__(self, people: Iterable[Person]) -> None:
        self._by_contact = {
            contact: person for person in people for contact in (person.phone, person.email)
        }

    def lesson(self, said: Said) -> Lesson | None:
        """What follows from one event's contacts; None: nobody is known."""
        phone, email = contacts_of(said)
        by_phone, by_email = self._by_contact.get(phone), self._by_contact.get(email)
        found = [person for person in (by_phone, by_email) if person is not None]
        emails = frozenset({email, *(person.email for person in found)})
        if not found:
            return None
        if by_phone == by_email:
            return Lesson("both", (found[0].cpf,), emails)
        if len(found) == 2:
            return Lesson("two people", tuple(person.cpf for person in found), emails)
        return Lesson("phone" if by_phone else "email", (found[0].cpf,), emails)


@dataclass(frozen=True)
class Course:
    """One lead's story: what each change of its contacts taught, oldest first. The seller must know
    the last; the ones before may have been overtaken.
    """

    lessons: tuple[Lesson | None, ...]

    @property
    def must_learn(self) -> Lesson | None:
        return self.lessons[-1]


def courses(said: Iterable[Said], directory: Directory) -> Mapping[str, Course]:
    """By lead."""
    found: dict[str, list[Lesson | None]] = {}
    contacts: dict[str, tuple[str, str]] = {}
    for event in sorted(said, key=lambda event: event.updated_at):
        if contacts.get(event.lead_id) != contacts_of(event):
            contacts[event.lead_id] = contacts_of(event)
            found.setdefault(event.lead_id, []).append(directory.lesson(event))
    return {lead: Course(tuple(lessons)) for lead, lessons in found.items()}


def questions(said: Iterable[Said], directory: Directory) -> frozenset[tuple[str, str]]:
    """What may be paid for: each contact at each source, and the record of each person whom the
    contacts lead to.
    """
    found: set[tuple[str, str]] = set()
    for event in said:
        phone, email = contacts_of(event)
        lesson = directory.lesson(event)
        found |= {("diretrix phone", phone), ("work_api phone", phone), ("diretrix email", email)}
        found |= {("work_api record", cpf) for cpf in (lesson.people if lesson else ())}
    return frozenset(found)


def contacts_of(said: Said) -> tuple[str, str]:
    """Phone as DDD and number, address in small letters; "" where there is none."""
    digits = re.sub(r"\D", "", str(said.phone or ""))
    return digits[-11:], str(said.email or "").lower()


def ref_of(message: str) -> str | None:
    """The ref at a message's end."""
    refs = _REF.findall(message)
    return refs[-1] if refs else None


def meant_by(message: str, others: Iterable[str]) -> str:
    """The message itself, or the earlier one to which it says that the lead has returned."""
    if not message.startswith("🔄 Voltou a valer"):
        return message
    earlier = _REF.findall(message)[0]
    return next((other for other in others if ref_of(other) == earlier), message)


def _how(message: str) -> How | None:
    return next((how for mark, how in _OPENINGS if message.startswith(mark)), None)
