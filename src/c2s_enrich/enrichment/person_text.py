"""A person as lines of a message. Each value is one HTML-escaped line: no name is a section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from html import escape

from c2s_enrich.enrichment.match import FoundPerson
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import format_national
from c2s_enrich.people.name import NameAgreement, compare_names
from c2s_enrich.people.name_words import PARTICLES
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.people.text import readable

# A section's title, and what it is called in a sentence; what a seller misses least comes first.
COMPANIES = "🏢 EMPRESAS"
ADDRESSES = "🏠 ENDEREÇOS"
EMAILS = "📧 EMAILS"
FINANCES = "💰 DADOS FINANCEIROS"
PHONES = "📱 TELEFONES"
PERSONAL = "✅ DADOS PESSOAIS"
IN_WORDS = {
    COMPANIES: "empresas",
    ADDRESSES: "endereços",
    EMAILS: "e-mails",
    FINANCES: "dados financeiros",
    PHONES: "telefones",
    PERSONAL: "dados pessoais",
}


@dataclass(frozen=True)
class PersonText:
    """One person's lines. `differs` is whether the lead's name speaks against them. `profile` is
    empty where there is no record.
    """

    found: FoundPerson
    recorded: bool
    profile: Profile
    name: str | None
    differs: bool
    age: str | None
    factor: Decimal
    sections: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        found: FoundPerson,
        record: Profile | None,
        lead: LeadFacts,
        today: date,
        factor: Decimal,
    ) -> PersonText:
        profile = record or Profile(found.candidate.cpf.digits, "")
        name = profile.name or found.candidate.name
        differs = compare_names(lead.name, name) is NameAgreement.DIFFERENT
        called, age = safe(name, longest=80), _age(profile, today)
        sections = _sections(profile, factor)
        return cls(found, record is not None, profile, called, differs, age, factor, sections)

    @property
    def called(self) -> str:
        """The name, or the CPF of a person without one."""
        return self.name or f"CPF {self.found.candidate.cpf.formatted}"

    def warnings(self, lead_name: str) -> list[str]:
        lines = []
        if self.differs:
            lines.append(f"❗ O nome difere do informado no lead: {safe(lead_name, longest=60)}")
        if not self.recorded:
            lines.append("❗ Não há cadastro disponível para este CPF")
        elif self.profile.deceased:
            lines.append("❗ Consta óbito no cadastro desta pessoa")
        if irregular := safe(self.profile.irregular, longest=60):
            lines.append(f"❗ Situação cadastral do CPF: {irregular}")
        return lines

    def text(self, lead_name: str, with_age: bool, without: Set[str]) -> str:
        cpf = self.found.candidate.cpf.formatted
        lines = [PERSONAL, *_labelled(("Nome", self.name), ("CPF", cpf))]
        if PERSONAL not in without:
            if day := self.profile.birth_date:
                age = f" ({self.age})" if self.age and with_age else ""
                lines.append(f"Nascimento: {day:%d/%m/}{day.year:04}{age}")
            lines += _labelled(
                ("Sexo", {"M": "Masculino", "F": "Feminino"}.get(self.profile.sex or "")),
                ("Mãe", safe(self.profile.mother)),
                ("Estado civil", safe(self.profile.marital_status)),
                ("Escolaridade", safe(self.profile.education)),
                ("Profissão", safe(self.profile.occupation)),
            )
        parts = ["\n".join(self.warnings(lead_name)), "\n".join(lines)]
        for title, entries in self.sections.items():
            if entries and title not in without:
                parts.append("\n".join((title, *entries)))
        return "\n\n".join(part for part in parts if part)

    def summary(self, room: int, with_age: bool, without: Set[str]) -> str:
        """What fits into `room`: name, age, occupation, income or purchasing power, town."""
        line, profile = first_words(self.called, room), self.profile
        if not line:
            return line
        told = ["consta óbito" if profile.deceased else None]
        if PERSONAL not in without:
            told += [self.age if with_age else None, safe(profile.occupation)]
        if FINANCES not in without:
            income, power = _income(profile, self.factor), safe(profile.purchasing_power)
            told.append(f"renda {income}" if income else power and f"poder aquisitivo {power}")
        if ADDRESSES not in without and profile.addresses:
            told.append(_town(profile.addresses[0]))
        for each in told:
            if each and len(line) + 2 + len(each) <= room:
                line += f", {each}"
        return line


def first_words(name: str, room: int) -> str:
    """As many whole words as fit, none of them a particle at the end."""
    words = name.split()
    while words and (len(" ".join(words)) > room or (words[-1].upper() in PARTICLES and words[1:])):
        words.pop()
    return " ".join(words)


def _sections(profile: Profile, factor: Decimal) -> Mapping[str, tuple[str, ...]]:
    """The record's sections below the personal data, in the order in which they are shown."""
    emails = [entry for entry in profile.emails if not entry.blacklisted]
    return {
        FINANCES: _finances(profile, factor),
        EMAILS: _numbered(map(_email, emails), 3),
        PHONES: _numbered(map(_phone, profile.phones), 3),
        ADDRESSES: _numbered(filter(None, map(_address, profile.addresses)), 2),
        COMPANIES: _numbered(map(_company, profile.companies), 3),
    }


