"""Whether two names can be one person's. It orders candidates and warns the seller; CPFs decide.

Refuses similarity scores: FERNANDA and FERNANDO are one letter apart. Words agree when Portuguese
hears them alike. In doubt two names are different: a warning too many costs a glance, a missing
one a call to the wrong person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import product

from c2s_enrich.people import name_words as known
from c2s_enrich.people.name_words import SUFFIXES, WOMAN, is_given, is_nickname, sound
from c2s_enrich.people.text import plain

Words = tuple[str, ...]


class NameAgreement(IntEnum):
    """How two names go together; lower agrees better."""

    SAME = 1
    """Two or more whole words of the shorter name, all of them in the longer one, in any order."""
    COMPATIBLE = 2
    """Nothing speaks against it: one word only, an initial, a nickname, a suffix left out, a
    woman's surname changed, or one of a couple.
    """
    UNSAID = 3
    """One of them says nothing about a person: empty, "teste", a company, a phone number."""
    DIFFERENT = 4

    @property
    def fits(self) -> bool:
        return self <= NameAgreement.COMPATIBLE


def compare_names(one: str | None, other: str | None) -> NameAgreement:
    """Symmetric. Accents, case, order, titles and de/da/dos do not matter."""
    first, second = _read(one), _read(other)
    if first is None or second is None:
        return NameAgreement.UNSAID
    agreement = _compare(first, second)
    if agreement.fits:
        return agreement
    couples = product(first.parties or (first,), second.parties or (second,))
    one_of_a_couple = any(_is_one_of(party, counterpart) for party, counterpart in couples)
    return NameAgreement.COMPATIBLE if one_of_a_couple else NameAgreement.DIFFERENT


def usable_name(name: str | None) -> str:
    """What identifies in a lead's name, the same for all its spellings; empty for nothing."""
    read = _read(name)
    return " ".join(map(sound, _bare(read.full))) if read is not None else ""


@dataclass(frozen=True)
class _Name:
    """`words` has particles but no suffix, `full` both. `parties` are the people of a couple."""

    words: Words
    full: Words
    suffix: str | None
    parties: tuple[_Name, ...] = ()


_BETWEEN_PARTIES = re.compile(
    r"\s+e\s+|\s*[&+/]\s*|\b(?:esposa|esposo|marido|mulher|m[aã]e|pai|namorad[oa]|noiv[oa]|"
    r"filh[oa]|irm[aã]o?|s[oó]ci[oa]|cunhad[oa]|sogr[oa])\s+d[aeo]s?\s+",
    re.IGNORECASE,
)
# JP for João Pedro: no Portuguese name is written without a vowel.
_INITIALS = re.compile("[BCDFGHJKLMNPQRSTVWXZ]{2,3}")


def _read(name: str | None) -> _Name | None:
    """None where the name says nothing about a person."""
    if name is None or "@" in name:
        return None
    text = plain(name[:200])
    words = text.split()
    if known.COMPANY.intersection(words) or known.COMPANY_LIKE.search(text):
        return None
    if words and words[0].startswith("TEST") and words[0] in known.PLACEHOLDERS:
        return None
    if (whole := _name(words)) is None:
        return None
    parts = [_name(plain(part).split()) for part in _BETWEEN_PARTIES.split(name[:200])]
    return replace(whole, parties=tuple(part for part in parts if part is not None))


def _name(words: Sequence[str]) -> _Name | None:
    kept = [word for word in words if word.isalpha()]
    while len(kept) > 1 and kept[0] in known.TITLES:
        # "Dr(a)." and "Sr.ª" leave a letter.
        kept = kept[2:] if kept[1] in ("A", "O") else kept[1:]
    if kept and kept[0] not in SUFFIXES and _INITIALS.fullmatch(kept[0]):
        kept[:1] = kept[0]
    empty = known.ADDED | known.PLACEHOLDERS
    kept = [
        SUFFIXES.get(word, word)
        for word in kept
        if word not in empty and not known.PLACEHOLDER_LIKE.fullmatch(word)
    ]
    if not any(len(word) > 1 for word in _bare(kept)):
        return None
    suffix = next((word for word in kept[1:] if word in SUFFIXES.values()), None)
    behind = (word for word in kept[1:] if word not in SUFFIXES.values())
    return _Name((kept[0], *behind), tuple(kept), suffix)


def _compare(one: _Name, other: _Name) -> NameAgreement:
    if one.suffix and other.suffix and one.suffix != other.suffix:
        return NameAgreement.DIFFERENT
    first, second = _aligned(one.words, other.words)
    if min(len(first), len(second)) < 2 or {one.words[0], other.words[0]} & set(SUFFIXES):
        # Beside one word, and in front, the suffix is a name itself: Carlos Neto, Júnior.
        first, second = _aligned(one.full, other.full)
    if not first or not second:
        return NameAgreement.UNSAID
    agreement = _judge(*sorted((first, second), key=lambda words: (len(words), words)))
    if agreement is NameAgreement.SAME and one.suffix != other.suffix:
        return NameAgreement.COMPATIBLE
    return agreement


