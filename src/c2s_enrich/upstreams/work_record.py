"""Reads a person's record as the Work API answers it. Pure: the client decodes the bytes.

HTTP 200 comes with "not found", "no credits" and "unknown module" too. So a record is one that has
a name and the CPF that was asked for, and what is not understood is never "nobody". Refuses to read
what the product does not use: health, neighbours, relatives, benefits, purchases.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from c2s_enrich.errors import Unauthorised, Unreadable
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.people.text import plain, readable
from c2s_enrich.upstreams import record_lists as lists
from c2s_enrich.upstreams.fields import get, object_of, read_date, read_money, text_of, yes


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
        phones=lists.read_phones(data),
        emails=lists.read_emails(data),
        addresses=lists.read_addresses(data),
        companies=lists.read_companies(data),
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