def _age(profile: Profile, today: date) -> str | None:
    """36 anos. None for the dead, and for a day that is unknown, impossible or a placeholder."""
    day = profile.birth_date
    if day is None or day > today or profile.deceased:
        return None
    age = today.year - day.year - ((today.month, today.day) < (day.month, day.day))
    return f"{age} {'ano' if age == 1 else 'anos'}" if age <= 120 else None


def _income(profile: Profile, factor: Decimal) -> str | None:
    """R$ 6.089,28 a month, after the multiplier; None where the record has none."""
    return None if profile.income is None else format_money(profile.income * factor)


def format_money(amount: Decimal) -> str:
    """R$ 1.234,56, rounded half up to cents."""
    text = f"{amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,.2f}"
    return "R$ " + text.translate(str.maketrans(",.", ".,"))


def _labelled(*pairs: tuple[str, str | None]) -> tuple[str, ...]:
    return tuple(f"{label}: {value}" for label, value in pairs if value)


def safe(text: str | None, *, longest: int = 120) -> str | None:
    """A value from outside as one harmless line. Escaped last: no entity is cut in two."""
    line = readable(text, longest=longest) if text is not None else None
    return escape(line, quote=False) if line is not None else None


def _numbered(entries: Iterable[str], most: int) -> tuple[str, ...]:
    lines = [f"{place}. {entry}" for place, entry in enumerate(entries, start=1)]
    more = [f"+ {len(lines) - most}"] if len(lines) > most else []
    return (*lines[:most], *more)


def _finances(profile: Profile, factor: Decimal) -> tuple[str, ...]:
    adjusted = " (ajustada)" if factor != 1 else ""
    amounts = [format_money(amount * factor) for amount in profile.income_range]
    score = profile.credit_score
    return _labelled(
        (f"Renda{adjusted}", _income(profile, factor)),
        ("Poder aquisitivo", safe(profile.purchasing_power)),
        (f"Faixa de renda{adjusted}", " a ".join(amounts)),
        ("Score de crédito", None if score is None else str(score)),
        ("Risco de crédito", safe(profile.credit_risk)),
    )


def _email(entry: EmailEntry) -> str:
    priority = safe(entry.priority, longest=20)
    suffix = f" (prioridade {priority.lower()})" if priority else ""
    return f"{safe(entry.address, longest=254)}{suffix}"


def _phone(entry: PhoneEntry) -> str:
    kind = safe(entry.kind, longest=30) or ("celular" if len(entry.number) == 11 else "fixo")
    marks = " ✅ WhatsApp" * (entry.whatsapp is True) + " ❌ fora de uso" * (entry.active is False)
    return f"{format_national(entry.number)} - {kind.lower()}{marks}"


def _address(entry: AddressEntry) -> str:
    """In one line: street number, complement, district - city/UF - CEP."""
    number = safe(entry.number, longest=20)
    street = _with(" ", safe(entry.street_type, longest=20), safe(entry.street), number)
    local = (street, safe(entry.complement, longest=40)) if entry.street else ()
    near = _with(", ", *local, safe(entry.district, longest=60))
    postcode = f"CEP {entry.postcode[:5]}-{entry.postcode[5:]}" if entry.postcode else ""
    return _with(" - ", near, _town(entry), postcode)


def _town(entry: AddressEntry) -> str:
    return _with("/", safe(entry.city, longest=60), safe(entry.state, longest=2))


def _company(entry: CompanyEntry) -> str:
    n = safe(entry.cnpj, longest=14) or ""
    number = f"CNPJ {n[:2]}.{n[2:5]}.{n[5:8]}/{n[8:12]}-{n[12:]}"
    named = _with(" - ", number, safe(entry.name, longest=80), safe(entry.relation, longest=80))
    return named + (" (desligado)" if entry.active is False else "")


def _with(separator: str, *parts: str | None) -> str:
    return separator.join(part for part in parts if part)
