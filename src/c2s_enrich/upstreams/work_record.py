"""Reads a person's record as the Work API answers it. Pure: the client decodes the bytes.

HTTP 200 comes with "not found", "no credits" and "unknown module" too. So a record is one that has
a name and the CPF that was asked for, and what is not understood is never "nobody". Refuses to read
what the product does not use: health, neighbours, relatives, benefits, purchases.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast

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
    sex = plain(text_of(basic, "sexo") or "").split(" ")[0]
    standing = _irregular(get(basic, "situacaoCadastral"))
    dead = standing is not None and "FALECID" in plain(standing)
    return Profile(
        cpf=asked.digits,
        name=name,
        birth_date=read_date(get(basic, "dataNascimento")),
        sex=sex[0] if sex in ("M", "MASCULINO", "F", "FEMININO") else None,
        mother=text_of(basic, "nomeMae"),
        marital_status=text_of(basic, "estadoCivil"),
        education=text_of(basic, "escolaridade"),
        deceased=dead or _deceased(get(basic, "obito")),
        irregular=standing,
        income=read_money(get(economic, "renda")),
        purchasing_power=text_of(power, "poderAquisitivoDescricao")
        or text_of(economic, "poderAquisitivo"),
        income_range=_income_range(text_of(power, "faixaPoderAquisitivo")),
        credit_score=score,
        credit_risk=risk,
        occupation=_occupation(get(data, "profissao")),
        phones=_best(data, "telefones", _phone, lambda each: each.number, _phone_rank),
        emails=_best(data, "emails", _email, lambda each: each.address, _email_rank),
        addresses=_best(data, "enderecos", _address, lambda each: each.key),
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
_IRREGULAR = re.compile(r"\b(SUSPENS|CANCELAD|NUL|PENDENTE|FALECID|INAPT|IRREGULAR)")


def _irregular(standing: object) -> str | None:
    for value in standing.values() if isinstance(standing, dict) else (standing,):
        text = readable(value, longest=60) if isinstance(value, str) else None
        if text is not None and _IRREGULAR.search(plain(text)):
            return text
    return None


def _score(score: Mapping[str, object]) -> tuple[int | None, str | None]:
    for name in ("scoreCSBA", "scoreCSB"):
        number = read_money(get(score, name))
        if number is not None and number <= 1000:
            return int(number), text_of(score, name + "FaixaRisco")
    return None, None


def _income_range(sentence: str | None) -> tuple[Decimal, ...]:
    """The two amounts of "De R$ 1.630 até R$ 2.250"; of any other count none."""
    written = re.findall(r"R\$\s*([\d.,]+)", sentence or "")
    match [read_money(each.rstrip(".,")) for each in written]:
        case [Decimal() as low, Decimal() as high] if low <= high:
            return low, high
    return ()


def _occupation(section: object) -> str | None:
    if isinstance(section, str):
        return readable(section)
    names = ("profissao", "ocupacao", "cargo", "cboDescricao", "descricao")
    texts = (text_of(section, name) for name in names)
    return next((text for text in texts if text is not None and not text.isdigit()), None)


def _best(
    data: object,
    section: str,
    read: Callable[[Mapping[str, object]], T | None],
    key: Callable[[T], str],
    rank: Callable[[T], object] = lambda _: 0,
) -> tuple[T, ...]:
    """What can be read of a section, best first, then in the source's order; each `key` once."""
    entries = [entry for row in rows_of(data, section) if (entry := read(row)) is not None]
    entries.sort(key=cast(Any, rank))
    found: dict[str, T] = {}
    for entry in entries:
        found.setdefault(key(entry), entry)
    return tuple(found.values())[:_KEEP_AT_MOST]


