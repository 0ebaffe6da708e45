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
everything, with every lead that is linked to the CPF or in whose payloads or messages it is
written. A new lead of the same person is a new matter: no list of erased people is kept, it would
be one more record of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from c2s_enrich.database import Pool
from c2s_enrich.enrichment.extract import facts_of
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.store import ErasureStore, StoredEvent
from c2s_enrich.privacy.traces import Traces, written_cpf


@dataclass(frozen=True)
class Receipt:
    """What an erasure removed or emptied, in rows by table. `erased_at` is the database's time.
    Names nobody.
    """

    id: UUID
    erased_at: datetime
    asked_by: str
    counts: Mapping[str, int]


async def erase(pool: Pool, *, lead_id: str | None = None, cpf: Cpf | None = None) -> Receipt:
    """Erases one lead, or one person with all their leads. Raises ValueError unless exactly one of
    the two is given.

    May be repeated: a second time it finds nothing and says so.
    """
    if (lead_id is None) == (cpf is None):
        raise ValueError("erase needs either a lead id or a CPF")
    async with pool.connection() as connection, connection.transaction():
        store = ErasureStore(connection)
        lead_ids = [lead_id] if lead_id is not None else []
        if cpf is not None:
            lead_ids = await store.leads_of_person(
                cpf.digits, f"work_api cpf {cpf.digits}", written_cpf(cpf.digits)
            )
        counts = await _erase(store, lead_ids, cpf)
        receipt_id, erased_at = await store.write_receipt("lead" if cpf is None else "cpf", counts)
    return Receipt(receipt_id, erased_at, "lead" if cpf is None else "cpf", counts)


async def _erase(store: ErasureStore, lead_ids: Sequence[str], cpf: Cpf | None) -> dict[str, int]:
    """In this order: close, lock, read what there is to look for, remove."""
    closed = await store.close_leads(lead_ids)
    events = await store.lock_events(lead_ids)
    facts = [LeadFacts(*row) for row in await store.lock_leads(lead_ids)] + [
        _facts(event) for event in events
    ]
    contacts = {
        key for each in facts for key in read_contacts(each).keys
    } | await store.told_of_leads(lead_ids)
    cpfs = await store.people_to_erase(lead_ids, sorted(contacts), cpf.digits if cpf else None)
    everywhere = contacts | await store.contacts_of_people(cpfs)

    event_ids = [event.id for event in events]
    return {
        "erased_leads": closed,
        "webhook_events": await store.empty_events(lead_ids),
        "event_attempts": await store.empty_attempts(event_ids),
        "lead_messages": await store.withdraw_messages(lead_ids)
        + await store.empty_messages(lead_ids),
        "leads": await store.delete_leads(lead_ids),
        "lead_people": await store.unlink_people(lead_ids, cpfs),
        "contact_lookups": await store.delete_lookups(sorted(contacts), cpfs),
        "answers_under_way": await store.delete_questions(event_ids, cpfs),
        **await store.delete_people(cpfs),
        "rejected_deliveries": await _delete_rejects(
            store, lead_ids, Traces(lead_ids=lead_ids, contacts=everywhere, cpfs=cpfs), cpf
        ),
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
    return await store.delete_rejects(found)


def _facts(event: StoredEvent) -> LeadFacts:
    try:
        payload: object = msgspec.json.decode(event.payload)
    except (msgspec.DecodeError, RecursionError):
        payload = None
    return facts_of(payload, lead_id=event.lead_id, hook_action=event.hook_action)
