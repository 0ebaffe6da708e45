"""Asks C2S for the leads that no webhook reported and puts them into the queue.

C2S was never seen to retry a webhook, and a second subscription with our token ends ours silently.
Runs within C2S's rate limit, newest leads first, so it can be ended at any time. Our own message
changes a lead's time at C2S too: a lead with nothing new to tell makes no work.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import psycopg

from c2s_enrich.database import Pool, Statements
from c2s_enrich.errors import EnrichError
from c2s_enrich.hashing import HashKeys
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import fingerprints, read_contacts
from c2s_enrich.queue.duties import take_turn
from c2s_enrich.redaction import redact_error
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import get_logger

HOOK_ACTION = "reconcile"
# By schedule: an interval that was skipped, because C2S was away, is made up for.
_INTERVALS_BACK = 3

_log = get_logger("c2s_enrich.reconcile")

LeadList = Callable[[datetime], AsyncIterator[Mapping[str, object]]]
"""Leads changed at or after a time, newest first, as C2S's own JSON objects."""


def one_lead(read: Callable[[str], Awaitable[Mapping[str, object]]], lead_id: str) -> LeadList:
    """A list with one lead in it, whenever it changed."""

    async def listed(_: datetime) -> AsyncIterator[Mapping[str, object]]:
        yield await read(lead_id)

    return listed


@dataclass(frozen=True)
class Missing:
    lead_id: str
    updated_at: datetime


@dataclass(frozen=True)
class Report:
    """What was found. `looked_at` = known + unchanged + erased + unreadable + missing.

    `known`: there is an event of that time or a later one. `unchanged`: no event, but nothing new
    to tell either, most often our own message. `unreadable`: no id or time, or JSON that the
    database does not take. `inserted` is 0 after a dry run.
    """

    since: datetime
    looked_at: int
    known: int
    unchanged: int
    erased: int
    unreadable: int
    missing: tuple[Missing, ...]
    inserted: int


Judgement = Literal["known", "unchanged", "erased", "unreadable", "missing"]


async def reconcile(
    pool: Pool, listed: LeadList, keys: HashKeys, since: timedelta, dry_run: bool = False
) -> Report:
    """One event for each change we do not have. Raises UpstreamError, and keeps what it found."""
    sql = Statements(pool, "reconcile")
    [(start,)] = await sql.rows("start_of", since=since)
    found: Counter[Judgement] = Counter()
    missing: list[Missing] = []
    seen: set[str] = set()
    inserted = 0
    async for lead in listed(start):
        facts = LeadFacts.from_json(lead)
        if facts is None or facts.updated_at is None:
            found["unreadable"] += 1
            continue
        # While the pages are read, a change can move a lead to another one.
        if facts.lead_id in seen:
            continue
        seen.add(facts.lead_id)
        change = {"lead_id": facts.lead_id, "updated_at": facts.updated_at}
        [(verdict, *known)] = await sql.rows("compare_lead", **change)
        judgement: Judgement = verdict or _judgement(facts, known, keys)
        if judgement == "missing":
            try:
                payload = msgspec.json.encode({"hook_action": HOOK_ACTION, "data": lead}).decode()
                if not dry_run:
                    inserted += await sql.touch("insert_missing", payload=payload, **change)
                missing.append(Missing(facts.lead_id, facts.updated_at))
            # Half a surrogate pair, or JSON that the database does not take.
            except (ValueError, psycopg.DataError):
                judgement = "unreadable"
        found[judgement] += 1
    return Report(
        start, found.total(), found["known"], found["unchanged"], found["erased"],
        found["unreadable"], tuple(missing), inserted,
    )  # fmt: skip


def _judgement(facts: LeadFacts, known: Sequence[Any], keys: HashKeys) -> Judgement:
    """`known` is what we have heard of it: name, phone, email, closed, and what was told last."""
    *contact, closed, told_fingerprint = known
    merged = facts.filled_from(LeadFacts(facts.lead_id, *contact))
    told = told_fingerprint in fingerprints(read_contacts(merged), merged.name, keys)
    return "unchanged" if told and facts.closed == closed else "missing"


async def reconcile_duty(pool: Pool, listed: LeadList, settings: Settings) -> None:
    """A duty of the poller: once in RECONCILE_EVERY (0: never) one poller reconciles. A turn that
    C2S refuses is made up for by the next, which looks back further than one interval.
    """
    every = settings.reconcile_every
    if not every or not await take_turn(pool, HOOK_ACTION, every):
        return
    try:
        report = await reconcile(pool, listed, settings.hash_keys, every * _INTERVALS_BACK)
    except EnrichError as error:
        _log.warning("reconcile_gave_up", error=redact_error(error))
    else:
        tell = _log.warning if report.inserted else _log.info
        tell(
            "reconciled", looked_at=report.looked_at, missing=len(report.missing),
            inserted=report.inserted, unreadable=report.unreadable,
        )  # fmt: skip
