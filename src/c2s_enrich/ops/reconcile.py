"""Asks C2S for the leads that no webhook reported and puts them into the queue.

C2S was never seen to retry a webhook, and a second subscription with our token ends ours silently.
Runs within C2S's rate limit, newest leads first, so it can be ended at any time. Our own message
changes a lead's time at C2S too: a lead with nothing new to tell makes no work.
"""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

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
# As many as C2S gives on one page.
_PAGE = 50
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


@dataclass(frozen=True)
class Known:
    """What we know of a lead that C2S lists. `has_event`: one of the listed time or a later one."""

    lead_id: str
    erased: bool
    has_event: bool
    name: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    email: str | None = field(repr=False)
    closed: bool
    told_fingerprint: str | None


Judgement = Literal["known", "unchanged", "erased", "unreadable", "missing"]
Listed = tuple[Mapping[str, object], LeadFacts]


async def reconcile(
    pool: Pool, listed: LeadList, keys: HashKeys, since: timedelta, dry_run: bool = False
) -> Report:
    """One event for each change we do not have. Raises UpstreamError, and keeps what it found."""
    sql = Statements(pool, "reconcile")
    [(start,)] = await sql.rows("start_of", since=since)
    found: Counter[Judgement] = Counter()
    missing: list[Missing] = []
    inserted = 0
    async for page in _pages(listed(start)):
        given = [facts for _, facts in page if facts.lead_id and facts.updated_at is not None]
        rows = await sql.read(
            Known,
            "compare_leads",
            lead_ids=[facts.lead_id for facts in given],
            updated_ats=[facts.updated_at for facts in given],
        )
        known = {row.lead_id: row for row in rows}
        for lead, facts in page:
            judgement = _judgement(facts, known.get(facts.lead_id), keys)
            if judgement == "missing" and facts.updated_at is not None:
                change = Missing(facts.lead_id, facts.updated_at)
                try:
                    payload = msgspec.json.encode({"hook_action": HOOK_ACTION, "data": lead})
                    inserted += 0 if dry_run else await sql.touch(
                        "insert_missing", lead_id=change.lead_id, updated_at=change.updated_at,
                        payload=payload.decode(),
                    )  # fmt: skip
                # Half a surrogate pair, or JSON that the database does not take.
                except (ValueError, psycopg.DataError):
                    judgement = "unreadable"
                else:
                    missing.append(change)
            found[judgement] += 1
    return Report(
        since=start, looked_at=found.total(), known=found["known"], unchanged=found["unchanged"],
        erased=found["erased"], unreadable=found["unreadable"], missing=tuple(missing),
        inserted=inserted,
    )  # fmt: skip


def reconcile_duty(
    pool: Pool, listed: LeadList, settings: Settings
) -> Callable[[], Awaitable[None]]:
    """A duty of the poller: once in RECONCILE_EVERY (0: never) one poller reconciles. A turn that
    C2S refuses is made up for by the next, which looks back further than one interval.
    """

    async def duty() -> None:
        every, keys = settings.reconcile_every, settings.hash_keys
        if not every or not await take_turn(pool, HOOK_ACTION, every):
            return
        try:
            report = await reconcile(pool, listed, keys, every * _INTERVALS_BACK)
        except EnrichError as error:
            _log.warning("reconcile_gave_up", error=redact_error(error))
        else:
            tell = _log.warning if report.inserted else _log.info
            tell(
                "reconciled", looked_at=report.looked_at, missing=len(report.missing),
                inserted=report.inserted, unreadable=report.unreadable,
            )  # fmt: skip

    return duty


def _judgement(facts: LeadFacts, known: Known | None, keys: HashKeys) -> Judgement:
    if facts.updated_at is None or known is None:
        return "unreadable"
    if known.erased:
        return "erased"
    if known.has_event:
        return "known"
    merged = facts.filled_from(
        LeadFacts(facts.lead_id, name=known.name, phone=known.phone, email=known.email)
    )
    told = known.told_fingerprint in fingerprints(read_contacts(merged), merged.name, keys)
    return "unchanged" if told and facts.closed == known.closed else "missing"


async def _pages(leads: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[list[Listed]]:
    """Each lead once: while the pages are read, a change can move a lead to another one."""
    page: list[Listed] = []
    seen: set[str] = set()
    async for lead in leads:
        facts = LeadFacts.from_json(lead) or LeadFacts("")
        if facts.lead_id in seen:
            continue
        if facts.lead_id:
            seen.add(facts.lead_id)
        page.append((lead, facts))
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page
