"""What the seller reads: one Portuguese text about the people behind a lead. Pure.

The first two lines are what a phone's notification shows: they say the most about the person, and
nothing that does not stand below. Refuses to print what is not known: no empty section, no
placeholder, nothing of one person under another's CPF.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256

from c2s_enrich.enrichment.match import ContactOwner, FoundPerson, Match
from c2s_enrich.enrichment.person_text import IN_WORDS, PersonText, first_words, safe
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import Contacts, Email, Phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile

# Part of every content key: raise it when the wording should be told to sellers again.
TEMPLATE_VERSION = 2
# C2S takes 15,000 characters; a seller reads the first screens of a phone.
OUTER_LIMIT = 15_000
READABLE_LIMIT = 3_500
# What a notification shows of a message.
NOTIFICATION = 80
_SHORTEST_NAME = 8

# Crockford's base 32: no I, L, O and U, so that a ref survives being read aloud.
REF_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REF_LENGTH = 8
# One key for all of them: whoever writes what looks like a ref makes us say a thing once, at most.
_FORGOTTEN = "forgotten"

_RULE = "━━━━━━━━━━━━━━━━━━━━"
_MARKS = {"phone": "📞", "email": "📧", "both": "📞📧"}
_BY = {"phone": "pelo telefone", "email": "pelo e-mail", "both": "pelo telefone e pelo e-mail"}


@dataclass(frozen=True)
class SellerMessage:
    """`content_key` (64 hex digits) is the same as long as the seller would learn the same."""

    body: str
    ref: str
    content_key: str


@dataclass(frozen=True)
class Told:
    """A message on the lead. `contacts` is empty once retention has removed them."""

    content_key: str
    ref: str
    contacts: frozenset[str]

    @property
    def is_forgotten(self) -> bool:
        """Whether only the lead shows it: a restore took it from the outbox."""
        return self.content_key == _FORGOTTEN


def with_forgotten(told: Sequence[Told], refs: Sequence[str]) -> tuple[Told, ...]:
    """`told` with the messages that only the lead shows, each behind the one that it follows."""
    found, behind = list(told), 0
    for ref in refs:
        place = next((at for at, one in enumerate(found) if one.ref == ref), None)
        if place is None:
            place = behind
            found.insert(place, Told(_FORGOTTEN, ref, frozenset()))
        behind = place + 1
    return tuple(found)


def compose_message(
    found: Match,
    profiles: Mapping[Cpf, Profile | None],
    lead: LeadFacts,
    contacts: Contacts,
    keys: HashKeys,
    *,
    today: date,
    income_multiplier: Decimal | float = 1,
    told: Sequence[Told] = (),
    limit: int = READABLE_LIMIT,
) -> SellerMessage:
    """The message about the people found, at least one. Total: no profile makes it raise.

    A CPF without a record in `profiles` is told as such. `told` is what the seller was told, oldest
    first: an update says what is new, and what was told before the last message is only pointed to.
    `limit` is in characters; from 2,500 on it is always kept.
    """
    factor = Decimal(str(income_multiplier))
    people = [
        PersonText.of(person, _own_record(person, profiles), lead, today, factor)
        for person in found.people
    ]
    # Age, the spelling of the lead's name and what is new are not what the seller learns.
    same = "\n".join([str(TEMPLATE_VERSION), *sorted(contacts.keys), _Draft(found, people).text()])
    content_key = sha256(same.encode()).hexdigest()
    earlier = next((one for one in told if one.content_key == content_key), None)
    if earlier is not None and not _speaks_of(told, content_key):
        key = _key_of_return(content_key, told[-1])
        return _with_ref(_return_text(people, contacts, told[-1], earlier), lead.lead_id, key, keys)
    room = min(limit, OUTER_LIMIT) - len("\n\nref ") - REF_LENGTH
    draft = _Draft(found, people, lead.name or "", True, _news(contacts, told))
    return _with_ref(draft.fitted(room), lead.lead_id, content_key, keys)


@dataclass(frozen=True)
class _Draft:
    found: Match
    people: Sequence[PersonText]
    lead_name: str = ""
    with_age: bool = False
    news: str = ""

    def fitted(self, room: int) -> str:
        """The text in at most `room` characters: whole sections go, lines are never cut."""
        titles = tuple(IN_WORDS)
        for gone in range(len(titles) + 1):
            text = self.text(frozenset(titles[:gone]))
            if len(text) <= room:
                return text
        return self.text(frozenset(titles), bare=True)

    def text(self, without: Set[str] = frozenset(), *, bare: bool = False) -> str:
        heading = _heading(self.found) + (" 🔄 atualização" if self.news else "")
        top = [heading]
        for person in self.people:
            mark = _MARKS[person.found.found_by] + " " if len(self.people) > 1 else ""
            room = NOTIFICATION - len(heading) - 1 - len(mark)
            top.append(mark + person.summary(room, self.with_age, without))
        parts = ["\n".join(top)]
        if not bare:
            parts += [self.news, _owners(self.found, self.people)]
        for place, person in enumerate(self.people, start=1):
            if len(self.people) > 1:
                title = f"PESSOA {place} ({_BY[person.found.found_by]})"
                parts.append(f"{_RULE}\n{title}\n{_RULE}")
            parts.append(person.text(self.lead_name, self.with_age, without))
        if without and not bare:
            left_out = (words for title, words in IN_WORDS.items() if title in without)
            parts.append(f"Não coube: {', '.join(left_out)}")
        return "\n\n".join(part for part in parts if part)


def _heading(found: Match) -> str:
    if len(found.people) > 1:
        return "⚠️ Pessoas diferentes"
    [person] = found.people
    if person.found_by == "both":
        return "📞📧 Mesma pessoa"
    kind = "telefone" if person.found_by == "phone" else "e-mail"
    if any(owner.candidate.cpf != person.candidate.cpf for owner in found.owners):
        return f"⚠️ {kind.capitalize()}s de pessoas diferentes"
    return f"🔎 Só pelo {kind}"


def _owners(found: Match, people: Sequence[PersonText]) -> str:
    """Which contact leads to whom, shared by how many; empty where the heading says it all."""
    places = {one.found.candidate.cpf: place for place, one in enumerate(people, start=1)}
    alone = len(people) == 1 and all(owner.sharing == 1 for owner in found.owners)
    if alone and len(found.owners) == 2 and found.people[0].found_by == "both":
        return ""

    def line(owner: ContactOwner) -> str:
        mark = "📞" if isinstance(owner.contact, Phone) else "📧"
        place = places.get(owner.candidate.cpf)
        if place is None:
            whose = safe(owner.candidate.name, longest=80) or owner.candidate.cpf.formatted
        else:
            whose = people[place - 1].called + (f" (pessoa {place})" if len(people) > 1 else "")
        more = owner.sharing - 1
        if len(found.owners) == len(people) == 1 and not more:
            return f"{mark} {_shown(owner.contact)}"
        shared = f" e mais {more} {'pessoas' if more > 1 else 'pessoa'}" if more else ""
        return f"{mark} {_shown(owner.contact)} → {whose}{shared}"

    return "\n".join(map(line, found.owners))


def _news(contacts: Contacts, told: Sequence[Told]) -> str:
    """What is new since the last message; empty where this is the lead's first one."""
    before = next((one.contacts for one in reversed(told) if one.contacts), None)
    if before is None:
        return ""
    if new := _named(contacts, before):
        return f"🔄 Novo: {'; '.join(new)}"
    taken_away = not before <= set(contacts.keys)
    return "🔄 Um contato foi retirado do lead" if taken_away else "🔄 Os dados mudaram"


