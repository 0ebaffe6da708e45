"""From a stored payload to the facts that the pipeline works with."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from c2s_enrich.enrichment.message import REF_ALPHABET, REF_LENGTH
from c2s_enrich.people.contact import Contacts, fingerprint, read_contacts
from c2s_enrich.people.lead import LeadFacts

CLOSING_ACTION = "on_close_lead"


@dataclass(frozen=True)
class Extracted:
    """What one event says. `facts` are filled from what was known before; `fingerprint` is of `contacts`.

    `own_refs` are refs of messages in our form found on the lead: a free receipt where one is ours.
    """

    facts: LeadFacts
    contacts: Contacts
    fingerprint: str
    closed: bool
    own_refs: frozenset[str]


def extract(payload: object, hook_action: str | None, earlier: LeadFacts | None) -> Extracted | None:
    """Reads a payload over the earlier facts of its lead. None where it holds no lead and nothing was known before; never raises."""
    found = LeadFacts.from_json(payload)
    facts = found.filled_from(earlier) if found is not None else earlier
    if facts is None:
        return None
    contacts = read_contacts(facts)
    return Extracted(
        facts=facts,
        contacts=contacts,
        fingerprint=fingerprint(contacts),
        closed=facts.closed or hook_action == CLOSING_ACTION,
        own_refs=find_refs(found.messages if found is not None else ()),
    )


def find_refs(texts: Iterable[str]) -> frozenset[str]:
    """Refs in our form: "ref 7F3K29QD" anywhere in a text (C2S may turn its line breaks into HTML), or a text that is a ref."""
    refs: set[str] = set()
    for text in texts:
        refs.update(_REF_LINE.findall(text))
        if _REF.fullmatch(text.strip()):
            refs.add(text.strip())
    return frozenset(refs)


def what_is_new(now: Contacts, before: Contacts) -> Contacts:
    """The contacts that were not there before: what an update's header tells."""
    return Contacts(
        phones=tuple(phone for phone in now.phones if phone not in before.phones),
        emails=tuple(email for email in now.emails if email not in before.emails),
    )


_REF = re.compile(f"[{REF_ALPHABET}]{{{REF_LENGTH}}}")
_REF_LINE = re.compile(rf"\bref ({_REF.pattern})\b")
