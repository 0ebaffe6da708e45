"""Reads a person's record as the Work API answers it. Pure: the client decodes bytes and raises
errors.

HTTP 200 proves nothing at the Work API: it sends "not found", "no credits" and "unknown module"
with it. So a record is one that has a name and the CPF that was asked for; everything else is told
apart here, and what is not understood is never "nobody". Refuses to read anything of the record
that the product does not use: health, neighbours, relatives, benefits, purchases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams.fields import (
    get,
    is_huge,
    object_of,
    read_date,
    read_money,
    text_of,
    yes,
)
from c2s_enrich.upstreams.record_lists import (
    read_addresses,
    read_companies,
    read_emails,
    read_phones,
)


@dataclass(frozen=True)
class NoRecord:
    """The Work API has no record of this CPF. A final answer."""


@dataclass(frozen=True)
class AccountProblem:
    """Credits, plan or token: the next call would end alike. `detail` has no value of the body."""

    detail: str


@dataclass(frozen=True)
class UnreadableRecord:
    """Neither a record nor its absence. `detail` has no value of the body."""

    detail: str


Record = Profile | NoRecord | AccountProblem | UnreadableRecord


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
        phones=read_phones(data),
        emails=read_emails(data),
        addresses=read_addresses(data),
        companies=read_companies(data),
    )


def judge_failure(data: object) -> NoRecord | AccountProblem | UnreadableRecord:
    """Why a body is not a record, by `status`, `Status` or `code`, a number or text."""
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
    """The two amounts of "De R$ 1.630 até R$ 2.250"; of any other count none."""
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
