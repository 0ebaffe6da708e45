"""The lists of a person's record, each thing once, best first. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams.fields import get, read_date, rows_of, text_of, yes

T = TypeVar("T")

# A profile keeps the best of each list.
_KEEP_AT_MOST = 30


def read_phones(data: object) -> tuple[PhoneEntry, ...]:
    """Best first: WhatsApp, then in use, then mobile, then the source's order."""
    entries = []
    for row in rows_of(data, "telefones"):
        phone = read_phone(text_of(row, "telefone") or text_of(row, "numero") or "")
        if isinstance(phone, Phone) and phone.national is not None:
            status = plain(text_of(row, "status") or "")
            active = {"NO": False, "NAO": False, "INATIVO": False}.get(status)
            entries.append(
                PhoneEntry(
                    phone.national,
                    text_of(row, "tipo"),
                    text_of(row, "operadora"),
                    True if status.startswith("ATIV") else active,
                    yes(get(row, "whatsapp")),
                )
            )
    entries.sort(key=lambda one: (not one.whatsapp, one.active is False, len(one.number) != 11))
    return _each_once(entries, lambda one: one.number)


_PRIORITIES = ("MUITO ALTA", "ALTA", "MEDIA", "BAIXA", "MUITO BAIXA")
_QUALITIES = ("OTIMO", "BOM", "POTENCIALMENTE BOM")


def read_emails(data: object) -> tuple[EmailEntry, ...]:
    """Best first: not blacklisted, then priority, quality, personal, then the source's order."""
    entries = []
    for row in rows_of(data, "emails"):
        email = read_email(text_of(row, "email") or text_of(row, "endereco") or "")
        if isinstance(email, Email):
            entries.append(
                EmailEntry(
                    email.address,
                    text_of(row, "prioridade"),
                    text_of(row, "qualidade"),
                    yes(get(row, "emailPessoal")),
                    yes(get(row, "blacklist")),
                )
            )
    entries.sort(
        key=lambda one: (
            bool(one.blacklisted),
            _place(one.priority, _PRIORITIES),
            _place(one.quality, _QUALITIES),
            not one.personal,
        )
    )
    return _each_once(entries, lambda one: one.address)


def _place(text: str | None, order: tuple[str, ...]) -> int:
    word = plain(text or "")
    return order.index(word) if word in order else len(order)


def read_addresses(data: object) -> tuple[AddressEntry, ...]:
    """In the source's order; an entry needs at least a street or a postcode."""
    entries = []
    for row in rows_of(data, "enderecos"):
        state = text_of(row, "uf") or ""
        postcode = re.sub(r"[^0-9]", "", text_of(row, "cep") or "")
        # As a number a postcode of São Paulo (0xxxx-xxx) loses its first zero.
        known = len(postcode) in (7, 8) and postcode.strip("0")
        entry = AddressEntry(
            street_type=text_of(row, "tipoLogradouro"),
            street=text_of(row, "logradouro"),
            number=text_of(row, "logradouroNumero") or text_of(row, "numero"),
            complement=text_of(row, "complemento"),
            district=text_of(row, "bairro"),
            city=text_of(row, "cidade"),
            state=state.upper() if re.fullmatch("[A-Za-z]{2}", state) else None,
            postcode=postcode.zfill(8) if known else None,
        )
        if entry.street is not None or entry.postcode is not None:
            entries.append(entry)
    return _each_once(entries, lambda one: one.key)


def _each_once(entries: Sequence[T], key: Callable[[T], str]) -> tuple[T, ...]:
    """The first entry of each key."""
    found: dict[str, T] = {}
    for entry in entries:
        found.setdefault(key(entry), entry)
    return tuple(found.values())[:_KEEP_AT_MOST]


def read_companies(data: object) -> tuple[CompanyEntry, ...]:
    """One entry a CNPJ (it repeats for each relation), present ones first."""
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for row in rows_of(data, "empresas"):
        cnpj = re.sub(r"[^0-9A-Z]", "", (text_of(row, "cnpj") or "").upper())
        # As a number it may have lost up to three zeros.
        cnpj = cnpj.zfill(14) if cnpj.isdigit() and len(cnpj) >= 11 else cnpj
        if len(cnpj) == 14 and cnpj.strip("0"):
            grouped.setdefault(cnpj, []).append(row)
    entries = [_company(cnpj, rows) for cnpj, rows in grouped.items()]
    return tuple(sorted(entries, key=lambda entry: entry.active is False)[:_KEEP_AT_MOST])


def _company(cnpj: str, rows: Sequence[Mapping[str, object]]) -> CompanyEntry:
    names = (text_of(row, "razaoSocial") or text_of(row, "nome") for row in rows)
    relations = (text_of(row, "relacao") or text_of(row, "tipoRelacao") for row in rows)
    days = (read_date(get(row, "admissao")) for row in rows)
    states = {_is_active(text_of(row, "demissao")) for row in rows}
    return CompanyEntry(
        cnpj,
        name=next(filter(None, names), None),
        relation=readable(", ".join(dict.fromkeys(filter(None, relations)))),
        since=min(filter(None, days), default=None),
        active=True if True in states else False if False in states else None,
    )


def _is_active(left: str | None) -> bool | None:
    """From the leaving date: 31/12/9999 means never."""
    if left is None:
        return None
    return True if "9999" in left else False if read_date(left) is not None else None
