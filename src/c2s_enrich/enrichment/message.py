"""What the seller reads: one Portuguese text about the person behind a lead. Pure; the only place
with words for sellers.

Refuses to print what is not known: no empty line of a section, no placeholder, nothing of one
person under another's CPF. Every value from outside is one line, stripped of control and direction
marks, and HTML-escaped (C2S renders HTML), so that no name can pose as a section of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from html import escape

from c2s_enrich.enrichment.match import DifferentPeople, Found, FoundBy, OneSource, SamePerson
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Contacts, canonical, format_national
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.name import NameAgreement, compare_names
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.people.text import readable

# Raise it when the wording changes in a way that sellers should be told again; it is part of every
# content key.
TEMPLATE_VERSION = 1
# C2S takes 15,000 characters; a seller reads the first screens of a phone.
OUTER_LIMIT = 15_000
READABLE_LIMIT = 3_500

# Crockford's base 32: no I, L, O and U, so that a ref survives being read aloud.
REF_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REF_LENGTH = 8

_MOST_EMAILS, _MOST_PHONES, _MOST_ADDRESSES, _MOST_COMPANIES = 3, 3, 2, 3
_UPDATE = "🔄 ATUALIZAÇÃO"
_RULE = "━━━━━━━━━━━━━━━━━━━━"


@dataclass(frozen=True)
class Message:
    """`body` ends with the line "ref XXXXXXXX". `content_key` (64 hex digits) is the same as long
    as the seller would learn the same.
    """

    body: str
    ref: str
    content_key: str


def compose_message(
    found: Found,
    profiles: Mapping[Cpf, Profile | None],
    lead: LeadFacts,
    contacts: Contacts,
    keys: HashKeys,
    *,
    today: date,
    income_multiplier: Decimal | float = 1,
    told_before: Set[str] | None = None,
    limit: int = READABLE_LIMIT,
) -> Message:
    """The message about the people found. Total: no profile makes it raise.

    A CPF that is missing from `profiles` or maps to None has no record, and the message says so.
    `told_before` holds the contacts (E.164 and addresses) of the lead's last message, None where it
    has none: then the first line says what is new. That line is not part of the content key, so a
    retry cannot send the same news twice. `limit` is in characters; from 2,500 on it is always
    kept.
    """
    factor = Decimal(str(income_multiplier))
    draft = _Draft(
        opening=_opening(found, contacts),
        blocks=tuple(
            _block(candidate, _own_record(candidate, profiles), lead, today, factor)
            for candidate, _ in found.people
        ),
        titles=_titles(found, contacts),
    )
    # The age changes with the date and the update line with the history: neither is part of what
    # the seller learns.
    shown = _join(replace(draft, blocks=tuple(block.without_age() for block in draft.blocks)), None)
    content_key = sha256(f"{TEMPLATE_VERSION}\n{canonical(contacts)}\n{shown}".encode()).hexdigest()
    ref = refs_of(lead.lead_id, content_key, keys)[0]
    body = _fitted(
        draft, _news(contacts, told_before), min(limit, OUTER_LIMIT) - len(f"\n\nref {ref}")
    )
    return Message(f"{body}\n\nref {ref}", ref, content_key)


@dataclass(frozen=True)
class _Block:
    """One person. `warnings`, `name` and `cpf` always stay; each section can be dropped as a whole."""

    warnings: tuple[str, ...]
    identity: tuple[str, ...]
    birth: tuple[str, str] | None
    """The line with the age, and the one without."""
    personal: tuple[str, ...]
    sections: Mapping[str, tuple[str, ...]]

    def without_age(self) -> _Block:
        return replace(self, birth=(self.birth[1], self.birth[1]) if self.birth else None)

    def without(self, section: str) -> _Block:
        if section == _PERSONAL:
            return replace(self, birth=None, personal=())
        return replace(
            self,
            sections={title: lines for title, lines in self.sections.items() if title != section},
        )

    def text(self) -> str:
        personal = (*self.identity, *((self.birth[0],) if self.birth else ()), *self.personal)
        parts = ["\n".join(self.warnings), "\n".join((_PERSONAL, *personal))]
        parts += ["\n".join((title, *lines)) for title, lines in self.sections.items() if lines]
        return "\n\n".join(part for part in parts if part)


@dataclass(frozen=True)
class _Draft:
    """`opening` and `titles` hold a wording that names the contact and a short one."""

    opening: tuple[str, str]
    blocks: tuple[_Block, ...]
    titles: tuple[tuple[str, str], ...]

    def without(self, section: str) -> _Draft:
        return replace(self, blocks=tuple(block.without(section) for block in self.blocks))

    def short(self) -> _Draft:
        return replace(
            self,
            opening=(self.opening[1],) * 2,
            titles=tuple((short, short) for _, short in self.titles),
        )


_PERSONAL = "✅ DADOS PESSOAIS"
_FINANCES = "💰 DADOS FINANCEIROS"
_EMAILS = "📧 EMAILS"
_PHONES = "📱 TELEFONES"
_ADDRESSES = "🏠 ENDEREÇOS"
_COMPANIES = "🏢 EMPRESAS"
# What a seller misses least comes first.
_DROPPED_IN_ORDER = (_COMPANIES, _ADDRESSES, _EMAILS, _FINANCES, _PHONES, _PERSONAL)


def _fitted(draft: _Draft, news: str | None, room: int) -> str:
    """The text in at most `room` characters: whole sections go, lines are never cut."""
    for section in (None, *_DROPPED_IN_ORDER):
        draft = draft.without(section) if section is not None else draft
        text = _join(draft, news)
        if len(text) <= room:
            return text
    return _join(draft.short(), None if news is None else f"{_UPDATE} do contato do lead")


def _join(draft: _Draft, news: str | None) -> str:
    parts = [news, draft.opening[0]]
    for block, (title, _) in zip(draft.blocks, draft.titles, strict=True):
        parts += [f"{_RULE}\n{title}\n{_RULE}" if title else None, block.text()]
    return "\n\n".join(part for part in parts if part)


def _opening(found: Found, contacts: Contacts) -> tuple[str, str]:
    match found:
        case SamePerson():
            text = "📞📧 Telefone e e-mail pertencem à mesma pessoa"
            return text, text
        case DifferentPeople():
            text = "⚠️ ATENÇÃO: TELEFONE E E-MAIL PERTENCEM A PESSOAS DIFERENTES"
            return text, text
        case OneSource(found_by=found_by):
            long, short = _which(found_by, contacts)
            return (
                f"🔎 Pessoa localizada somente pelo {long}",
                f"🔎 Pessoa localizada somente pelo {short}",
            )


def _titles(found: Found, contacts: Contacts) -> tuple[tuple[str, str], ...]:
    if not isinstance(found, DifferentPeople):
        return (("", ""),)
    pairs = (_which(found_by, contacts) for _, found_by in found.people)
    return tuple(
        (f"PESSOA {place} ({long})", f"PESSOA {place} ({short})")
        for place, (long, short) in enumerate(pairs, start=1)
    )


def _which(found_by: FoundBy, contacts: Contacts) -> tuple[str, str]:
    """The contact by name where there is only one of its kind (with several nobody knows which it
    was), and by kind.
    """
    if found_by == "phone":
        phones = contacts.national_phones
        return (f"telefone {phones[0].formatted}" if len(phones) == 1 else "telefone"), "telefone"
    emails = contacts.emails
    return (f"e-mail {_safe(emails[0].address)}" if len(emails) == 1 else "e-mail"), "e-mail"


def _news(contacts: Contacts, told_before: Set[str] | None) -> str | None:
    """The first line of an update; None where this is the lead's first message."""
    if told_before is None:
        return None
    new = [
        f"novo telefone {phone.formatted}"
        for phone in contacts.phones
        if phone.e164 not in told_before
    ]
    new += [
        f"novo e-mail {_safe(email.address)}"
        for email in contacts.emails
        if email.address not in told_before
    ]
    known = {phone.e164 for phone in contacts.phones} | {email.address for email in contacts.emails}
    if not new and not told_before <= known:
        new = ["um contato foi retirado do lead"]
    return f"{_UPDATE}: {'; '.join(new) or 'o cadastro mudou'}"


