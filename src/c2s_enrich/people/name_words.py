"""The words that names are judged by (a TOML of that name), how they sound in Portuguese, and what
nicknames stand for. Words are in plain form: upper case without accents.
"""

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")
)


def _set(name: str) -> frozenset[str]:
    return frozenset(_TABLE[name].split())


PARTICLES, TITLES, ADDED = _set("particles"), _set("titles"), _set("added")
COMPANY, PLACEHOLDERS = _set("company"), _set("placeholders")
_WHOLE_SHORT = _set("whole_short")
SUFFIXES: dict[str, str] = _TABLE["suffixes"]
_NICKNAMES = {short: frozenset(names.split()) for short, names in _TABLE["nicknames"].items()}

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


def is_given(word: str) -> bool:
    return sound(word) in _given_sounds()


@cache
def _given_sounds() -> frozenset[str]:
    return frozenset(map(sound, _set("given")))


# In this order. Letters on the right are sounds: K is a hard C, J a soft G, X the sound of CH.
_SOUNDS = tuple(
    (re.compile(written), heard)
    for written, heard in (
        ("^RACHEL", "RAQUEL"), ("^MICHAEL$|^MA[IY][CK](O[NM]|EL)$", "MAICON"),
        ("^GONSALVES", "GONCALVES"), ("LOURD", "LURD"), ("Y", "I"),
        ("^(F|PH)IL(?=IP)", "FEL"), ("PH", "F"), ("TH", "T"), ("CHR", "KR"), ("SCH|SH|CH", "X"),
        ("(?<![LN])H", ""), ("C(?=K|QU)", ""), ("QU(?=[EI])", "K"), ("[CP](?=T)", ""),
        ("S?C(?=[EI])", "S"), ("[CQ]", "K"), ("^JEO|^GEO", "JIO"), ("G(?=[EI])", "J"),
        ("GU(?=[EI])", "G"), ("NG(?=T)", "N"), ("G(?=N)", ""), ("^U(?=[AEIO])|W", "V"),
        ("Z", "S"), ("[XK]S", "X"), ("M(?=[^AEIOU]|$)", "N"), ("OEL", "UEL"),
        ("([AO])ES$", r"\1IS"), ("EA$", "EIA"), ("US$", "OS"), ("^S(?=[TPKM])", "ES"),
        (r"(.)\1+", r"\1"), ("(?<=[IR])D$", ""), ("IE$", "I"), ("(?<=..[^AEIOU])I$", "E"),
        ("(?<=..[TD])E$", ""),
    )
)  # fmt: skip


@lru_cache(4096)
def sound(word: str) -> str:
    """One spelling for those that sound alike: Luiz and Luís, Wellington and Uelinton."""
    for written, heard in _SOUNDS:
        word = written.sub(heard, word)
    return word


_DIMINUTIVE = re.compile(r"(\w{2,}?)(?:Z?INH|ZIT|(?<=\w{3})AO$)([OA]?)S?")


def is_nickname(short: str, name: str) -> bool:
    """Whether `short` is a nickname, a diminutive or the beginning of a given name."""
    if _is_known_nickname(short, name):
        return True
    if 3 <= len(short) <= 4 and short not in _WHOLE_SHORT and len(name) > len(short) + 1:
        return short not in _NICKNAMES and _begins(name, short)
    found = _DIMINUTIVE.fullmatch(short)
    if found is None or name.endswith(("O", "OS") if found[2] == "A" else "A"):
        return False
    stem = re.sub("([QG])U$", lambda hard: "C" if hard[1] == "Q" else "G", found[1])
    if any(_is_known_nickname(stem + end, name) for end in ("", "O", "A", "I")):
        return True
    return _begins(name, stem) and len(sound(name)) <= len(stem) + 2


def _begins(name: str, beginning: str) -> bool:
    return name.startswith(beginning) or sound(name).startswith(sound(beginning))


def _is_known_nickname(short: str, name: str) -> bool:
    names = _NICKNAMES.get(short) or _NICKNAMES.get(sound(short)) or frozenset()
    return name in names or sound(name) in map(sound, names)
