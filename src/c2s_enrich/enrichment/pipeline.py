"""READ THIS FIRST: the life of one event, from its payload to the message on the lead.

    extract ─▶ skip? ─▶ lookup ─▶ match ─▶ enrich ─▶ store ─▶ send

It returns an outcome or raises an error of `errors.py`; `queue/verdict.py` decides what follows.
Every step that costs a call stores its answer when it arrives, so that the next attempt repeats
only what failed. "The upstream failed" is never taken for "nobody is known".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from c2s_enrich.enrichment.extract import facts_in, own_refs
from c2s_enrich.enrichment.lookup import Lookup
from c2s_enrich.enrichment.match import Match, match
from c2s_enrich.enrichment.message import SellerMessage, compose_message
from c2s_enrich.enrichment.remember import Memory
from c2s_enrich.enrichment.send import Sender
from c2s_enrich.enrichment.skip import Situation, reason_to_skip
from c2s_enrich.enrichment.store import EnrichmentStore, OutboxMessage
from c2s_enrich.errors import MissingCustomer
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.c2s_time import SAO_PAULO
from c2s_enrich.people.contact import Contacts, fingerprints, read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.people.profile import Profile
from c2s_enrich.queue.claim import Claim, Done, Fact, Journal, Lease
from c2s_enrich.settings import Settings
from c2s_enrich.upstreams.c2s import C2s


@dataclass(frozen=True)
class Event:
    """One attempt at an event: what it says, merged with what was known of its lead."""

    claim: Claim
    journal: Journal
    facts: LeadFacts
    contacts: Contacts
    fingerprints: tuple[str, ...]
    situation: Situation
    suppressed: bool

    def done(self, outcome: str, fact: Fact | None = None) -> Done:
        return Done(outcome, self.fingerprints[0], fact)


@dataclass(frozen=True)
class Pipeline:
    """The handler that the queue calls for each claim."""

    store: EnrichmentStore
    c2s: C2s
    lookup: Lookup
    memory: Memory
    send: Sender
    keys: HashKeys
    settings: Settings

    async def __call__(self, claim: Claim, lease: Lease, journal: Journal) -> Done:
        async with journal.step("extract"):
            told = facts_in(claim.payload, lead_id=claim.lead_id, hook_action=claim.hook_action)
            event = await self._begin(claim, journal, told)
        async with journal.step("skip"):
            skip = await self._skip(event)
        if skip is None and not event.facts.has_contact:
            async with journal.step("ask_c2s"):
                event = await self._begin(claim, journal, await self.c2s.lead(claim.lead_id))
                if not event.facts.has_contact:
                    raise MissingCustomer
                skip = await self._skip(event)
        if skip is not None:
            return event.done(skip)
        if event.suppressed:
            return await self._ignore(event)
        async with journal.step("lookup"):
            looked_up = await self.lookup(claim, event.contacts, event.facts.name)
        if looked_up.unasked:
            journal.detail["unasked"] = looked_up.unasked
        if looked_up.unproven:
            journal.detail["unproven"] = sorted(looked_up.unproven)
        found = match(event.facts.name, looked_up.answers)
        if not found.people:
            return await self._end_untold(event, "not_found")
        named = [owner.candidate.cpf.digits for owner in found.owners]
        if await self.store.suppressed(self._hashes(named)):
            return await self._ignore(event)
        async with journal.step("enrich"):
            people = [person.candidate.cpf for person in found.people]
            profiles = await self.memory.records(claim, people)
        async with journal.step("store"):
            message = await self._store_result(event, found, profiles)
        if self.settings.delivery == "shadow" and message.status == "pending":
            journal.detail["cause"] = "shadow"
            return event.done("shadow")
        async with journal.step("send"):
            fact = await self.send(claim, lease, journal, message)
        return event.done("enriched" if all(profiles.values()) else "partial", fact)

    def _hashes(self, subjects: Sequence[str]) -> list[str]:
        """Of contacts or CPFs, as those are listed that must not be processed."""
        return [each for one in subjects for each in self.keys.hashes("suppression", one)]

    async def _ignore(self, event: Event) -> Done:
        event.journal.detail["cause"] = "suppressed"
        return await self._end_untold(event, "ignored")

    async def _end_untold(self, event: Event, outcome: str) -> Done:
        """There is nobody to tell of; an earlier attempt may have told of somebody."""
        await self._withdraw(event)
        return event.done(outcome)

    async def _begin(self, claim: Claim, journal: Journal, told: LeadFacts) -> Event:
        """What we are told, merged with what was known. Our own messages in it are receipts."""
        refs = own_refs(told.messages)
        if refs:
            journal.detail["echo"] = refs[-1]
        contacts = read_contacts(told)
        facts, situation, suppressed = await self.store.begin_work(
            claim, told, refs, self._hashes(contacts.keys)
        )
        if (facts.phone, facts.email) != (told.phone, told.email):
            contacts = read_contacts(facts)
            suppressed = await self.store.suppressed(self._hashes(contacts.keys))
        if contacts.skipped:
            journal.detail["skipped"] = [f"{each.kind} {each.reason}" for each in contacts.skipped]
        if contacts.national_phones:
            journal.detail["ddd"] = (contacts.national_phones[0].national or "")[:2]
        prints = fingerprints(contacts, facts.name, self.keys)
        return Event(claim, journal, facts, contacts, prints, situation, suppressed)

    async def _skip(self, event: Event) -> str | None:
        again = event.claim.reprocess
        skip = reason_to_skip(event.facts, event.fingerprints, event.situation, reprocess=again)
        if skip is not None:
            await self._withdraw(event)
        return skip

    async def _withdraw(self, event: Event) -> None:
        """Nothing waits or stays unclear behind an event that has nothing to say, also where
        another process notices a restore meanwhile.
        """
        while event.situation.unsent and await self.store.withdraw_unsent(event.claim):
            await self.send.clear_up(event.claim, None)

    async def _store_result(
        self, event: Event, found: Match, profiles: dict[Cpf, Profile | None]
    ) -> OutboxMessage:
        claim = event.claim

        def compose(event: Event) -> SellerMessage:
            return compose_message(
                found,
                profiles,
                event.facts,
                event.contacts,
                self.keys,
                today=claim.claimed_at.astimezone(SAO_PAULO).date(),
                income_multiplier=self.settings.income_multiplier,
                told=event.situation.told,
            )

        message = compose(event)
        if event.situation.unsent and await self.send.clear_up(claim, message.content_key):
            # The seller was told something that we did not know of: something else is new now.
            event = await self._begin(claim, event.journal, event.facts)
            message = compose(event)
        people = [(person.candidate.cpf, person.found_by) for person in found.people]
        return await self.store.store_result(claim, people, message, event.contacts.keys)
