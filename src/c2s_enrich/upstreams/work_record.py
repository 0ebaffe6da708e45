"""Reads what Diretrix and the Work API answer. Pure: bytes were decoded by the client, errors are
raised by the client.

HTTP 200 proves nothing at the Work API: it sends "not found", "no credits" and "unknown module"
with it. So a record is one that has a name and the CPF that was asked for; everything else is told
apart here, and what is not understood is never "nobody". Refuses to read anything of the record
that the product does not use: health, neighbours, relatives, benefits, purchases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import AddressEntry, CompanyEntry, EmailEntry, PhoneEntry, Profile
from c2s_enrich.people.text import plain, readable


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

# Lists of 500 phones were seen. Reading is bounded, and a profile keeps the best of each list.
_READ_AT_MOST = 1000
_KEEP_AT_MOST = 30


def read_record(data: object, asked: Cpf) -> Record:
    """Judges the body of `modulo=cpf`, decoded from JSON. Never raises, whatever `data` is."""
    basic = _object(data, "DadosBasicos")
    name = _text(basic, "nome")
    if name is None:
        return _judge_failure(data)
    if Cpf.parse(_get(basic, "cpf")) != asked:
        return UnreadableRecord("the record is not of the CPF that was asked for")
    economic = _object(data, "DadosEconomicos")
    power = _object(economic, "poderAquisitivo")
    score, risk = _score(_object(economic, "score"))
    standing = _irregular(basic)
    return Profile(
        cpf=asked.digits,
        name=name,
        birth_date=read_date(_get(basic, "dataNascimento")),
        sex=_sex(_text(basic, "sexo")),
        mother=_text(basic, "nomeMae"),
        marital_status=_text(basic, "estadoCivil"),
        education=_text(basic, "escolaridade"),
        deceased=_deceased(_get(basic, "obito"))
        or (standing is not None and "FALECID" in plain(standing)),
        irregular=standing,
        income=read_money(_get(economic, "renda")),
        purchasing_power=_text(power, "poderAquisitivoDescricao")
        or _text(economic, "poderAquisitivo"),
        income_range=_income_range(_text(power, "faixaPoderAquisitivo")),
        credit_score=score,
        credit_risk=risk,
        occupation=_occupation(data),
        phones=_phones(data),
        emails=_emails(data),
        addresses=_addresses(data),
        companies=_companies(data),
    )


def candidates_from_phone_module(
    data: object,
) -> tuple[Candidate, ...] | AccountProblem | UnreadableRecord:
    """People in the body of `modulo=phone`, in its order; empty means nobody. Companies (a true
    CNPJ) are left out.
    """
    if isinstance(data, dict) and "msg" in {str(key).lower() for key in data}:
        rows = _get(data, "msg")
        if rows is None:
            rows = []
        if isinstance(rows, list):
            return _candidates(rows, "cpf_cnpj")
    verdict = _judge_failure(data)
    return () if isinstance(verdict, NoRecord) else verdict


def candidates_from_diretrix(data: object) -> tuple[Candidate, ...] | UnreadableRecord:
    """People in the body of a phone or e-mail lookup, in its order; empty means nobody. One object
    counts as a list of one.
    """
    if data is None:
        return ()
    if isinstance(data, dict) and _has(data, "cpf"):
        data = [data]
    if isinstance(data, list):
        return _candidates(data, "cpf")
    return UnreadableRecord("neither a list nor a person")


def read_money(value: object) -> Decimal | None:
    """An amount in R$ above zero, rounded to cents: "6089,28", "1.234,56", "1.630", "5000.00", "R$
    12", 6089.28. Else None.

    A point followed by exactly three digits groups thousands, as Brazilians write; a point followed
    by one or two is decimal.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value) if not isinstance(value, int) or abs(value) < 10**12 else ""
    text = re.sub(r"\s", "", text.upper().replace("R$", ""))
    if isinstance(value, float):
        number = text
    elif re.fullmatch(r"\d{1,3}(\.\d{3})+(,\d{1,2})?|\d+,\d{1,2}", text, re.ASCII):
        number = text.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"\d{1,3}(,\d{3})+\.\d{1,2}", text, re.ASCII):
        number = text.replace(",", "")
    elif re.fullmatch(r"\d+(\.\d{1,2})?", text, re.ASCII):
        number = text
    else:
        return None
    try:
        amount = Decimal(number)
        # A thousand millions a month is no income but a field that slipped.
        return (
            amount.quantize(Decimal("0.01"))
            if 0 < amount < 10**9 and amount.quantize(Decimal("0.01"))
            else None
        )
    except InvalidOperation:
        return None