def _own_record(candidate: Candidate, profiles: Mapping[Cpf, Profile | None]) -> Profile | None:
    """The record of this CPF. One that carries another CPF is nobody's here."""
    profile = profiles.get(candidate.cpf)
    return profile if profile is not None and profile.cpf == candidate.cpf.digits else None


def _block(
    candidate: Candidate, profile: Profile | None, lead: LeadFacts, today: date, factor: Decimal
) -> _Block:
    name = (profile.name if profile is not None else None) or candidate.name
    warnings = []
    if compare_names(lead.name, name) is NameAgreement.DIFFERENT:
        warnings.append(f"❗ O nome difere do informado no lead: {_safe(lead.name, longest=60)}")
    if profile is not None and profile.deceased:
        warnings.append("❗ Consta óbito no cadastro desta pessoa")
    if profile is not None and (irregular := _safe(profile.irregular, longest=60)):
        warnings.append(f"❗ Situação cadastral do CPF: {irregular}")
    if profile is None:
        warnings.append("❗ Não há cadastro disponível para este CPF")
    identity = _labelled(("Nome", _safe(name, longest=80)), ("CPF", candidate.cpf.formatted))
    if profile is None:
        return _Block(tuple(warnings), identity, None, (), {})
    return _Block(
        tuple(warnings),
        identity,
        _birth(profile.birth_date, today),
        _labelled(
            ("Sexo", {"M": "Masculino", "F": "Feminino"}.get(profile.sex or "")),
            ("Mãe", _safe(profile.mother)),
            ("Estado civil", _safe(profile.marital_status)),
            ("Escolaridade", _safe(profile.education)),
            ("Profissão", _safe(profile.occupation)),
        ),
        {
            _FINANCES: _finances(profile, factor),
            _EMAILS: _numbered(
                [_email(entry) for entry in profile.emails if not entry.blacklisted][:_MOST_EMAILS]
            ),
            _PHONES: _numbered([_phone(entry) for entry in profile.phones][:_MOST_PHONES]),
            _ADDRESSES: _numbered(
                [text for entry in profile.addresses if (text := _address(entry))][:_MOST_ADDRESSES]
            ),
            _COMPANIES: _numbered(
                [_company(entry) for entry in profile.companies][:_MOST_COMPANIES]
            ),
        },
    )