def _judge(short: Words, long: Words) -> NameAgreement:
    whole, hinted = _matched(short, long)
    back = {place: mine for mine, place in whole.items()}
    if _out_of_place(short, long, whole, back) or _out_of_place(long, short, back, whole):
        return NameAgreement.DIFFERENT
    if len(whole) == len(short) >= 2:
        return NameAgreement.SAME
    if len(whole) + len(hinted) == len(short) and (whole or hinted.get(0, 9) <= 1):
        return NameAgreement.COMPATIBLE
    # A woman may have married since; another second name would be her sister's.
    surnames = [place for place in whole if place and not is_given(short[place])]
    if whole.get(0) == 0 and surnames and WOMAN.fullmatch(short[0]) and (1 in whole or 1 in back):
        return NameAgreement.COMPATIBLE
    return NameAgreement.DIFFERENT


def _matched(short: Words, long: Words) -> tuple[dict[int, int], dict[int, int]]:
    """Places of `short` → places of `long`: words that sound alike; initials and nicknames."""
    heard = [sound(word) for word in long]
    whole: dict[int, int] = {}
    hinted: dict[int, int] = {}
    for mine, word in enumerate(short):
        for place, other in enumerate(heard):
            if other == sound(word) and place not in whole.values():
                whole[mine] = place
                break
    for mine, word in enumerate(short):
        for place, other in enumerate(long):
            taken = mine in whole or place in whole.values() or place in hinted.values()
            if not taken and _may_stand_for(word, mine, other, place):
                hinted[mine] = place
                break
    return whole, hinted


def _may_stand_for(word: str, mine: int, other: str, place: int) -> bool:
    if 1 in (len(word), len(other)):
        return word[0] == other[0]
    return mine <= 1 and place <= 1 and (is_nickname(word, other) or is_nickname(other, word))


# The second name of these is as often the one that a person goes by.
_COMPOSED = {"ANA", "MARIA", "JOSE", "JOAO", "LUIS", "KARLOS", "PEDRO", "PAULO", "ANTONIO", "MARKO"}


def _out_of_place(mine: Words, theirs: Words, whole: dict[int, int], back: dict[int, int]) -> bool:
    """Whether the first name is another's second one (Maria José, José Maria) or surname."""
    place = whole.get(0)
    if not place or not is_given(mine[0]):
        return False
    if 0 in back:
        return is_given(theirs[0])
    return place == len(theirs) - 1 and not _is_second_given(theirs, place)


def _is_second_given(words: Words, place: int) -> bool:
    """Whether a person may go by the word there: Clara in Ana Clara, not Rosa in Carlos Rosa."""
    first, second = words[0], words[place]
    alike = bool(WOMAN.fullmatch(first)) == bool(WOMAN.fullmatch(second))
    return place == 1 and sound(first) in _COMPOSED and is_given(second) and alike


def _is_one_of(party: _Name, other: _Name) -> bool:
    """Whether one of a couple can be this person: a first name alone must be a first name there."""
    if not _compare(party, other).fits:
        return False
    short, long = sorted((_bare(party.full), _bare(other.full)), key=len)
    if len(short) > 1:
        return True
    whole, hinted = _matched(short, long)
    place = (whole | hinted).get(0)
    return place is not None and (place == 0 or _is_second_given(long, place))


def _bare(words: Sequence[str]) -> Words:
    return tuple(word for word in words if word not in known.PARTICLES)


def _aligned(one: Words, other: Words) -> tuple[Words, Words]:
    """Both without particles; a word that is several of the other's words in one is taken apart."""
    return _bare(_taken_apart(one, other)), _bare(_taken_apart(other, one))


def _taken_apart(words: Words, other: Words) -> list[str]:
    spans = [
        other[start:end]
        for start in range(len(other))
        for end in range(start + 2, min(start + 6, len(other)) + 1)
    ]
    # "mariasilva", as people type into a form.
    spans.append((other[0], other[-1]))
    apart: list[str] = []
    for word in words:
        whole = len(word) < 5 or word in other
        apart.extend((word,) if whole else next((s for s in spans if _is_all(word, s)), (word,)))
    return apart


def _is_all(word: str, span: Words) -> bool:
    """Whether it sounds like these in one. Cheap first: one sound's spellings differ little."""
    joined = "".join(span)
    alike = abs(len(joined) - len(word)) <= 2 and len(set(joined) ^ set(word)) <= 3
    return alike and sound(joined) == sound(word)
