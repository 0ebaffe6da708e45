"""Opposition (LGPD, art. 18): people and contacts that must not be processed. The list holds keyed
hashes, so it names nobody; the pipeline asks it before anything is looked up or paid for.
"""

from typing import Any

from c2s_enrich.database import Pool, Statements
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.contact import Email, Phone, read_email, read_phone
from c2s_enrich.people.cpf import Cpf

Subject = Cpf | Phone | Email


async def suppress(pool: Pool, keys: HashKeys, subject: Subject) -> bool:
    """Puts it on the list; False where it stands there already."""
    kind, text = kind_and_text(subject)
    hashed = keys.hashes("suppression", text)[0]
    return await Statements(pool, "privacy").touch("suppress", kind=kind, hash=hashed) > 0


async def unsuppress(pool: Pool, keys: HashKeys, subject: Subject) -> bool:
    """Takes it off the list; False where it did not stand there."""
    hashes = keys.hashes("suppression", kind_and_text(subject)[1])
    return await Statements(pool, "privacy").touch("unsuppress", hashes=hashes) > 0


async def sharing(pool: Pool, subject: Phone | Email) -> int:
    """How many people it leads to, as far as is known: suppressing it stops all of them."""
    contact = kind_and_text(subject)[1]
    [(count,)] = await Statements(pool, "privacy").rows("sharing", contact=contact)
    return int(count)


async def suppressed(pool: Pool) -> list[dict[str, Any]]:
    """The whole list, oldest first: hash, kind and created_at."""
    return await Statements(pool, "privacy").read(dict, "suppressions")


def read_subject(text: str) -> Subject | None:
    """A CPF, phone or e-mail as a person writes it. Of eleven digits the check digits decide."""
    if "@" in text:
        email = read_email(text)
        return email if isinstance(email, Email) else None
    phone = read_phone(text)
    return Cpf.parse(text.strip()) or (phone if isinstance(phone, Phone) else None)


def kind_and_text(subject: Subject) -> tuple[str, str]:
    match subject:
        case Cpf():
            return "cpf", subject.digits
        case Phone():
            return "phone", subject.e164
        case Email():
            return "email", subject.address
