"""Phones and e-mails of a lead in one form each. No DDD is guessed: it is another's phone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.name import usable_name
from c2s_enrich.people.nobodys import FAKE_LOCAL, SERVICE, THROWAWAY, is_fake, is_run
from c2s_enrich.people.text import visible

# Someone may paste a list into a field, and every contact costs a lookup.
MOST_OF_A_KIND = 3
# "+55 0 15 11 9 8765 4321"; and every run of words is read as a number once.
_WORDS_OF_A_NUMBER = 8
_MOST_WORDS = 40


@dataclass(frozen=True)
class Phone:
    """`e164` is "+5511987654321"; `national` "11987654321" (DDD first), None for a foreign one."""

    e164: str
    national: str | None

    @property
    def formatted(self) -> str:
        """(11) 98765-4321 or (11) 3456-7890; a foreign number as it is dialled from abroad."""
        return format_national(self.national) if self.national is not None else self.e164

    @property
    def in_brazil(self) -> str:
        """DDD and subscriber, for sources that know Brazilian numbers only. Raises ValueError."""
        if self.national is None:
            raise ValueError("the sources know Brazilian numbers only")
        return self.national

    def __repr__(self) -> str:
        return f"Phone({self.e164[:5]}****{self.e164[-2:]})"


@dataclass(frozen=True)
class Email:
    """`address` is trimmed, lower case and syntactically valid."""

    address: str

    def __repr__(self) -> str:
        return f"Email({self.address[:1]}***)"


@dataclass(frozen=True)
class Skipped:
    """A contact that is not looked up, without the contact itself."""

    kind: Literal["phone", "email"]
    reason: Literal[
        "malformed", "fake", "no_ddd", "bad_ddd", "service", "foreign", "throwaway", "too_many"
    ]


@dataclass(frozen=True)
class Contacts:
    """All that could be read from one lead, best first; foreign phones too."""

    phones: tuple[Phone, ...] = ()
    emails: tuple[Email, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def national_phones(self) -> tuple[Phone, ...]:
        return tuple(phone for phone in self.phones if phone.national is not None)

    @property
    def keys(self) -> tuple[str, ...]:
        """Each contact as it is remembered and compared: phones as E.164, then e-mail addresses."""
        return (*(each.e164 for each in self.phones), *(each.address for each in self.emails))


def read_contacts(facts: LeadFacts) -> Contacts:
    """Every contact in the lead's texts: mobiles, landlines, foreign numbers; else as given."""
    phone_text, email_text = visible(facts.phone or ""), visible(facts.email or "")
    given = dict.fromkeys(map(read_phone, _split_phones(_whole_numbers(phone_text))))
    written = dict.fromkeys(map(read_email, _split_emails(email_text)))
    phones = [each for each in given if isinstance(each, Phone)]
    emails = [each for each in written if isinstance(each, Email)]
    skipped = [each for each in (*given, *written) if isinstance(each, Skipped)]
    if any(phone.national is None for phone in phones):
        skipped.append(Skipped("phone", "foreign"))
    if len(phones) > MOST_OF_A_KIND:
        skipped.append(Skipped("phone", "too_many"))
    if len(emails) > MOST_OF_A_KIND:
        skipped.append(Skipped("email", "too_many"))
    phones.sort(key=lambda phone: (phone.national is None, len(phone.e164) != 14))
    return Contacts(tuple(phones[:MOST_OF_A_KIND]), tuple(emails[:MOST_OF_A_KIND]), tuple(skipped))


def fingerprints(contacts: Contacts, lead_name: str | None, keys: HashKeys) -> tuple[str, ...]:
    """Keyed hashes of the contacts and the name, the same however these are written and ordered:
    store the first, compare with each.
    """
    return keys.hashes("fingerprint", "\n".join([*sorted(contacts.keys), usable_name(lead_name)]))


def read_phone(text: str) -> Phone | Skipped:
    """One number, with or without +55, trunk 0, carrier code, ninth digit or mask."""
    text = re.split(r"(?i)\b(?:ramal|ext|r\.)", _whole_numbers(visible(text)))[0]
    digits = _digits(text)
    international = re.match(r"[^0-9]*\+", text) is not None
    if not international and digits.startswith("00"):
        digits, international = digits[2:], True
    if international and not digits.startswith("55"):
        return _foreign(digits) or Skipped("phone", "fake" if is_fake(digits) else "malformed")
    national = _without_country_and_trunk(digits, international)
    if SERVICE.fullmatch(national):
        return Skipped("phone", "service")
    if is_fake(national):
        return Skipped("phone", "fake")
    if len(national) in (8, 9):
        return Skipped("phone", "no_ddd")
    if len(national) == 10 and national[2] in "689":
        # A mobile from before 2016. Landlines begin with 2 to 5, so the ninth digit is certain; 7
        # stays as it is, because the trunked radio numbers (Nextel) kept their eight digits.
        national = national[:2] + "9" + national[2:]
    if len(national) in (10, 11) and phonenumbers.is_valid_number(
        phonenumbers.PhoneNumber(country_code=55, national_number=int(national))
    ):
        return Phone("+55" + national, national)
    # Without a plus only a number too long for Brazil is taken for a foreign one.
    if len(digits) >= 12 and not international and (foreign := _foreign(digits)):
        return foreign
    bad_ddd = len(national) in (10, 11) and not _DDD.match(national)
    return Skipped("phone", "bad_ddd" if bad_ddd else "malformed")


