"""Whether two names can be one person's. Decides no identity: CPFs do that; a name only orders
candidates and warns the seller.

Refuses similarity scores: FERNANDA and FERNANDO are one letter apart, and M. is not MARIA. A name
agrees word by word or not.
"""

from __future__ import annotations

import re
from enum import IntEnum

from c2s_enrich.people.text import plain


class NameAgreement(IntEnum):
    """How two names go together; lower agrees better."""

    SAME = 1
    """Two or more whole words of the shorter name, all of them in the longer one, in any order."""
    COMPATIBLE = 2
    """Nothing speaks against it: one word only, an initial, a nickname, another suffix, a surname
    more or less.
    """
    UNSAID = 3
    """One of them says nothing about a person: empty, "teste", a company, a phone number."""
    DIFFERENT = 4


def compare_names(one: str | None, other: str | None) -> NameAgreement:
    """Compares two names as people write them; symmetric. Accents, case, order and de/da/dos do not
    matter.
    """
    first, second = _words(one), _words(other)
    if not first or not second:
        return NameAgreement.UNSAID
    short, long = sorted((first, second), key=lambda words: (len(words), words))
    same_suffix = _suffixes(one) == _suffixes(other)
    if len(short) == 1 and len(short[0]) >= 6 and short[0] in ("".join(long), long[0] + long[-1]):
        # "mariasilva", as people type into a form.
        return NameAgreement.SAME if len(long) > 1 and same_suffix else NameAgreement.COMPATIBLE
    whole, hinted = _matched(short, long)
    if whole == len(short) >= 2:
        return NameAgreement.SAME if same_suffix else NameAgreement.COMPATIBLE
    if whole + hinted == len(short) and (whole or _is_nickname(short[0], long[0])):
        return NameAgreement.COMPATIBLE
    # A woman may have married since: the first name and one more word are enough not to warn.
    if whole >= 2 and (_sound(short[0]) == _sound(long[0])):
        return NameAgreement.COMPATIBLE
    return NameAgreement.DIFFERENT


def _matched(short: tuple[str, ...], long: tuple[str, ...]) -> tuple[int, int]:
    """How many words of `short` are in `long` as they are, and how many more may be (initial,
    nickname); each word used once.
    """
    left = list(long)
    rest = []
    whole = hinted = 0
    for word in short:
        twin = next((other for other in left if _sound(other) == _sound(word)), None)
        if twin is None:
            rest.append(word)
        else:
            left.remove(twin)
            whole += 1
    for word in rest:
        twin = next(
            (
                other
                for other in left
                if _is_nickname(word, other)
                or (1 in (len(word), len(other)) and word[0] == other[0])
            ),
            None,
        )
        if twin is not None:
            left.remove(twin)
            hinted += 1
    return whole, hinted


_PARTICLES = {"DE", "DA", "DO", "DAS", "DOS", "E", "D", "DI", "DEL"}
_TITLES = {"SR", "SRA", "SRTA", "DR", "DRA", "DONA", "PROF", "PROFA", "SEU"}
_SUFFIXES = {
    "JUNIOR": "JUNIOR",
    "JR": "JUNIOR",
    "FILHO": "FILHO",
    "NETO": "NETO",
    "SOBRINHO": "SOBRINHO",
    "SEGUNDO": "SEGUNDO",
}
_COMPANY = {
    "LTDA", "EIRELI", "MEI", "EPP", "SA", "IMOBILIARIA", "IMOVEIS", "CONSTRUTORA", "INCORPORADORA", "EMPREENDIMENTOS", "COMERCIO",
    "SERVICOS", "CONDOMINIO", "ASSOCIACAO", "CORRETORA", "CONSULTORIA", "CONTABILIDADE", "ADVOCACIA", "ENGENHARIA", "CLINICA",
}  # fmt: skip
_PLACEHOLDER = re.compile(
    r"TESTE?|TESTANDO|ASDF\w*|QWERTY|LEAD|CLIENTE|CONTATO|VISITANTE|USUARIO|INTERESSADO|INTERESSADA|NOME|UNKNOWN|DESCONHECIDO|"
    r"WHATSAPP|FACEBOOK|INSTAGRAM|SITE|X{2,}|ANONIMO|NULL|NONE|UNDEFINED|FULANO|SEM NOME|NAO INFORMADO|NAO IDENTIFICADO"
)


def _words(name: str | None) -> tuple[str, ...]:
    """The words that identify; empty where the name says nothing about a person."""
    if name is None or "@" in name:
        return ()
    text = plain(name)
    words = [word for word in text.split(" ") if word.isalpha()]
    company = set(words) & _COMPANY or re.search(r"\bS A$|\bME$", text)
    if (
        not words
        or company
        or all(_PLACEHOLDER.fullmatch(word) for word in words)
        or _PLACEHOLDER.fullmatch(text)
    ):
        return ()
    if _PLACEHOLDER.fullmatch(words[0]) and words[0].startswith("TEST"):
        return ()
    kept = tuple(
        word for word in words if word not in _PARTICLES | _TITLES and word not in _SUFFIXES
    )
    return kept if any(len(word) > 1 for word in kept) else ()


