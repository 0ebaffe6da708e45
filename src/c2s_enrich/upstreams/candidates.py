"""Reads whom a source suggests for a contact. Pure but for the journal, which is told of lost rows.

"Nobody" needs a proof: an answer without a readable candidate in which something could not be read
is unreadable, never empty.
"""

import re
from collections.abc import Sequence

from validate_docbr import CNPJ

from c2s_enrich.errors import Unproven, Unreadable
from c2s_enrich.people.cpf import Candidate, Candidates, Cpf
from c2s_enrich.people.text import written
from c2s_enrich.telemetry.lines import tell_attempt
from c2s_enrich.upstreams.fields import READ_AT_MOST, get, text_of
from c2s_enrich.upstreams.response import Response
from c2s_enrich.upstreams.work_record import judge_failure


def candidates_from_phone_module(data: object) -> Candidates:
    """People of `modulo=phone`, in its order. Raises Unauthorised, Unreadable."""
    if isinstance(data, dict) and "msg" in {str(key).lower() for key in data}:
        rows = get(data, "msg")
        if rows is None or isinstance(rows, list):
            return _read("work_api", rows or [], "cpf_cnpj")
    judge_failure(data)
    return ()


def candidates_from_diretrix(data: object) -> Candidates:
    """People of a lookup, in its order. One object counts as a list of one. Raises Unreadable."""
    if isinstance(data, dict) and "cpf" in {str(key).lower() for key in data}:
        data = [data]
    if data is None or isinstance(data, list):
        return _read("diretrix", data or [], "cpf")
    raise Unreadable("diretrix", "neither a list nor a person")


def refuse_web_page(response: Response) -> None:
    """Raises Unproven where "not found" comes as a web page: perhaps nobody, perhaps a proxy."""
    if response.status in (400, 404) and response.is_html:
        raise Unproven(response.upstream, f"HTTP {response.status} with a web page")


def _read(source: str, rows: Sequence[object], cpf_key: str) -> Candidates:
    """Each person once. Companies (a true CNPJ) are nobody, other rows may be somebody."""
    found: dict[Cpf, Candidate] = {}
    unreadable = max(0, len(rows) - READ_AT_MOST)
    for row in rows[:READ_AT_MOST]:
        number = get(row, cpf_key)
        cpf = Cpf.parse(number)
        if cpf is not None:
            if not (cpf in found and found[cpf].name):
                found[cpf] = Candidate(cpf, text_of(row, "nome") or "")
        elif not _is_company(number):
            unreadable += 1
    if unreadable and not found:
        raise Unreadable(source, f"{unreadable} of {len(rows)} rows without a readable {cpf_key}")
    if unreadable:
        tell_attempt("unreadable", source=source, rows=unreadable)
    return tuple(found.values())


def _is_company(number: object) -> bool:
    """Whether it is a CNPJ; as a number it may have lost zeros."""
    digits = re.sub(r"[\s./-]", "", (written(number) or "")[:40]).upper()
    digits = digits.zfill(14) if digits.isdigit() and len(digits) >= 12 else digits
    return len(digits) == 14 and bool(CNPJ().validate(digits))
