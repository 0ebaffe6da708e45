"""Whether an event needs no work. Pure: the pipeline acts on the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from c2s_enrich.enrichment.message import Told
from c2s_enrich.people.c2s_lead import LeadFacts


@dataclass(frozen=True)
class Situation:
    """What is known of an event's lead; `told` is what the seller was told, oldest first.
    `newer_waits`: a newer event has not ended, so what it says is not merged yet. `unsent`: a
    message of this very event waits, or may have been sent.
    """

    newer_exists: bool
    newer_waits: bool
    told_fingerprint: str | None
    told: tuple[Told, ...]
    unsent: bool


def reason_to_skip(
    facts: LeadFacts, fingerprints: Sequence[str], situation: Situation, *, reprocess: bool
) -> str | None:
    """The outcome; None where there is work. `fingerprints`: the contacts' under each key."""
    if reprocess:
        # What a person asked for is done, by the newest that is known of the lead.
        return "superseded" if situation.newer_waits else None
    if facts.closed:
        return "ignored"
    forgotten = bool(situation.told) and situation.told[-1].is_forgotten
    if facts.has_contact and situation.told_fingerprint in fingerprints and not forgotten:
        return "unchanged"
    if situation.newer_exists:
        return "superseded"
    return None