def _phone(row: Mapping[str, object]) -> PhoneEntry | None:
    phone = read_phone(text_of(row, "telefone", "numero") or "")
    if not isinstance(phone, Phone) or phone.national is None:
        return None
    status = plain(text_of(row, "status") or "")
    used = status.startswith("ATIV") or (False if status in ("NO", "NAO", "INATIVO") else None)
    kind, operator = text_of(row, "tipo"), text_of(row, "operadora")
    return PhoneEntry(phone.national, kind, operator, used, yes(get(row, "whatsapp")))


def _phone_rank(entry: PhoneEntry) -> object:
    """WhatsApp, then in use, then mobile."""
    return not entry.whatsapp, entry.active is False, len(entry.number) != 11


def _email(row: Mapping[str, object]) -> EmailEntry | None:
    email = read_email(text_of(row, "email", "endereco") or "")
    if not isinstance(email, Email):
        return None
    return EmailEntry(
        email.address,
        text_of(row, "prioridade"),
        text_of(row, "qualidade"),
        yes(get(row, "emailPessoal")),
        yes(get(row, "blacklist")),
    )


_PRIORITIES = ("MUITO ALTA", "ALTA", "MEDIA", "BAIXA", "MUITO BAIXA")
_QUALITIES = ("OTIMO", "BOM", "POTENCIALMENTE BOM")


def _email_rank(entry: EmailEntry) -> object:
    """Not blacklisted, then priority, quality, personal."""
    places = []
    for text, order in ((entry.priority, _PRIORITIES), (entry.quality, _QUALITIES)):
        word = plain(text or "")
        places.append(order.index(word) if word in order else len(order))
    return bool(entry.blacklisted), *places, not entry.personal


def _address(row: Mapping[str, object]) -> AddressEntry | None:
    """None where there is neither a street nor a postcode."""
    state = text_of(row, "uf") or ""
    postcode = re.sub(r"[^0-9]", "", text_of(row, "cep") or "")
    # As a number a postcode of São Paulo (0xxxx-xxx) loses its first zero.
    known = len(postcode) in (7, 8) and postcode.strip("0")
    entry = AddressEntry(
        street_type=text_of(row, "tipoLogradouro"),
        street=text_of(row, "logradouro"),
        number=text_of(row, "logradouroNumero", "numero"),
        complement=text_of(row, "complemento"),
        district=text_of(row, "bairro"),
        city=text_of(row, "cidade"),
        state=state.upper() if re.fullmatch("[A-Za-z]{2}", state) else None,
        postcode=postcode.zfill(8) if known else None,
    )
    return entry if entry.street or entry.postcode else None


def _companies(data: object) -> tuple[CompanyEntry, ...]:
    """One entry a CNPJ, which repeats for each relation; present ones first."""
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for row in rows_of(data, "empresas"):
        cnpj = re.sub(r"[^0-9A-Z]", "", (text_of(row, "cnpj") or "").upper())
        # As a number it may have lost up to three zeros.
        cnpj = cnpj.zfill(14) if cnpj.isdigit() and len(cnpj) >= 11 else cnpj
        if len(cnpj) == 14 and cnpj.strip("0"):
            grouped.setdefault(cnpj, []).append(row)
    entries = []
    for cnpj, rows in grouped.items():
        names = (text_of(row, "razaoSocial", "nome") for row in rows)
        relations = (text_of(row, "relacao", "tipoRelacao") for row in rows)
        days = (read_date(get(row, "admissao")) for row in rows)
        ends = [left for row in rows if (left := text_of(row, "demissao"))]
        # 31/12/9999 means never; what cannot be read means nothing.
        gone = any(read_date(left) for left in ends)
        entries.append(
            CompanyEntry(
                cnpj,
                name=next(filter(None, names), None),
                relation=readable(", ".join(dict.fromkeys(filter(None, relations)))),
                since=min(filter(None, days), default=None),
                active=any("9999" in left for left in ends) or (False if gone else None),
            )
        )
    return tuple(sorted(entries, key=lambda entry: entry.active is False)[:_KEEP_AT_MOST])
