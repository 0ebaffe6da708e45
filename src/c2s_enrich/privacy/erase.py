"""Removes a lead, or a person with all leads, from every table, at their wish (LGPD, art. 18).
Cannot be undone.

What stays, and why: the events' rows without content (their keys recognise a delivery that comes
again), the messages' keys and refs without their text (nothing is sent twice), the leads' ids in
`erased_leads` (what C2S still tells of them is stored empty and never worked on), and a receipt
that names nobody. A later delivery in which not even the lead's id can be read is kept as rejected
until its age or another erasure removes it.

Work in flight ends: the events are settled as completed, outcome `erased`, and their lease tokens
raised, so their pollers stop at their next write or heartbeat and can store nothing more of the
lead. Only a message whose request has already left cannot be called back. C2S, Diretrix and the
Work API keep their own data.

By lead: people who also belong to another lead stay, with what that lead needs of them. By CPF:
everything, with every lead that is linked to the CPF or names it, and every lead that one of the
person's own contacts reaches, at rest or under way. A contact that leads to somebody else too (a
family's phone, a switchboard) is followed only when the operator names it. A new lead of the same
person is a new matter, unless they are suppressed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.extract import facts_of
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.store import ErasureStore, StoredEvent
from c2s_enrich.privacy.traces import Traces, needles


@dataclass(frozen=True)
class ErasureReceipt:
    """What an erasure removed or emptied, in rows by table. `erased_at` is the database's time.
    Names nobody but in `subjects`, "lead ID" and "cpf DIGITS", which are to be hashed and kept
    elsewhere: after a restore they say what to erase again.
    """

    id: UUID
    erased_at: datetime
    asked_by: str
    counts: Mapping[str, int]
    subjects: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class ReachedBy:
    """A contact of the person and the leads that it reaches, which go where it is `followed`."""

    contact: str
    shared: bool
    followed: bool
    lead_ids: tuple[str, ...]


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure of a person would reach: by the CPF itself, and by each contact."""

    by_cpf: tuple[str, ...]
    by_contact: tuple[ReachedBy, ...]

    @property
    def lead_ids(self) -> list[str]:
        """Every lead that goes."""
        reached = {each for one in self.by_contact if one.followed for each in one.lead_ids}
        return sorted(reached.union(self.by_cpf))

    @property
    def contacts(self) -> set[str]:
        """The contacts that are followed."""
        return {one.contact for one in self.by_contact if one.followed}


async def plan_erasure(pool: Pool, cpf: Cpf, follow: Collection[str] = ()) -> ErasurePlan:
    """What `erase` would reach now. Removes nothing. `follow` names contacts that count although
    they are shared, in canonical form.
    """
    async with pool.connection() as connection, connection.transaction():
        return await _reach(ErasureStore(connection), cpf, follow)


async def erase(
    pool: Pool, *, lead_id: str | None = None, cpf: Cpf | None = None, follow: Collection[str] = ()
) -> ErasureReceipt:
    """Erases one lead, or one person with all their leads. Raises ValueError unless exactly one of
    the two is given.

    May be repeated: a second time it finds nothing and says so.
    """
    if (lead_id is None) == (cpf is None):
        raise ValueError("erase needs either a lead id or a CPF")
    async with pool.connection() as connection, connection.transaction():
        store = ErasureStore(connection)
        if cpf is not None:
            plan = await _reach(store, cpf, follow)
            lead_ids, contacts = plan.lead_ids, plan.contacts
        else:
            lead_ids, contacts = [str(lead_id)], set[str]()
        counts = await _erase(store, lead_ids, contacts, cpf)
        asked_by = "lead" if cpf is None else "cpf"
        receipt_id, erased_at = await store.write_receipt(asked_by, counts)
    subjects = [f"lead {each}" for each in lead_ids] + ([f"cpf {cpf.digits}"] if cpf else [])
    return ErasureReceipt(receipt_id, erased_at, asked_by, counts, tuple(subjects))


async def erase_again(pool: Pool, keys: HashKeys, hashes: Collection[str]) -> list[ErasureReceipt]:
    """After a restore: repeats the erasures whose subjects' hashes were kept, for whoever is stored
    now.
    """
    kept = frozenset(hashes)
    async with pool.connection() as connection, connection.transaction():
        subjects = [
            (kind, value)
            async for kind, value in ErasureStore(connection).known_subjects()
            if not kept.isdisjoint(keys.hashes("erased", f"{kind} {value}"))
        ]
    return [
        await erase(pool, lead_id=value) if kind == "lead" else await erase(pool, cpf=Cpf(value))
        for kind, value in sorted(subjects)
    ]


