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

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from c2s_enrich.connection import Connection
from c2s_enrich.database import Pool, Statements, statements
from c2s_enrich.enrichment.extract import facts_of
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.people.cpf import Cpf
from c2s_enrich.privacy.traces import Traces, needles

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
        asked_by = "lead" if cpf is None else "cpf"
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
    linked = await sql.rows("leads_of_person", cpf=digits, question=f"work_api cpf {digits}")
    by_cpf = {lead_id for (lead_id,) in linked}
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

    closed = await sql.touch("close_leads", lead_ids=lead_ids)
    events = await sql.rows("lock_events", lead_ids=lead_ids)
    facts = [LeadFacts(*row) for row in await sql.rows("lock_leads", lead_ids=lead_ids)]
    facts += [_facts(*event) for _, *event in events]
    contacts = {key for each in facts for key in read_contacts(each).keys} | followed
    contacts.update(*(told for (told,) in await sql.rows("told_of_leads", lead_ids=lead_ids)))
    people = await sql.rows(
        "people_to_erase", lead_ids=lead_ids, contacts=contacts, cpf=cpf.digits if cpf else None
    )
    cpfs = sorted(each for (each,) in people)
    theirs = await sql.rows("contacts_of_people", cpfs=cpfs)
    everywhere = contacts | {contact for (contact,) in theirs}
    traces = Traces(lead_ids=lead_ids, contacts=everywhere, cpfs=cpfs)

    of_leads: dict[str, Any] = {"lead_ids": lead_ids}
    of_events = {"event_ids": [event_id for event_id, *_ in events]}
    withdrawn = await sql.touch("withdraw_messages", **of_leads)
    counts = {
        "erased_leads": closed,
        "webhook_events": await sql.touch("empty_events", **of_leads),
        "event_attempts": await sql.touch("empty_attempts", **of_events),
        "lead_messages": withdrawn + await sql.touch("empty_messages", **of_leads),
        "leads": await sql.touch("delete_leads", **of_leads),
        # Before the answers: who is still linked then is needed by another lead.
        "lead_people": await sql.touch("unlink_people", cpfs=cpfs, **of_leads),
        "contact_lookups": await sql.touch("delete_lookups", contacts=contacts, cpfs=cpfs),
        "answers_under_way": await sql.touch(
            "delete_questions", cpfs=cpfs, contacts=followed, **of_events
        ),
        **(await sql.read(dict, "delete_people", cpfs=cpfs))[0],
        "rejected_deliveries": await sql.touch(
            "delete_rejects", ids=await _rejects(connection, lead_ids, traces, cpf)
        ),
        "operator_actions": await sql.touch(
            "forget_reasons", needles=needles(contacts=everywhere, cpfs=cpfs)
        ),
    }
    return replace(plan, counts=counts)


async def _rejects(
    connection: Connection, lead_ids: Sequence[str], traces: Traces, cpf: Cpf | None
) -> list[UUID]:
    """A lead's erasure leaves deliveries that belong to another lead."""
    found = []
    async for reject_id, lead_id, raw in _stream(connection, "rejects"):
        others = cpf is None and lead_id is not None and lead_id not in lead_ids
        if (
            lead_id in lead_ids
            or traces.name_a_lead(raw)
            or (not others and traces.name_a_person(raw))
        ):
            found.append(reject_id)
    return found


async def _stream(
    connection: Connection, name: str, **params: Any
) -> AsyncIterator[tuple[Any, ...]]:
    """The rows of a large answer, a few in memory at a time."""
    async with connection.cursor(name=name) as cursor:
        cursor.itersize = _ROWS_AT_ONCE
        await cursor.execute(statements("privacy")[name], params)
        async for row in cursor:
            yield row


def _facts(lead_id: str, hook_action: str | None, payload: str) -> LeadFacts:
    try:
        content: object = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        content = None
    return facts_of(content, lead_id=lead_id, hook_action=hook_action)
