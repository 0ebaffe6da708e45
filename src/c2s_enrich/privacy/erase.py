"""Removes a lead, or a person with all leads, from every table, at their wish (LGPD, art. 18).
Cannot be undone.

`places.py` says what stays and why; a receipt that names nobody stays too. A later delivery in
which not even the lead's id can be read is kept as rejected until its age or another erasure
removes it. C2S, Diretrix and the Work API keep their own data.

Work in flight ends: the events are settled as completed, outcome `erased`, and their lease tokens
raised, so their pollers can store nothing more of the lead. Only a message whose request has
already left cannot be called back.

By lead: people who also belong to another lead stay, with what that lead needs of them. By CPF:
everything, with every lead that is linked to the CPF or names it, and every lead that one of the
person's own contacts reaches, at rest or under way. A contact that leads to somebody else too (a
family's phone, a switchboard) is followed only when the operator names it. A new lead of the same
person is a new matter, unless they are suppressed.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, Statements, statements
from c2s_enrich.enrichment.extract import facts_in
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.traces import Traces, needles

# What is removed or emptied, in this order: its table, as the receipt names it, and the statement.
_REMOVALS = (
    ("webhook_events", "empty_events"),
    ("event_attempts", "empty_attempts"),
    ("lead_messages", "withdraw_messages"),
    ("lead_messages", "empty_messages"),
    ("leads", "delete_leads"),
    # Before the answers: who is still linked then is needed by another lead.
    ("lead_people", "unlink_people"),
    ("contact_lookups", "delete_lookups"),
    ("answers_under_way", "delete_questions"),
    ("person_phones", "delete_phones"),
    ("person_emails", "delete_emails"),
    ("person_addresses", "delete_addresses"),
    ("person_companies", "delete_companies"),
    ("people", "delete_people"),
    ("rejected_deliveries", "delete_rejects"),
    ("operator_actions", "forget_reasons"),
)
_ROWS_AT_ONCE = 200


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
    followed: bool
    lead_ids: tuple[str, ...]


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure reaches: leads by id or CPF, leads by each contact, and rows by table."""

    named: tuple[str, ...]
    by_contact: tuple[ReachedBy, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def lead_ids(self) -> list[str]:
        reached = {each for one in self.by_contact if one.followed for each in one.lead_ids}
        return sorted(reached.union(self.named))


async def plan_erasure(
    pool: Pool, *, lead_id: str | None = None, cpf: Cpf | None = None, follow: Collection[str] = ()
) -> ErasurePlan:
    """What `erase` would do: does it, and rolls it back. `follow`: shared contacts that count."""
    async with pool.connection() as connection, connection.transaction(force_rollback=True):
        return await _erase(connection, lead_id, cpf, follow)


async def erase(
    pool: Pool, *, lead_id: str | None = None, cpf: Cpf | None = None, follow: Collection[str] = ()
) -> ErasureReceipt:
    """Erases one lead, or one person with all their leads. Raises ValueError unless exactly one of
    the two is given. May be repeated: a second time it finds nothing and says so.
    """
    async with pool.connection() as connection, connection.transaction():
        done = await _erase(connection, lead_id, cpf, follow)
        asked_by = "cpf" if cpf else "lead"
        [(receipt_id, erased_at)] = await Statements(connection, "privacy").rows(
            "write_receipt", asked_by=asked_by, counts=msgspec.json.encode(done.counts).decode()
        )
    subjects = [f"lead {each}" for each in done.lead_ids] + ([f"cpf {cpf.digits}"] if cpf else [])
    return ErasureReceipt(receipt_id, erased_at, asked_by, done.counts, tuple(subjects))


async def erase_again(pool: Pool, keys: HashKeys, hashes: Collection[str]) -> list[ErasureReceipt]:
    """After a restore: repeats the erasures whose subjects' hashes were kept."""
    kept = frozenset(hashes)
    async with pool.connection() as connection, connection.transaction():
        subjects = [
            (kind, value)
            async for kind, value in _stream(connection, "known_subjects")
            if not kept.isdisjoint(keys.hashes("erased", f"{kind} {value}"))
        ]
    return [
        await erase(pool, lead_id=value) if kind == "lead" else await erase(pool, cpf=Cpf(value))
        for kind, value in sorted(subjects)
    ]


async def export(pool: Pool, cpf: Cpf) -> dict[str, Any]:
    async with pool.connection() as connection, connection.transaction():
        reached = await _reach(connection, cpf, ())
        [(held,)] = await Statements(connection, "privacy").rows(
            "export_person", cpf=cpf.digits, lead_ids=reached.lead_ids
        )
        return dict(held)


async def _reach(connection: Connection, cpf: Cpf, follow: Collection[str]) -> ErasurePlan:
    """Leads by the CPF, and by each contact of the person; no row is counted yet."""
    sql, digits = Statements(connection, "privacy"), cpf.digits
    by_cpf = {lead_id for (lead_id,) in await sql.rows("leads_of_person", cpf=digits)}
    shared = dict(await sql.rows("contacts_of_person", cpf=digits)) | dict.fromkeys(follow, False)
    reached: dict[str, set[str]] = {contact: set() for contact in shared}
    ways = [(by_cpf, Traces(cpfs=[digits]))]
    ways += [(found, Traces(contacts=[contact])) for contact, found in reached.items()]
    searched = needles(contacts=shared, cpfs=[digits])
    async for lead_id, text in _stream(connection, "texts_naming", needles=searched):
        raw = text.encode(errors="replace")
        for found, traces in ways:
            if lead_id not in found and traces.name_a_person(raw):
                found.add(lead_id)
    by_contact = [
        ReachedBy(contact, not is_shared, tuple(sorted(reached[contact])))
        for contact, is_shared in shared.items()
    ]
    return ErasurePlan(tuple(sorted(by_cpf)), tuple(by_contact))


async def _erase(
    connection: Connection, lead_id: str | None, cpf: Cpf | None, follow: Collection[str]
) -> ErasurePlan:
    """In this order: find, close, lock, read what there is to look for, remove."""
    if (lead_id is None) == (cpf is None):
        raise ValueError("erase needs either a lead id or a CPF")
    sql = Statements(connection, "privacy")
    plan = await _reach(connection, cpf, follow) if cpf else ErasurePlan((str(lead_id),))
    lead_ids, followed = plan.lead_ids, {one.contact for one in plan.by_contact if one.followed}
    # What the statements are given, as far as it is known.
    known: dict[str, Any] = {"lead_ids": lead_ids, "followed": followed}
    known["cpf"] = cpf.digits if cpf else None

    counts = Counter({"erased_leads": await sql.touch("close_leads", **known)})
    events = await sql.rows("lock_events", **known)
    known["event_ids"] = [event_id for event_id, *_ in events]
    facts = [LeadFacts(*row) for row in await sql.rows("lock_leads", **known)]
    facts += [
        facts_in(payload, lead_id=lead, hook_action=hook) for _, lead, hook, payload in events
    ]
    contacts = {key for each in facts for key in read_contacts(each).keys} | followed
    contacts.update(*(told for (told,) in await sql.rows("told_of_leads", **known)))
    known["contacts"] = contacts
    known["cpfs"] = sorted(each for (each,) in await sql.rows("people_to_erase", **known))
    everywhere = contacts.union(*await sql.rows("contacts_of_people", **known))
    known["needles"] = needles(contacts=everywhere, cpfs=known["cpfs"])
    traces = Traces(lead_ids=lead_ids, contacts=everywhere, cpfs=known["cpfs"])
    known["reject_ids"] = [
        reject_id
        async for reject_id, lead, raw in _stream(connection, "rejects")
        if lead in lead_ids
        or traces.name_a_lead(raw)
        # A lead's erasure leaves deliveries that belong to another lead.
        or ((cpf or lead is None) and traces.name_a_person(raw))
    ]

    for table, statement in _REMOVALS:
        counts[table] += await sql.touch(statement, **known)
    return replace(plan, counts=counts)


async def _stream(
    connection: Connection, name: str, **params: Any
) -> AsyncIterator[tuple[Any, ...]]:
    """The rows of a large answer, a few in memory at a time."""
    async with connection.cursor(name=name) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        await cursor.execute(statements("privacy")[name], params)
        async for row in cursor:
            yield row