def _suffixes(name: str | None) -> set[str]:
    return {_SUFFIXES[word] for word in plain(name or "").split(" ") if word in _SUFFIXES}


def _sound(word: str) -> str:
    """One spelling for the ones that Portuguese hears alike: Luiz and Luís, Thiago and Tiago, Souza
    and Sousa, Vitor and Victor.
    """
    for written, heard in (
        ("PH", "F"),
        ("TH", "T"),
        ("CT", "T"),
        ("CK", "C"),
        ("K", "C"),
        ("Y", "I"),
        ("W", "V"),
        ("Z", "S"),
    ):
        word = word.replace(written, heard)
    word = re.sub(r"(.)\1", r"\1", word)
    return word[1:] if len(word) > 3 and word.startswith("H") else word


_NICKNAMES = {
    "ALE": {"ALEXANDRE", "ALESSANDRA", "ALEXANDRA", "ALESSANDRO"},
    "BETO": {"ROBERTO", "ALBERTO", "GILBERTO", "HUMBERTO", "NORBERTO"},
    "BIA": {"BEATRIZ", "BIANCA"},
    "BRU": {"BRUNA", "BRUNO"},
    "CACA": {"CARLOS", "CAMILA", "CARLA"},
    "CAROL": {"CAROLINA", "CAROLINE", "ANA"},
    "CHICO": {"FRANCISCO"},
    "CIDA": {"APARECIDA"},
    "CLAU": {"CLAUDIA", "CLAUDIO"},
    "CRIS": {"CRISTINA", "CRISTIANE", "CRISTIANO", "CHRISTIAN", "CHRISTIANE"},
    "DANI": {"DANIELA", "DANIELE", "DANIEL", "DANIELLE"},
    "DEIA": {"ANDREIA", "ANDREA"},
    "DRI": {"ADRIANA", "ADRIANO"},
    "DU": {"EDUARDO"},
    "DUDA": {"EDUARDA", "EDUARDO"},
    "EDU": {"EDUARDO", "EDUARDA"},
    "FABI": {"FABIANA", "FABIANE", "FABIANO"},
    "FE": {"FERNANDA", "FERNANDO", "FELIPE"},
    "FER": {"FERNANDA", "FERNANDO"},
    "GABI": {"GABRIELA", "GABRIELE", "GABRIEL"},
    "GUI": {"GUILHERME"},
    "GUGA": {"GUSTAVO", "AUGUSTO"},
    "GUTO": {"AUGUSTO", "GUSTAVO"},
    "ISA": {"ISABELA", "ISABEL", "ISADORA"},
    "JO": {"JOANA", "JOSEFA", "JOELMA"},
    "JU": {"JULIANA", "JULIA", "JULIO", "JULIANO"},
    "LEO": {"LEONARDO", "LEANDRO", "LEONEL"},
    "LU": {"LUCIANA", "LUCIA", "LUIZA", "LUANA", "LUCIANO"},
    "LULU": {"LUCIANA", "LUIZA", "LUCIA"},
    "MALU": {"MARIA"},
    "MANU": {"MANUELA", "EMANUEL", "EMANUELA", "MANUEL"},
    "MARI": {"MARIANA", "MARINA", "MARIA", "MARIANE"},
    "MAX": {"MAXIMILIANO", "MAXWELL"},
    "NANDA": {"FERNANDA"},
    "NANDO": {"FERNANDO"},
    "NICO": {"NICOLAS", "NICOLE"},
    "PATI": {"PATRICIA"},
    "PATY": {"PATRICIA"},
    "PAULINHA": {"PAULA"},
    "PEDRINHO": {"PEDRO"},
    "RAFA": {"RAFAEL", "RAFAELA", "RAPHAEL"},
    "RENATINHA": {"RENATA"},
    "RICK": {"RICARDO", "HENRIQUE"},
    "RO": {"ROSANA", "RODRIGO", "ROBERTA"},
    "ROSI": {"ROSANA", "ROSANGELA", "ROSELI"},
    "SIL": {"SILVIA", "SILVANA"},
    "TATI": {"TATIANA", "TATIANE"},
    "TETE": {"TERESA", "STEPHANIE"},
    "TIAO": {"SEBASTIAO"},
    "TONI": {"ANTONIO"},
    "TONHO": {"ANTONIO"},
    "VAL": {"VALERIA", "VALDIR", "VALDECIR"},
    "VIVI": {"VIVIANE", "VIVIANA", "VITORIA"},
    "ZE": {"JOSE"},
    "ZECA": {"JOSE"},
    "ZEZE": {"JOSE", "MARIA"},
}


def _is_nickname(one: str, other: str) -> bool:
    return other in _NICKNAMES.get(one, ()) or one in _NICKNAMES.get(other, ())
