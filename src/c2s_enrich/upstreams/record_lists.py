"""The lists of a person's record, each thing once, best first. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams.fields import get, read_date, rows_of, text_of, yes

# A profile keeps the best of each list.
_KEEP_AT_MOST = 30


def read_phones(data: object) -> tuple[PhoneEntry, ...]:
    """Best first: WhatsApp, then in use, then mobile, then the source's order."""
    found: dict[str, PhoneEntry] = {}
    for row in rows_of(data, "telefones"):
        text = text_of(row, "telefone") or text_of(row, "numero")
        phone = read_phone(text) if text else None
        if not isinstance(phone, Phone) or phone.national is None:
            continue
        status = plain(text_of(row, "status") or "")
        active = (
            True
            if status.startswith("ATIV")
            else False
            if status in ("NO", "NAO", "INATIVO")
            else None
        )
        entry = PhoneEntry(
            phone.national,
            text_of(row, "tipo"),
            text_of(row, "operadora"),
            active,
            yes(get(row, "whatsapp")),
        )
        if phone.national not in found or _phone_rank(entry) < _phone_rank(found[phone.national]):
            found[phone.national] = entry
    return tuple(sorted(found.values(), key=_phone_rank)[:_KEEP_AT_MOST])


def _phone_rank(entry: PhoneEntry) -> tuple[bool, bool, bool]:
    return entry.whatsapp is not True, entry.active is False, len(entry.number) != 11


_PRIORITIES = ("MUITO ALTA", "ALTA", "MEDIA", "BAIXA", "MUITO BAIXA")
_QUALITIES = ("OTIMO", "BOM", "POTENCIALMENTE BOM")


def read_emails(data: object) -> tuple[EmailEntry, ...]:
    """Best first: not blacklisted, then priority, quality, personal, then the source's order."""
    found: dict[str, EmailEntry] = {}
    for row in rows_of(data, "emails"):
        text = text_of(row, "email") or text_of(row, "endereco")
        email = read_email(text) if text else None
        if not isinstance(email, Email):
            continue
        entry = EmailEntry(
            email.address,
            text_of(row, "prioridade"),
            text_of(row, "qualidade"),
            yes(get(row, "emailPessoal")),
            yes(get(row, "blacklist")),
        )
        if email.address not in found or _email_rank(entry) < _email_rank(found[email.address]):
            found[email.address] = entry
    return tuple(sorted(found.values(), key=_email_rank)[:_KEEP_AT_MOST])


def _email_rank(entry: EmailEntry) -> tuple[bool, int, int, bool]:
    return (
        entry.blacklisted is True,
        _place(entry.priority, _PRIORITIES),
        _place(entry.quality, _QUALITIES),
        entry.personal is not True,
    )


def _place(text: str | None, order: tuple[str, ...]) -> int:
    word = plain(text or "")
    return order.index(word) if word in order else len(order)


def read_addresses(data: object) -> tuple[AddressEntry, ...]:
    """In the source's order; an entry needs at least a street or a postcode."""
    found: dict[tuple[str, ...], AddressEntry] = {}
    for row in rows_of(data, "enderecos"):
        state = text_of(row, "uf")
        entry = AddressEntry(
            street_type=text_of(row, "tipoLogradouro"),
            street=text_of(row, "logradouro"),
            number=text_of(row, "logradouroNumero") or text_of(row, "numero"),
            complement=text_of(row, "complemento"),
            district=text_of(row, "bairro"),
            city=text_of(row, "cidade"),
            state=state.upper()
            if state is not None and re.fullmatch("[A-Za-z]{2}", state)
            else None,
            postcode=_postcode(row),
        )
        if entry.street is not None or entry.postcode is not None:
            found.setdefault(
                (
                    plain(entry.street or ""),
                    entry.number or "",
                    entry.postcode or plain(entry.city or ""),
                ),
                entry,
            )
    return tuple(found.values())[:_KEEP_AT_MOST]


def _postcode(row: Mapping[str, object]) -> str | None:
    digits = re.sub(r"[^0-9]", "", text_of(row, "cep") or "")
    # As a number a postcode of São Paulo (0xxxx-xxx) loses its first zero.
    return digits.zfill(8) if len(digits) in (7, 8) and digits.strip("0") else None


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
        name=next((name for name in names if name), None),
        relation=readable(", ".join(dict.fromkeys(relation for relation in relations if relation))),
        since=min((day for day in days if day is not None), default=None),
        active=True if True in states else False if False in states else None,
    )


def _is_active(left: str | None) -> bool | None:
    """From the leaving date: 31/12/9999 means never."""
    if left is None:
        return None
    return True if "9999" in left else False if read_date(left) is not None else None