def _named(contacts: Contacts, before: Set[str]) -> list[str]:
    new = [f"telefone {_shown(phone)}" for phone in contacts.phones if phone.e164 not in before]
    return new + [
        f"e-mail {_shown(email)}" for email in contacts.emails if email.address not in before
    ]


def _shown(contact: Phone | Email) -> str:
    return contact.formatted if isinstance(contact, Phone) else safe(contact.address) or ""


def _speaks_of(told: Sequence[Told], content_key: str) -> bool:
    """Whether the last message is this content, or the return to it."""
    last = told[-1].content_key
    returns = [*told, Told(_FORGOTTEN, "", frozenset())]
    return last == content_key or any(last == _key_of_return(content_key, one) for one in returns)


def _key_of_return(content_key: str, last: Told) -> str:
    """Each return to earlier content has a key of its own; a retry of it has the same."""
    return sha256(f"{content_key} again after {last.content_key}".encode()).hexdigest()


def _return_text(
    people: Sequence[PersonText], contacts: Contacts, last: Told, earlier: Told
) -> str:
    back = _named(contacts, last.contacts) if last.contacts else []
    heading = f"🔄 Voltou a valer: {back[0] if back else 'o que já foi dito'}"
    room = (NOTIFICATION - len(heading)) // len(people) - 3
    if room < _SHORTEST_NAME:  # a long e-mail fills the notification: whole names stand below it
        room = NOTIFICATION
    names = " / ".join(first_words(one.called, room) for one in people)
    return (
        f"{heading}\n{names}\n\nOs dados estão na mensagem anterior deste lead, ref {earlier.ref}."
    )


def _own_record(person: FoundPerson, profiles: Mapping[Cpf, Profile | None]) -> Profile | None:
    """The record of this CPF. One that carries another CPF is nobody's here."""
    profile = profiles.get(person.candidate.cpf)
    return profile if profile is not None and profile.cpf == person.candidate.cpf.digits else None


def refs_of(lead_id: str, content_key: str, keys: HashKeys) -> tuple[str, ...]:
    """This content's ref under each key: not to be guessed, and the same again after a restore."""
    digests = keys.digests("ref", f"{lead_id}\n{content_key}")
    return tuple(
        "".join(REF_ALPHABET[number >> shift & 31] for shift in range(35, -1, -5))
        for number in (int.from_bytes(digest[:5], "big") for digest in digests)
    )


def _with_ref(text: str, lead_id: str, content_key: str, keys: HashKeys) -> SellerMessage:
    ref = refs_of(lead_id, content_key, keys)[0]
    return SellerMessage(f"{text}\n\nref {ref}", ref, content_key)