def read_date(value: object) -> date | None:
    """A day between 1880 and 2100 written dd/mm/yyyy or yyyy-mm-dd (a time after it is ignored);
    None for 31/02 and the like.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := re.match(r"(\d{1,2})/(\d{1,2})/(\d{4})(?!\d)", text, re.ASCII):
        day, month, year = found.groups()
    elif found := re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", text, re.ASCII):
        year, month, day = found.groups()
    else:
        return None
    try:
        return date(int(year), int(month), int(day)) if 1880 <= int(year) <= 2100 else None
    except ValueError:
        return None


def _judge_failure(data: object) -> NoRecord | AccountProblem | UnreadableRecord:
    """Why a body is not a record. Status may be a number or text, under `status`, `Status` or
    `code`.
    """
    if not isinstance(data, dict):
        return UnreadableRecord("not an object")
    statuses = {
        status for key in ("status", "code") if (status := _status(_get(data, key))) is not None
    }
    words = plain(
        " ".join(
            text for key in ("message", "statusMsg", "reason", "erro") if (text := _text(data, key))
        )
    )
    if statuses & {401, 402, 403, 429} or "CREDIT" in words:
        return AccountProblem(
            "status " + ", ".join(map(str, sorted(statuses))) if statuses else "credits"
        )
    if 404 in statuses:
        return NoRecord()
    if _get(data, "erro"):
        return AccountProblem("an `erro` without a status")
    return UnreadableRecord(
        f"no name in DadosBasicos, status {min(statuses)}"
        if statuses
        else "no name in DadosBasicos"
    )


def _status(value: object) -> int | None:
    found = (
        re.match(r"\s*(\d{3})(?!\d)", str(value))
        if isinstance(value, int | str) and not _is_huge(value)
        else None
    )
    return int(found[1]) if found else None


def _candidates(rows: list[object], cpf_key: str) -> tuple[Candidate, ...] | UnreadableRecord:
    found: dict[Cpf, Candidate] = {}
    understood = not rows
    for row in rows[:_READ_AT_MOST]:
        if not isinstance(row, dict) or not _has(row, cpf_key):
            continue
        understood = True
        cpf = Cpf.parse(_get(row, cpf_key))
        if cpf is not None and not (cpf in found and found[cpf].name):
            found[cpf] = Candidate(cpf, _text(row, "nome") or "")
    # Rows of which none has a CPF field are a changed interface, not an unknown person.
    return tuple(found.values()) if understood else UnreadableRecord(f"no row has a {cpf_key}")


def _deceased(value: object) -> bool:
    if isinstance(value, dict):
        flag = _get(value, "obito")
        # Without the flag, a real date of death says as much.
        return _yes(flag) is True or (
            _yes(flag) is None and read_date(_get(value, "dataObito")) is not None
        )
    return _yes(value) is True


# Only the register's own words count. Its numeric codes are given without a legend, and calling a
# regular person irregular would be worse than saying nothing.
_IRREGULAR = ("SUSPENS", "CANCELAD", "NUL", "PENDENTE", "FALECID", "INAPT", "IRREGULAR")


def _irregular(basic: Mapping[str, object]) -> str | None:
    standing = _get(basic, "situacaoCadastral")
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
        number = read_money(_get(score, name))
        if number is not None and number <= 1000:
            return int(number), _text(score, name + "FaixaRisco")
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
    section = _get(data, "profissao")
    if isinstance(section, str):
        return readable(section)
    if isinstance(section, dict):
        for name in ("profissao", "ocupacao", "cargo", "cboDescricao", "descricao"):
            text = _text(section, name)
            if text is not None and not text.isdigit():
                return text
    return None


def _phones(data: object) -> tuple[PhoneEntry, ...]:
    """Best first: WhatsApp, then in use, then mobile, then the source's order."""
    found: dict[str, PhoneEntry] = {}
    for row in _rows(data, "telefones"):
        text = _text(row, "telefone") or _text(row, "numero")
        phone = read_phone(text) if text else None
        if not isinstance(phone, Phone) or phone.national is None:
            continue
        status = plain(_text(row, "status") or "")
        active = (
            True
            if status.startswith("ATIV")
            else False
            if status in ("NO", "NAO", "INATIVO")
            else None
        )
        entry = PhoneEntry(
            phone.national,
            _text(row, "tipo"),
            _text(row, "operadora"),
            active,
            _yes(_get(row, "whatsapp")),
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
    for row in _rows(data, "emails"):
        text = _text(row, "email") or _text(row, "endereco")
        email = read_email(text) if text else None
        if not isinstance(email, Email):
            continue
        entry = EmailEntry(
            email.address,
            _text(row, "prioridade"),
            _text(row, "qualidade"),
            _yes(_get(row, "emailPessoal")),
            _yes(_get(row, "blacklist")),
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
    for row in _rows(data, "enderecos"):
        state = _text(row, "uf")
        entry = AddressEntry(
            street_type=_text(row, "tipoLogradouro"),
            street=_text(row, "logradouro"),
            number=_text(row, "logradouroNumero") or _text(row, "numero"),
            complement=_text(row, "complemento"),
            district=_text(row, "bairro"),
            city=_text(row, "cidade"),
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
    digits = re.sub(r"[^0-9]", "", _text(row, "cep") or "")
    # As a number a postcode of São Paulo (0xxxx-xxx) loses its first zero.
    return digits.zfill(8) if len(digits) in (7, 8) and digits.strip("0") else None


def _companies(data: object) -> tuple[CompanyEntry, ...]:
    """One entry a CNPJ (it repeats for each kind of relation), present ones before left ones, then
    the source's order.
    """
    grouped: dict[str, list[Mapping[str, object]]] = {}
    for row in _rows(data, "empresas"):
        cnpj = re.sub(r"[^0-9A-Z]", "", (_text(row, "cnpj") or "").upper())
        # As a number it may have lost up to three zeros.
        cnpj = cnpj.zfill(14) if cnpj.isdigit() and len(cnpj) >= 11 else cnpj
        if len(cnpj) == 14 and cnpj.strip("0"):
            grouped.setdefault(cnpj, []).append(row)
    entries = [_company(cnpj, rows) for cnpj, rows in grouped.items()]
    return tuple(sorted(entries, key=lambda entry: entry.active is False)[:_KEEP_AT_MOST])


def _company(cnpj: str, rows: Sequence[Mapping[str, object]]) -> CompanyEntry:
    names = (_text(row, "razaoSocial") or _text(row, "nome") for row in rows)
    relations = (_text(row, "relacao") or _text(row, "tipoRelacao") for row in rows)
    days = (read_date(_get(row, "admissao")) for row in rows)
    states = {_is_active(_text(row, "demissao")) for row in rows}
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


def _rows(data: object, section: str) -> Iterator[Mapping[str, object]]:
    """The objects of a list; an object where a list was due is a list of one."""
    value = _get(data, section)
    for row in value[:_READ_AT_MOST] if isinstance(value, list) else (value,):
        if isinstance(row, dict):
            yield row


def _object(data: object, name: str) -> Mapping[str, object]:
    value = _get(data, name)
    return value if isinstance(value, dict) else {}


def _get(data: object, name: str) -> object:
    """A field by its name; PascalCase and other cases were seen, so case does not matter where the
    exact name is missing.
    """
    if not isinstance(data, dict):
        return None
    if name in data:
        return data[name]
    return next(
        (
            value
            for key, value in data.items()
            if isinstance(key, str) and key.lower() == name.lower()
        ),
        None,
    )


def _has(row: Mapping[str, object], name: str) -> bool:
    return any(isinstance(key, str) and key.lower() == name.lower() for key in row)


def _text(data: Mapping[str, object], name: str) -> str | None:
    """A text or whole number as readable text. None for anything else, for nothing, and for words
    that mean nothing.
    """
    value = _get(data, name)
    if isinstance(value, int) and not isinstance(value, bool) and not _is_huge(value):
        value = str(value)
    return readable(value) if isinstance(value, str) else None


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) >= 10**30


def _yes(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = plain(value)
        return (
            True
            if word in ("SIM", "S", "TRUE", "1")
            else False
            if word in ("NAO", "N", "FALSE", "0")
            else None
        )
    return {1: True, 0: False}.get(value) if isinstance(value, int) else None
