"""From a stored payload to the facts that the pipeline works with."""

import re
from collections.abc import Iterable
from dataclasses import replace

import msgspec

from c2s_enrich.enrichment.message import REF_ALPHABET, REF_LENGTH
from c2s_enrich.people.c2s_lead import LeadFacts, decode_json, is_closing

_REF = re.compile(f"[{REF_ALPHABET}]{{{REF_LENGTH}}}")
_REF_LINE = re.compile(rf"\bref ({_REF.pattern})\b")


def facts_in(payload: str, *, lead_id: str, hook_action: str | None) -> LeadFacts:
    """What one event says of its lead, whose id is the row's own, even if nothing can be read: a
    row that was inserted by hand may hold anything.
    """
    try:
        facts = LeadFacts.from_json(decode_json(payload)) or LeadFacts(lead_id)
    except (msgspec.DecodeError, RecursionError):
        facts = LeadFacts(lead_id)
    return replace(facts, lead_id=lead_id, closed=facts.closed or is_closing(hook_action))


def own_refs(texts: Iterable[str]) -> tuple[str, ...]:
    """ "ref 7F3K29QD" anywhere in a text, or a text that is a ref; the outbox knows ours."""
    refs: dict[str, None] = {}
    for text in texts:
        refs.update(dict.fromkeys(_REF_LINE.findall(text)))
        if _REF.fullmatch(text.strip()):
            refs[text.strip()] = None
    return tuple(refs)
