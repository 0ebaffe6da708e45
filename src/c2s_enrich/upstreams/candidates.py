"""Reads whom a source suggests for a contact. Pure.

"Nobody" needs a proof: an answer without a readable candidate in which something could not be read
is unreadable, never empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from validate_docbr import CNPJ

from c2s_enrich.people.candidate import Candidate
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.upstreams.fields import READ_AT_MOST, get, has, text_of
from c2s_enrich.upstreams.work_record import (
    AccountProblem,
    NoRecord,
    UnreadableRecord,
    judge_failure,
)


@dataclass(frozen=True)
class Candidates:
    """Whom an answer names, in its order, each once. `unreadable` rows may be somebody too."""

    people: tuple[Candidate, ...] = ()
    unreadable: int = 0


def candidates_from_phone_module(
    data: object,
) -> Candidates | AccountProblem | UnreadableRecord:
    """People of `modulo=phone`, in its order. Companies (a true CNPJ) are left out."""
    if isinstance(data, dict) and "msg" in {str(key).lower() for key in data}:
        rows = get(data, "msg")
        if rows is None:
            rows = []
        if isinstance(rows, list):
            return _read(rows, "cpf_cnpj")
    verdict = judge_failure(data)
    return Candidates() if isinstance(verdict, NoRecord) else verdict


def candidates_from_diretrix(data: object) -> Candidates | UnreadableRecord:
    """People of a lookup, in its order. One object counts as a list of one."""
    if data is None:
        return Candidates()
    if isinstance(data, dict) and has(data, "cpf"):
        data = [data]
    if isinstance(data, list):
        return _read(data, "cpf")
    return UnreadableRecord("neither a list nor a person")


def _read(rows: Sequence[object], cpf_key: str) -> Candidates | UnreadableRecord:
    found: dict[Cpf, Candidate] = {}
    unreadable = max(0, len(rows) - READ_AT_MOST)
    for row in rows[:READ_AT_MOST]:
        number = get(row, cpf_key)
        cpf = Cpf.parse(number)
        if isinstance(row, dict) and cpf is not None:
            if not (cpf in found and found[cpf].name):
                found[cpf] = Candidate(cpf, text_of(row, "nome") or "")
        elif not _is_company(number):
            unreadable += 1
    if unreadable and not found:
        return UnreadableRecord(f"{unreadable} of {len(rows)} rows without a readable {cpf_key}")
    return Candidates(tuple(found.values()), unreadable)


def _is_company(number: object) -> bool:
    """Whether it is a CNPJ, which names nobody; as a number it may have lost zeros."""
    if not isinstance(number, str | int) or isinstance(number, bool) or number in ("", 0):
        return False
    digits = re.sub(r"[\s./-]", "", str(number)[:40]).upper()
    digits = digits.zfill(14) if digits.isdigit() and len(digits) >= 12 else digits
    return len(digits) == 14 and bool(CNPJ().validate(digits))
