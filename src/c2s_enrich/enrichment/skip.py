"""Whether an event needs no work. Pure: the pipeline acts on the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from c2s_enrich.enrichment.message import Told
from c2s_enrich.people.c2s_lead import LeadFacts


@dataclass(frozen=True)
class Situation:
    """What is known of an event's lead; `told` is what the seller was told, oldest first.
    `newer_waits`: a newer event has not ended, so what it says is not merged yet.
    """

    newer_exists: bool
    newer_waits: bool
    told_fingerprint: str | None
    told: tuple[Told, ...]
    message_unclear: bool


@dataclass(frozen=True)
class Skip:
    """The event ends with this outcome. `withdraw`: what it never sent has nothing to say now."""

    outcome: str
    withdraw: bool


def reason_to_skip(
    facts: LeadFacts, fingerprints: Sequence[str], situation: Situation, *, reprocess: bool
) -> Skip | None:
    """None where there is work. `fingerprints` are the contacts' hashes under each key."""
    if reprocess:
        # What a person asked for is done, by the newest that is known of the lead.
        return Skip("superseded", withdraw=True) if situation.newer_waits else None
    if facts.closed:
        return Skip("ignored", withdraw=True)
    forgotten = bool(situation.told) and situation.told[-1].is_forgotten
    if facts.has_contact and situation.told_fingerprint in fingerprints and not forgotten:
        return Skip("unchanged", withdraw=False)
    if situation.newer_exists:
        return Skip("superseded", withdraw=True)
    return None
