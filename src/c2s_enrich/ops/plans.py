"""Bulk actions, always in two steps: a plan that says what would happen, then its run in batches.

The plan changes nothing but its own row in `operator_actions`, which is also the audit. A run
leaves out what is in flight or has changed meanwhile.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self, cast
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from c2s_enrich.database import Pool, Statements
from c2s_enrich.enrichment.remember import forget_answers
from c2s_enrich.errors import EnrichError
from c2s_enrich.ops.filters import Filter
from c2s_enrich.people.c2s_lead import LeadFacts
from c2s_enrich.people.contact import read_contacts
from c2s_enrich.redaction import redact, redact_error
from c2s_enrich.telemetry.lines import get_logger

Verb = Literal["reprocess", "fail", "delivered", "not_delivered"]
Via = Literal["cli", "api", "console"]

BATCH = 500
# A plan's events, oldest first: as many as are counted one by one within a page's two seconds.
MOST = 50_000
# Leads whose contacts are read for the estimate of paid calls; beyond it the rest is like these.
_SAMPLE = 1000
# What does a batch. Each answers events seen and done, and the mark behind which the next begins.
_BATCHES: dict[Verb, str] = {
    "reprocess": "reprocess_batch", "fail": "fail_batch",
    "delivered": "judge_batch", "not_delivered": "judge_batch",
}  # fmt: skip
_NOTHING = (0, 0, None, None)

_log = get_logger("c2s_enrich.plans")


class PlanGone(EnrichError):
    """The plan is unknown, older than 15 minutes, or was run before: make a new one."""


@dataclass(frozen=True)
class Order:
    """What is asked for. `limit` counts events, oldest first; at most MOST are taken."""

    verb: Verb
    chosen: Filter
    fresh: bool = False
    limit: int | None = None
    reason: str | None = None

    @property
    def scope(self) -> Filter:
        """Ids apply in any state. Without ids, failed events are meant unless a word says which."""
        if {"event", "status", "outcome", "waiting", "reason"} & self.chosen.words.keys():
            return self.chosen
        return replace(self.chosen, status="received" if self.verb == "fail" else "failed")

    @property
    def words(self) -> dict[str, Any]:
        more = {"fresh": self.fresh or None, "limit": self.limit}
        return self.scope.words | {name: value for name, value in more.items() if value}

    @classmethod
    def of(cls, plan: "PlanState") -> Self:
        words = dict(plan.filter)
        fresh, limit = words.pop("fresh", False), words.pop("limit", None)
        if "event" in words:
            words["event"] = tuple(words["event"])
        return cls(cast(Verb, plan.verb), Filter(**words), fresh, limit, plan.reason)


@dataclass(frozen=True)
class Group:
    state: str
    error_group: str | None
    error: str | None
    events: int
    leads: int
    in_flight: int
    first_at: datetime
    newest_at: datetime
    example: UUID


@dataclass(frozen=True)
class Plan:
    """What a run would do. `events` leaves out `in_flight`; paid calls and minutes are at most;
    `budget_left` names upstreams with a daily budget. Where more than MOST events match, `filter`
    has that limit: the oldest are taken, and the next plan takes the rest.
    """

    id: UUID
    at: datetime
    verb: Verb
    filter: dict[str, Any]
    events: int
    leads: int
    in_flight: int
    groups: tuple[Group, ...]
    paid_calls: dict[str, int]
    remembered: int
    budget_left: dict[str, int]
    told_before: int
    minutes: float


@dataclass(frozen=True)
class PlanState:
    """The audit's row: planned, running, done or stopped. What is done at once is one, too."""

    id: UUID
    at: datetime
    actor: str
    via: str
    verb: str
    filter: dict[str, Any]
    reason: str | None
    state: str
    planned: int
    done: int
    skipped: int
    ended_at: datetime | None