def _birth(day: date | None, today: date) -> tuple[str, str] | None:
    if day is None or day > today:
        return None
    age = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    line = f"Nascimento: {day:%d/%m/}{day.year:04}"
    # Nobody is that old: the day is a placeholder and its age would be nonsense.
    return (f"{line} ({age} {'ano' if age == 1 else 'anos'})" if age <= 120 else line), line


def _finances(profile: Profile, factor: Decimal) -> tuple[str, ...]:
    adjusted = " (ajustada)" if factor != 1 else ""
    amounts = [format_money(amount * factor) for amount in profile.income_range]
    return _labelled(
        (
            f"Renda{adjusted}",
            format_money(profile.income * factor) if profile.income is not None else None,
        ),
        ("Poder aquisitivo", _safe(profile.purchasing_power)),
        (f"Faixa de renda{adjusted}", " a ".join(amounts)),
        (
            "Score de crédito",
            str(profile.credit_score) if profile.credit_score is not None else None,
        ),
        ("Risco de crédito", _safe(profile.credit_risk)),
    )


def _email(entry: EmailEntry) -> str:
    priority = _safe(entry.priority, longest=20)
    return f"{_safe(entry.address, longest=254)}" + (
        f" (prioridade {priority.lower()})" if priority else ""
    )


def _phone(entry: PhoneEntry) -> str:
    kind = _safe(entry.kind, longest=30) or ("celular" if len(entry.number) == 11 else "fixo")
    return f"{format_national(entry.number)} - {kind.lower()}" + (
        " ✅ WhatsApp" if entry.whatsapp else ""
    )


def _address(entry: AddressEntry) -> str:
    """In one line: street number, complement, district - city/UF - CEP."""
    street = (
        _with(
            " ",
            _safe(entry.street_type, longest=20),
            _safe(entry.street),
            _safe(entry.number, longest=20),
        )
        if entry.street
        else ""
    )
    local = _with(
        ", ",
        street,
        _safe(entry.complement, longest=40) if street else "",
        _safe(entry.district, longest=60),
    )
    town = _with("/", _safe(entry.city, longest=60), _safe(entry.state, longest=2))
    return _with(
        " - ",
        local,
        town,
        f"CEP {entry.postcode[:5]}-{entry.postcode[5:]}" if entry.postcode else "",
    )


def _company(entry: CompanyEntry) -> str:
    n = _safe(entry.cnpj, longest=14) or ""
    number = f"CNPJ {n[:2]}.{n[2:5]}.{n[5:8]}/{n[8:12]}-{n[12:]}"
    return _with(
        " - ", number, _safe(entry.name, longest=80), _safe(entry.relation, longest=80)
    ) + (" (desligado)" if entry.active is False else "")


def format_money(amount: Decimal) -> str:
    """R$ 1.234,56, rounded half up to cents."""
    text = f"{amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,.2f}"
    return "R$ " + text.translate(str.maketrans(",.", ".,"))


def _with(separator: str, *parts: str | None) -> str:
    return separator.join(part for part in parts if part)


def _labelled(*pairs: tuple[str, str | None]) -> tuple[str, ...]:
    return tuple(f"{label}: {value}" for label, value in pairs if value)


def _numbered(lines: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{place}. {line}" for place, line in enumerate(lines, start=1))


def _safe(text: str | None, *, longest: int = 120) -> str | None:
    """A value from outside as one harmless line, or None. Escaped last: an entity is never cut in
    two.
    """
    line = readable(text, longest=longest) if text is not None else None
    return escape(line, quote=False) if line is not None else None


def refs_of(lead_id: str, content_key: str, keys: HashKeys) -> tuple[str, ...]:
    """The ref of this content on this lead under HASH_KEY, then under HASH_KEY_PREVIOUS. Nobody
    without the key can guess it, and after a restore it is the same again.
    """
    digests = keys.digests("ref", f"{lead_id}\n{content_key}")
    numbers = [int.from_bytes(digest[:5], "big") for digest in digests]
    return tuple(
        "".join(REF_ALPHABET[number >> shift & 31] for shift in range(35, -1, -5))
        for number in numbers
    )