async def export(pool: Pool, cpf: Cpf) -> dict[str, Any]:
    """What is held on a person, for the person: their record, contacts, leads, webhooks and
    messages.
    """
    async with pool.connection() as connection, connection.transaction():
        store = ErasureStore(connection)
        lead_ids = (await _reach(store, cpf, ())).lead_ids
        return await store.export(cpf.digits, lead_ids)


async def _reach(store: ErasureStore, cpf: Cpf, follow: Collection[str]) -> ErasurePlan:
    by_cpf = await store.leads_of_person(cpf.digits, f"work_api cpf {cpf.digits}")
    shared = await store.contacts_of_person(cpf.digits) | dict.fromkeys(follow, False)
    reached: dict[str, set[str]] = {contact: set() for contact in shared}
    person = Traces(cpfs=[cpf.digits])
    ways = {contact: Traces(contacts=[contact]) for contact in shared}
    searched = needles(contacts=shared, cpfs=[cpf.digits])
    async for lead_id, text in store.texts_naming(searched):
        raw = text.encode(errors="replace")
        if lead_id not in by_cpf and person.name_a_person(raw):
            by_cpf.add(lead_id)
        for contact, traces in ways.items():
            if lead_id not in reached[contact] and traces.name_a_person(raw):
                reached[contact].add(lead_id)
    return ErasurePlan(
        tuple(sorted(by_cpf)),
        tuple(
            ReachedBy(contact, is_shared, not is_shared, tuple(sorted(reached[contact])))
            for contact, is_shared in shared.items()
        ),
    )


async def _erase(
    store: ErasureStore, lead_ids: Sequence[str], followed: set[str], cpf: Cpf | None
) -> dict[str, int]:
    """In this order: close, lock, read what there is to look for, remove."""
    run = store.run
    closed = await run("close_leads", lead_ids=lead_ids)
    events = await store.lock_events(lead_ids)
    facts = [LeadFacts(*row) for row in await store.lock_leads(lead_ids)] + [
        _facts(event) for event in events
    ]
    contacts = {key for each in facts for key in read_contacts(each).keys}
    contacts |= await store.told_of_leads(lead_ids) | followed
    cpfs = await store.people_to_erase(lead_ids, sorted(contacts), cpf.digits if cpf else None)
    everywhere = contacts | await store.contacts_of_people(cpfs)
    traces = Traces(lead_ids=lead_ids, contacts=everywhere, cpfs=cpfs)
    searched = needles(contacts=everywhere, cpfs=cpfs)

    of_leads: dict[str, Any] = {"lead_ids": lead_ids}
    of_events = {"event_ids": [event.id for event in events]}
    withdrawn = await run("withdraw_messages", **of_leads)
    return {
        "erased_leads": closed,
        "webhook_events": await run("empty_events", **of_leads),
        "event_attempts": await run("empty_attempts", **of_events),
        "lead_messages": withdrawn + await run("empty_messages", **of_leads),
        "leads": await run("delete_leads", **of_leads),
        # Before the answers: who is still linked then is needed by another lead.
        "lead_people": await run("unlink_people", cpfs=cpfs, **of_leads),
        "contact_lookups": await run("delete_lookups", contacts=contacts, cpfs=cpfs),
        "answers_under_way": await run(
            "delete_questions", cpfs=cpfs, contacts=followed, **of_events
        ),
        **await store.delete_people(cpfs),
        "rejected_deliveries": await _delete_rejects(store, lead_ids, traces, cpf),
        "operator_actions": await run("forget_reasons", needles=searched),
    }


async def _delete_rejects(
    store: ErasureStore, lead_ids: Sequence[str], traces: Traces, cpf: Cpf | None
) -> int:
    """Deliveries that could not be read are searched byte by byte. A lead's erasure leaves those
    that belong to another lead.
    """
    found = []
    async for reject in store.rejects():
        others = cpf is None and reject.lead_id is not None and reject.lead_id not in lead_ids
        if (
            reject.lead_id in lead_ids
            or traces.name_a_lead(reject.raw)
            or (not others and traces.name_a_person(reject.raw))
        ):
            found.append(reject.id)
    return await store.run("delete_rejects", ids=found)


def _facts(event: StoredEvent) -> LeadFacts:
    try:
        payload: object = msgspec.json.decode(event.payload)
    except (msgspec.DecodeError, RecursionError):
        payload = None
    return facts_of(payload, lead_id=event.lead_id, hook_action=event.hook_action)
