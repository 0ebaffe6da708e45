"""READ THIS FIRST: the life of one event, from its payload to the message on the lead.

    extract ─▶ skip? ─▶ lookup ─▶ match ─▶ enrich ─▶ store ─▶ send

The pipeline never retries and never decides how an attempt ends: it returns an outcome or raises an
error of `errors.py`, and `queue/verdict.py` does the rest. Every step that costs a call stores its
answer when it arrives, so that the next attempt repeats only what failed. Refuses to guess: "the
upstream failed" is never taken for "nobody is known".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from c2s_enrich.enrichment.enrich import Enrich
from c2s_enrich.enrichment.extract import facts_of, own_refs
from c2s_enrich.enrichment.lookup import Lookup
from c2s_enrich.enrichment.match import Match, match
from c2s_enrich.enrichment.message import SellerMessage, compose_message
from c2s_enrich.enrichment.send import Sender
from c2s_enrich.enrichment.skip import Situation, Skip, reason_to_skip
from c2s_enrich.enrichment.store import EnrichmentStore, OutboxMessage
from c2s_enrich.errors import MissingCustomer
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts, decode_json
from c2s_enrich.people.contact import Contacts, fingerprints, read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim, Done, Journal, Lease

_SAO_PAULO = ZoneInfo("America/Sao_Paulo")


class LeadReader(Protocol):
    """Reads a lead from C2S. Raises LeadNotFound and upstream errors."""

    async def lead(self, lead_id: str) -> LeadFacts: ...


@dataclass(frozen=True)
class Event:
    """What an event says, merged with what was known of its lead."""

    facts: LeadFacts
    contacts: Contacts
    fingerprints: tuple[str, ...]
    situation: Situation


class Pipeline:
    """The handler that the queue calls for each claim."""

    def __init__(
        self,
        store: EnrichmentStore,
        c2s: LeadReader,
        lookup: Lookup,
        enrich: Enrich,
        send: Sender,
        keys: HashKeys,
        *,
        income_multiplier: float,
        shadow: bool,
    ) -> None:
        self._store = store
        self._c2s = c2s
        self._lookup = lookup
        self._enrich = enrich
        self._send = send
        self._keys = keys
        self._income_multiplier = income_multiplier
        self._shadow = shadow

    async def __call__(self, claim: Claim, lease: Lease, journal: Journal) -> Done:
        async with journal.step("extract"):
            event = await self._begin(claim, journal, _told_by(claim))
        async with journal.step("skip"):
            skip = await self._skip(claim, event)
        if skip is None and not event.facts.has_contact:
            async with journal.step("ask_c2s"):
                event = await self._begin(claim, journal, await self._c2s.lead(claim.lead_id))
                if not event.facts.has_contact:
                    raise MissingCustomer
                skip = await self._skip(claim, event)
        if skip is not None:
            return Done(skip.outcome, event.fingerprints[0])
        if await self._suppressed(event.contacts.keys):
            return await self._suppress(claim, journal, event)
        async with journal.step("lookup"):
            looked_up = await self._lookup(claim, event.contacts, event.facts.name)
        if looked_up.unasked:
            journal.detail["unasked"] = looked_up.unasked
        if looked_up.unproven:
            journal.detail["unproven"] = sorted(looked_up.unproven)
        found = match(event.facts.name, looked_up.answers)
        if not found.people:
            return await self._end_untold(claim, event, "not_found")
        named = [owner.candidate.cpf.digits for owner in found.owners]
        if await self._suppressed(named):
            return await self._suppress(claim, journal, event)
        async with journal.step("enrich"):
            profiles = await self._enrich(claim, [person.candidate.cpf for person in found.people])
        async with journal.step("store"):
            message = await self._store_result(claim, journal, event, found, profiles)
        if self._shadow and message.status == "pending":
            journal.detail["cause"] = "shadow"
            return Done("shadow", event.fingerprints[0])
        async with journal.step("send"):
            fact = await self._send(claim, lease, journal, message)
        return Done(
            "enriched" if all(profiles.values()) else "partial", event.fingerprints[0], fact
        )

    async def _suppressed(self, subjects: Sequence[str]) -> bool:
        """Whether one of these contacts or CPFs must not be processed."""
        hashes = [each for one in subjects for each in self._keys.hashes("suppression", one)]
        return bool(hashes) and await self._store.suppressed(hashes)

    async def _suppress(self, claim: Claim, journal: Journal, event: Event) -> Done:
        journal.detail["cause"] = "suppressed"
        return await self._end_untold(claim, event, "ignored")

    async def _end_untold(self, claim: Claim, event: Event, outcome: str) -> Done:
        """There is nobody to tell of; an earlier attempt may have told of somebody."""
        if event.situation.message_unclear:
            await self._send.clear_up(claim, None)
        await self._store.withdraw_unsent(claim)
        return Done(outcome, event.fingerprints[0])

    async def _begin(self, claim: Claim, journal: Journal, told: LeadFacts) -> Event:
        """What we are told, merged with what was known. Our own messages in it are receipts."""
        refs = own_refs(told.messages)
        if refs:
            journal.detail["echo"] = refs[-1]
        facts, situation = await self._store.begin_work(claim, told, refs)
        contacts = read_contacts(facts)
        if contacts.skipped:
            journal.detail["skipped"] = [f"{each.kind} {each.reason}" for each in contacts.skipped]
        if contacts.national_phones:
            journal.detail["ddd"] = (contacts.national_phones[0].national or "")[:2]
        return Event(facts, contacts, fingerprints(contacts, facts.name, self._keys), situation)

    async def _skip(self, claim: Claim, event: Event) -> Skip | None:
        """Acts on the decision that there is no work."""
        skip = reason_to_skip(
            event.facts, event.fingerprints, event.situation, reprocess=claim.reprocess
        )
        if skip is not None and skip.withdraw:
            await self._store.withdraw_unsent(claim)
        return skip

    async def _store_result(
        self,
        claim: Claim,
        journal: Journal,
        event: Event,
        found: Match,
        profiles: dict[Cpf, Profile | None],
    ) -> OutboxMessage:
        message = self._compose(claim, event, found, profiles)
        if event.situation.message_unclear and await self._send.clear_up(
            claim, message.content_key
        ):
            # The seller has been told something that we did not know of: what is new is something
            # else now.
            event = await self._begin(claim, journal, event.facts)
            message = self._compose(claim, event, found, profiles)
        people = [(person.candidate.cpf, person.found_by) for person in found.people]
        return await self._store.store_result(claim, people, message, event.contacts.keys)

    def _compose(
        self, claim: Claim, event: Event, found: Match, profiles: dict[Cpf, Profile | None]
    ) -> SellerMessage:
        return compose_message(
            found,
            profiles,
            event.facts,
            event.contacts,
            self._keys,
            today=claim.claimed_at.astimezone(_SAO_PAULO).date(),
            income_multiplier=self._income_multiplier,
            told=event.situation.told,
        )


def _told_by(claim: Claim) -> LeadFacts:
    """What the payload says of the lead. A row that was inserted by hand may hold anything."""
    try:
        payload = decode_json(claim.payload)
    except (msgspec.DecodeError, RecursionError):
        payload = None
    return facts_of(payload, lead_id=claim.lead_id, hook_action=claim.hook_action)
