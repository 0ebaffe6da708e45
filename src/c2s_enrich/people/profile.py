"""What the Work API knows of a person: the sections that the product uses, and no others.

Health data, neighbours and relatives have no field here, so they cannot reach the database. Every
field may be missing; lists hold each thing once, best first. Stored as JSON in `people.profile`.
"""

from datetime import date
from decimal import Decimal

import msgspec

from c2s_enrich.people.text import plain


class PhoneEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`number` is DDD and subscriber, 10 or 11 digits."""

    number: str
    kind: str | None = None
    operator: str | None = None
    active: bool | None = None
    whatsapp: bool | None = None


class EmailEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`priority` is the source's MUITO ALTA … MUITO BAIXA; `quality` its OTIMO, BOM …."""

    address: str
    priority: str | None = None
    quality: str | None = None
    personal: bool | None = None
    blacklisted: bool | None = None


class AddressEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`postcode` (CEP) is 8 digits."""

    street_type: str | None = None
    street: str | None = None
    number: str | None = None
    complement: str | None = None
    district: str | None = None
    city: str | None = None
    state: str | None = None
    postcode: str | None = None

    @property
    def key(self) -> str:
        """The same for all spellings of one address."""
        place = self.postcode or plain(self.city or "")
        return " | ".join((plain(self.street or ""), self.number or "", place))


class CompanyEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """`active` is False where a leaving date in the past is given."""

    cnpj: str
    name: str | None = None
    relation: str | None = None
    since: date | None = None
    active: bool | None = None


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One person. `income` is in R$ a month as the record has it, before any multiplier;
    `irregular` the standing of the CPF (SUSPENSA, CANCELADA …), None for a regular person.
    """

    cpf: str
    name: str
    birth_date: date | None = None
    sex: str | None = None
    mother: str | None = None
    marital_status: str | None = None
    education: str | None = None
    deceased: bool = False
    irregular: str | None = None
    income: Decimal | None = None
    purchasing_power: str | None = None
    income_range: tuple[Decimal, ...] = ()
    credit_score: int | None = None
    credit_risk: str | None = None
    occupation: str | None = None
    phones: tuple[PhoneEntry, ...] = ()
    emails: tuple[EmailEntry, ...] = ()
    addresses: tuple[AddressEntry, ...] = ()
    companies: tuple[CompanyEntry, ...] = ()

    def __repr__(self) -> str:
        return f"Profile(***.{self.cpf[3:6]}.{self.cpf[6:9]}-**)"