class Planner:
    def __init__(self, pool: Pool, *, actor: str, via: Via) -> None:
        self._pool = pool
        self._sql = Statements(pool, "plans", prepare=False)
        self._who = {"actor": actor, "via": via}

    async def plan(self, order: Order) -> Plan:
        estimate = await self.estimate(order)
        [(plan_id, at)] = await self._sql.rows(
            "keep_plan", verb=order.verb, filter=Jsonb(estimate["filter"]),
            reason=_masked(order.reason), planned=estimate["events"], **self._who,
        )  # fmt: skip
        return Plan(plan_id, at, **estimate)

    async def estimate(self, order: Order) -> dict[str, Any]:
        """The fields of a Plan, without writing it down."""
        most = min(order.limit or MOST, MOST)
        every, *groups = await self._sql.read(
            dict, "plan_groups", filter=order.scope.parameter, most=most, sample=_SAMPLE
        )
        sample = await self._sql.read(dict, "plan_leads", leads=every["some_leads"])
        if every["events"] == most:
            order = replace(order, limit=most)
        return {
            "verb": order.verb,
            "filter": order.words,
            "events": every["events"] - every["in_flight"],
            "in_flight": every["in_flight"],
            "groups": msgspec.convert(groups, tuple[Group, ...]),
            **await self._cost(order, sample, every["leads"]),
        }

    async def run(
        self, plan_id: UUID, progress: Callable[[int, int], Awaitable[bool]] | None = None
    ) -> PlanState:
        """Runs it once. `progress` hears events seen and done; False stops it. Raises PlanGone."""
        plan = await self._sql.one(PlanState, "begin_plan", id=plan_id)
        if plan is None:
            raise PlanGone("this plan is unknown, too old, or was run before: make a new one")
        order = Order.of(plan)
        statement, most = _BATCHES[order.verb], order.limit or MOST
        batch: dict[str, Any] = {
            "filter": order.chosen.parameter, "planned_at": plan.at, "reason": plan.reason,
            "there": order.verb == "delivered", "after_at": "-infinity", "after_id": UUID(int=0),
        }  # fmt: skip
        seen = done = 0
        state, going_on = "stopped", True
        try:
            while going_on:
                batch["batch"] = size = min(BATCH, most - seen)
                if order.fresh:
                    leads = await self._sql.rows("batch_leads", **batch)
                    await forget_answers(self._pool, [lead_id for (lead_id,) in leads])
                rows = await self._sql.rows(statement, **batch)
                now_seen, now_done, batch["after_at"], batch["after_id"] = (rows or [_NOTHING])[0]
                seen, done = seen + now_seen, done + now_done
                over = now_seen < size or seen >= most
                going_on = not over and (progress is None or await progress(seen, done))
                [(running,)] = await self._sql.rows(
                    "count_batch", id=plan_id, done=now_done, skipped=now_seen - now_done
                )
                state, going_on = "done" if over else state, going_on and running
        finally:
            [ended] = await self._sql.read(PlanState, "end_plan", id=plan_id, state=state)
        return ended

    async def stop(self, plan_id: UUID) -> bool:
        """Stops a run after the batch that it is in. False: it is over, or unknown."""
        return await self._sql.touch("stop_plan", id=plan_id) > 0

    async def state(self, plan_id: UUID) -> PlanState | None:
        """How far it is; None where there is no such plan."""
        return await self._sql.one(PlanState, "plan_states", id=plan_id, after=None, limit=1)

    async def states(self, limit: int, after: UUID | None = None) -> list[PlanState]:
        """What was planned and done, newest first, from behind the plan `after`."""
        return await self._sql.read(PlanState, "plan_states", id=None, after=after, limit=limit)

    async def may_record(self) -> None:
        """Raises InsufficientPrivilege where this login may not write what it does."""
        await self._sql.touch("may_record")

    async def record(self, verb: str, words: dict[str, Any], reason: str | None = None) -> None:
        """The audit's row for something that is done to one thing at once."""
        action = {"verb": verb, "filter": Jsonb(words), "reason": _masked(reason), **self._who}
        await self._sql.touch("record_action", **action)

    async def _cost(
        self, order: Order, rows: Sequence[dict[str, Any]], leads: int
    ) -> dict[str, Any]:
        """Paid calls, minutes, who was told: at most, by these rows of some of the leads."""
        scale = leads / max(len(rows), 1)
        limits = await self._sql.rows("plan_limits")
        lookups = records = remembered = 0
        calls: dict[str, int] = {}
        if order.verb == "reprocess" and rows:
            facts = [LeadFacts(r["lead_id"], r["name"], r["phone"], r["email"]) for r in rows]
            contacts = [read_contacts(each).keys for each in facts]
            keys_asked = {key for keys in contacts for key in keys if not order.fresh}
            known = {key for (key,) in await self._sql.rows("fresh_contacts", contacts=keys_asked)}
            for row, keys in zip(rows, contacts, strict=True):
                fresh_people = 0 if order.fresh else row["fresh_people"]
                # Of a lead that nobody has worked on yet: a phone and an e-mail at most.
                unknown = sum(key not in known for key in keys) if keys else 2
                lookups += unknown
                records += max(row["people"], min(unknown, 2)) - fresh_people
                remembered += len(known.intersection(keys)) + fresh_people
            calls = {"diretrix": round(lookups * scale), "work_api": round(records * scale)}
        asked = {**calls, "c2s": leads} if calls else {}
        longest = max([asked.get(name, 0) * every for name, every, _ in limits], default=0.0)
        return {
            "leads": leads,
            "paid_calls": calls,
            "remembered": round(remembered * scale),
            "minutes": round(longest / 60, 1),
            "told_before": round(sum(row["told"] for row in rows) * scale),
            "budget_left": {name: left for name, _, left in limits if left is not None},
        }


def _masked(reason: str | None) -> str | None:
    return redact(reason or "")[:300] or None


class Runs:
    """A short run is answered with its end; of a longer one the plan tells how far it is."""

    def __init__(self, wait_seconds: float = 5.0) -> None:
        self._wait_seconds = wait_seconds
        self._tasks: set[asyncio.Task[PlanState]] = set()

    async def run(self, planner: Planner, plan_id: UUID) -> PlanState | None:
        """Its end; None where it goes on. Raises PlanGone."""
        task = asyncio.create_task(planner.run(plan_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait({task}, timeout=self._wait_seconds)
        if task.done():
            return task.result()
        task.add_done_callback(_tell_failure)
        return None

    async def close(self) -> None:
        """Cancels them; their plans say `stopped`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _tell_failure(task: asyncio.Task[PlanState]) -> None:
    """Nobody waits for this run any more: how it failed stands in the log."""
    if not task.cancelled() and (error := task.exception()):
        _log.error("plan_failed", error=redact_error(error))
