"""Reads a person's record as the Work API answers it. Pure: the client decodes the bytes.

HTTP 200 comes with "not found", "no credits" and "unknown module" too. So a record is one that has
a name and the CPF that was asked for, and what is not understood is never "nobody". Refuses to read
what the product does not use: health, neighbours, relatives, benefits, purchases.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams.fields import get, object_of, read_date, read_money, rows_of, text_of, yes

T = TypeVar("T")

# A profile keeps the best of each list.
_KEEP_AT_MOST = 30


def read_record(data: object, asked: Cpf) -> Profile | None:
    """None where there is no record. Raises Unauthorised, Unreadable; no text quotes the body."""
    basic = object_of(data, "DadosBasicos")
    name = text_of(basic, "nome")
    if name is None:
        judge_failure(data)
        return None
    if Cpf.parse(get(basic, "cpf")) != asked:
        raise Unreadable("work_api", "the record is not of the CPF that was asked for")
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


def judge_failure(data: object) -> None:
    """Raises Unauthorised or Unreadable for a body without a record, unless it says "not found".
    Its status may be a number or text, under `status`, `Status` or `code`.
    """
    if not isinstance(data, dict):
        raise Unreadable("work_api", "not an object")
    given = (text_of(data, key) or "" for key in ("status", "code"))
    statuses = sorted({found[1] for text in given if (found := re.match(r"(\d{3})(?!\d)", text))})
    told = f"status {', '.join(statuses)}" if statuses else ""
    texts = (text_of(data, key) or "" for key in ("message", "statusMsg", "reason", "erro"))
    if {"401", "402", "403", "429"}.intersection(statuses) or "CREDIT" in plain(" ".join(texts)):
        raise Unauthorised("work_api", f"account problem: {told or 'credits'}")
    if "404" in statuses:
        return
    if get(data, "erro"):
        raise Unauthorised("work_api", "account problem: an `erro` without a status")
    raise Unreadable("work_api", ", ".join(filter(None, ("no name in DadosBasicos", told))))


def _deceased(value: object) -> bool:
    flag = yes(get(value, "obito") if isinstance(value, dict) else value)
    # Without the flag, a real date of death says as much.
    return flag or (flag is None and read_date(get(value, "dataObito")) is not None)


# The register's own words. Its numeric codes have no legend: a wrong warning would be worse.
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
    return first[0] if first in ("M", "MASCULINO", "F", "FEMININO") else None


def _score(score: Mapping[str, object]) -> tuple[int | None, str | None]:
    for name in ("scoreCSBA", "scoreCSB"):
        number = read_money(get(score, name))
        if number is not None and number <= 1000:
            return int(number), text_of(score, name + "FaixaRisco")
    return None, None


def _income_range(sentence: str | None) -> tuple[Decimal, ...]:
    """The two amounts of "De R$ 1.630 até R$ 2.250"; of any other count none."""
    match [
        read_money(each.rstrip(".,")) for each in re.findall(r"R\$\s*([\d.,]+)", sentence or "")
    ]:
        case [Decimal() as low, Decimal() as high] if low <= high:
            return low, high
    return ()


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


def _emails(data: object) -> tuple[EmailEntry, ...]:
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


def _addresses(data: object) -> tuple[AddressEntry, ...]:
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


def _companies(data: object) -> tuple[CompanyEntry, ...]:
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