def read_email(text: str) -> Email | Skipped:
    """One address: trimmed, lower case, its syntax checked (no DNS)."""
    parts = re.sub(r"(?i)^\s*mailto:", "", visible(text)).split("@")
    written = "@".join(map(str.strip, parts))
    address = written.strip(" \t\r\n<>\"'.,;:()[]").lower()
    local, _, domain = address.rpartition("@")
    # Of what nearly all consist, only the domain needs the validator, and that is seldom a new one.
    if not (_PLAIN_LOCAL.fullmatch(local) and len(address) <= 254 and _is_plain_domain(domain)):
        if (valid := _validated(address)) is None:
            return Skipped("email", "malformed")
        address = valid
        local, _, domain = address.rpartition("@")
    if domain in THROWAWAY:
        return Skipped("email", "throwaway")
    # Only the whole local part gives a fake away: real addresses and domains hold runs.
    if (
        FAKE_LOCAL.fullmatch(local)
        or is_run(local.replace(".", ""))
        or re.match(r"(teste?|email|asdf\w*|xxx+)\.", domain)
    ):
        return Skipped("email", "fake")
    return Email(address)


_PLAIN_LOCAL = re.compile(r"(?!.{65})[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")


@lru_cache(1000)
def _is_plain_domain(domain: str) -> bool:
    """Whether it is valid, as it stands, behind any plain local part."""
    return _validated(f"a@{domain}") == f"a@{domain}"


def _validated(address: str) -> str | None:
    try:
        return validate_email(address, check_deliverability=False, strict=True).normalized.lower()
    except EmailNotValidError:
        return None


def format_national(national: str) -> str:
    """(11) 98765-4321 from 11 digits, (11) 3456-7890 from 10."""
    return f"({national[:2]}) {national[2:-4]}-{national[-4:]}"


# A number as spreadsheets and programs write it; of less than nine digits it was rounded.
_EXPONENT = re.compile(r"(?<![\d.,])(\d)[.,](\d{8,12})[eE]\+?(1[0-2])(?!\d)")
# The 67 area codes in use.
_DDD = re.compile("[14689][1-9]|2[12478]|3[1-578]|5[1345]|7[134579]")


def _without_country_and_trunk(digits: str, international: bool) -> str:
    """DDD and subscriber. 55 is a country after a plus or before a whole number, else a DDD."""
    if international or (digits.startswith("55") and len(digits) > 11):
        digits = digits[2:]
    if not digits.startswith("0"):
        return digits
    digits = digits.lstrip("0")
    # After the trunk's zero a carrier may be chosen with two digits: 0 15 11 3456-7890.
    return digits[2:] if len(digits) in (12, 13) else digits


def _whole_numbers(text: str) -> str:
    """Of 11987650001.0 and 1,1987650001E+10, as spreadsheets export them."""
    text = _EXPONENT.sub(lambda found: found[1] + found[2].ljust(int(found[3]), "0"), text)
    return re.sub(r"(?<=\d{10})[.,]0{1,2}(?!\d)", "", text)


def _digits(text: str) -> str:
    return text if text.isascii() and text.isdigit() else re.sub(r"[^0-9]", "", text)


def _foreign(digits: str) -> Phone | None:
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return None
    if number.country_code == 55 or not phonenumbers.is_valid_number(number):
        return None
    return Phone(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), None)


def _split_phones(text: str) -> Iterator[str]:
    """Pieces that hold one number each; a short one is the DDD of the next ("11/98765-4321")."""
    waiting = ""
    for piece in re.split(r"[/,;|\n\r]|\s(?:e|ou)\s", text):
        count = len(_digits(piece))
        if count == 0:
            # A word ("não tem") is a contact that cannot be read; a stray separator is nothing.
            if any(c.isalnum() for c in piece):
                yield piece
        elif count <= 5 and not waiting:
            waiting = piece + " "
        else:
            whole, waiting = waiting + piece, ""
            yield from _numbers_in(whole) if count > 13 else (whole,)
    if waiting:
        yield waiting


def _numbers_in(text: str) -> Iterator[str]:
    """The numbers of a text that is too long for one: only blanks, brackets or words part them.

    Every run of words may be a number; of all ways to cut the text the one is taken that leaves the
    fewest digits over. `phonenumbers` finds none where a DDD stands apart ("11 98765-4321 11 …").
    """
    words = re.findall(r"[(+]*[^\s(+]+", text)[:_MOST_WORDS]
    # For each place: how many digits are left over behind it, and the numbers found.
    best: list[tuple[int, tuple[str, ...]]] = [(0, ())] * (len(words) + 1)
    for start in reversed(range(len(words))):
        left, found = best[start + 1]
        digits = len(_digits(words[start]))
        best[start] = (left + digits, (words[start], *found) if digits >= 8 else found)
        if start and re.fullmatch(r"\+\d{1,3}", words[start - 1]):
            continue  # The rest of a foreign number may look like a whole Brazilian one.
        for end in range(start + 1, min(start + _WORDS_OF_A_NUMBER, len(words)) + 1):
            run = " ".join(words[start:end])
            if best[end][0] < best[start][0] and _is_number(run):
                best[start] = (best[end][0], (run, *best[end][1]))
    yield from best[0][1] or (text,)


def _is_number(run: str) -> bool:
    """Without plus or 00 a foreign one is a Brazilian one cut in two: 98765-4321 204 is in Iran."""
    phone = read_phone(run)
    if not isinstance(phone, Phone):
        return False
    return phone.national is not None or run.lstrip("(").startswith(("+", "00"))


def _split_emails(text: str) -> Iterator[str]:
    if "@" not in text and text.strip():
        yield text
    for piece in re.split(r"[;,|\s]+", re.sub(r"\s*@\s*", "@", text)):
        # A slash may stand inside an address; it separates only where all sides are whole.
        parts = piece.split("/")
        if all("@" in part for part in parts):
            yield from parts
        elif "@" in piece:
            yield piece
