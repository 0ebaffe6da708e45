"""Reads a person's record as the Work API answers it. Pure: bytes were decoded by the client, errors
are raised by the client.

HTTP 200 proves nothing at the Work API: it sends "not found", "no credits" and "unknown module"
with it. So a record is one that has a name and the CPF that was asked for; everything else is told
apart here, and what is not understood is never "nobody". Refuses to read anything of the record
that the product does not use: health, neighbours, relatives, benefits, purchases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams.fields import (
    get,
    is_huge,
    object_of,
    read_date,
    read_money,
    rows_of,
    text_of,
    yes,
)


@dataclass(frozen=True)
class NoRecord:
    """The Work API has no record of this CPF. A final answer."""


@dataclass(frozen=True)
class AccountProblem:
    """Credits, plan or token: not the person's fault, and the next call would end alike. `detail`
    carries no value of the body.
    """

    detail: str


@dataclass(frozen=True)
class UnreadableRecord:
    """Nothing that we understand, so neither a record nor its absence. `detail` carries no value of
    the body.
    """

    detail: str


Record = Profile | NoRecord | AccountProblem | UnreadableRecord

# A profile keeps the best of each list.
_KEEP_AT_MOST = 30


def read_record(data: object, asked: Cpf) -> Record:
    """Judges the body of `modulo=cpf`, decoded from JSON. Never raises, whatever `data` is."""
    basic = object_of(data, "DadosBasicos")
    name = text_of(basic, "nome")
    if name is None:
        return judge_failure(data)
    if Cpf.parse(get(basic, "cpf")) != asked:
        return UnreadableRecord("the record is not of the CPF that was asked for")
    economic = object_of(data, "DadosEconomicos")
    power = object_of(economic, "poderAquisitivo")
    score, risk = _score(object_of(economic, "score"))
    standing = _irregular(basic)
    return Profile(
        cpf=asked.digits,
        name=name,
        birth_date=read_date(get(basic, "dataNascimento")),
        sex=_sex(text_of(basic, "sexo")),
        mother=text_of(basic, "nomeMae"),
        marital_status=text_of(basic, "estadoCivil"),
        education=text_of(basic, "escolaridade"),
        deceased=_deceased(get(basic, "obito"))
        or (standing is not None and "FALECID" in plain(standing)),
        irregular=standing,
        income=read_money(get(economic, "renda")),
        purchasing_power=text_of(power, "poderAquisitivoDescricao")
        or text_of(economic, "poderAquisitivo"),
        income_range=_income_range(text_of(power, "faixaPoderAquisitivo")),
        credit_score=score,
        credit_risk=risk,
        occupation=_occupation(data),
        phones=_phones(data),
        emails=_emails(data),
        addresses=_addresses(data),
        companies=_companies(data),
    )


def judge_failure(data: object) -> NoRecord | AccountProblem | UnreadableRecord:
    """Why a body is not a record. Status may be a number or text, under `status`, `Status` or
    `code`.
    """
    if not isinstance(data, dict):
        return UnreadableRecord("not an object")
    statuses = {
        status for key in ("status", "code") if (status := _status(get(data, key))) is not None
    }
    words = plain(
        " ".join(
            text
            for key in ("message", "statusMsg", "reason", "erro")
            if (text := text_of(data, key))
        )
    )
    if statuses & {401, 402, 403, 429} or "CREDIT" in words:
        return AccountProblem(
            "status " + ", ".join(map(str, sorted(statuses))) if statuses else "credits"
        )
    if 404 in statuses:
        return NoRecord()
    if get(data, "erro"):
        return AccountProblem("an `erro` without a status")
    return UnreadableRecord(
        f"no name in DadosBasicos, status {min(statuses)}"
        if statuses
        else "no name in DadosBasicos"
    )


def _status(value: object) -> int | None:
    found = (
        re.match(r"\s*(\d{3})(?!\d)", str(value))
        if isinstance(value, int | str) and not is_huge(value)
        else None
    )
    return int(found[1]) if found else None


def _deceased(value: object) -> bool:
    if isinstance(value, dict):
        flag = get(value, "obito")
        # Without the flag, a real date of death says as much.
        return yes(flag) is True or (
            yes(flag) is None and read_date(get(value, "dataObito")) is not None
        )
    return yes(value) is True


# Only the register's own words count. Its numeric codes are given without a legend, and calling a
# regular person irregular would be worse than saying nothing.
_IRREGULAR = ("SUSPENS", "CANCELAD", "NUL", "PENDENTE", "FALECID", "INAPT", "IRREGULAR")


def _irregular(basic: Mapping[str, object]) -> str | None:
    standing = get(basic, "situacaoCadastral")
    texts = standing.values() if isinstance(standing, dict) else (standing,)
    for value in texts:
        text = readable(value, longest=60) if isinstance(value, str) else None
        if text is not None and any(re.search(rf"\b{word}", plain(text)) for word in _IRREGULAR):
            return text
    return None


def _sex(text: str | None) -> str | None:
    first = plain(text or "").split(" ")[0]
    return {"M": "M", "MASCULINO": "M", "F": "F", "FEMININO": "F"}.get(first)


def _score(score: Mapping[str, object]) -> tuple[int | None, str | None]:
    for name in ("scoreCSBA", "scoreCSB"):
        number = read_money(get(score, name))
        if number is not None and number <= 1000:
            return int(number), text_of(score, name + "FaixaRisco")
    return None, None


def _income_range(sentence: str | None) -> tuple[Decimal, ...]:
    """The two amounts of a sentence like "De R$ 1.630 até R$ 2.250"; with any other count its sense
    would be a guess.
    """
    amounts = [
        read_money(found.rstrip(".,")) for found in re.findall(r"R\$\s*([\d.,]+)", sentence or "")
    ]
    known = tuple(amount for amount in amounts if amount is not None)
    return known if len(known) == len(amounts) == 2 and known[0] <= known[1] else ()


def _occupation(data: object) -> str | None:
    section = get(data, "profissao")
    if isinstance(section, str):
        return readable(section)
    if isinstance(section, dict):
        for name in ("profissao", "ocupacao", "cargo", "cboDescricao", "descricao"):
            text = text_of(section, name)
            if text is not None and not text.isdigit():
                return text
    return None


def _phones(data: object) -> tuple[PhoneEntry, ...]:
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


def _emails(data: object) -> tuple[EmailEntry, ...]:
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


def _addresses(data: object) -> tuple[AddressEntry, ...]:
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


def _companies(data: object) -> tuple[CompanyEntry, ...]:
    """One entry a CNPJ (it repeats for each kind of relation), present ones before left ones, then
    the source's order.
    """
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
