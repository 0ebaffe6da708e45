"""The words that names are judged by, upper case without accents: a TOML of that name."""

import re
import tomllib
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)


def _set(name: str) -> frozenset[str]:
    return frozenset(_TABLE[name].split())


PARTICLES, TITLES, ADDED = _set("particles"), _set("titles"), _set("added")
COMPANY, PLACEHOLDERS = _set("company"), _set("placeholders")
GIVEN, WHOLE_SHORT = _set("given"), _set("whole_short")
SUFFIXES: dict[str, str] = _TABLE["suffixes"]
NICKNAMES = {short: frozenset(names.split()) for short, names in _TABLE["nicknames"].items()}

COMPANY_LIKE = re.compile(
    r"\b(IMOBILIAR|CONSTRUTOR|INCORPORADOR|EMPREENDIMENT|ODONTOLOG|"
    r"FISIOTERAPI[AC]\b|VETERINARI[AO]\b|IMPORTA(DORA|COES)|EXPORTA(DORA|COES)|"
    r"ADMINISTRADORA)|\bS A$|\bME$"
)
PLACEHOLDER_LIKE = re.compile(r"(?!I+$)(.)\1+|ASDF\w*|TESTE\w*")
# Women's names, by their ends or whole. A woman may take another surname.
WOMAN = re.compile(
    r"(?!LUCA$|NOA$|JOSHUA$|EZRA$).*A|.*(ANE|ENE|INE|ONE|ELE|ELLE|LLY|ETE|ETH|ISE|ISSE|ICE|EIDE|"
    "ILDE)|BEATRIZ|RAQUEL|ISABEL|INES|CARMEM|CARMEN|MIRIAM|MIRIAN|ESTER|ESTHER|RUTH?E?|SOLANGE|"
    "IRIS|LAIS|THAIS|TAIS|LILIAN|KAREN|SUELI|SUELY|ROSELI|LIZ|LOURDES|IVONE|MABEL|YASMIN|VIVIAN"
)
