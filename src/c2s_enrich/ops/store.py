"""What the database knows about the service as a whole: numbers and upstreams, no lead."""

from dataclasses import dataclass, field
from typing import Any

from psycopg import errors

from c2s_enrich.database import Pool, Statements
from c2s_enrich.migrations import behind
from c2s_enrich.sessions import session_problem


@dataclass(frozen=True)
class QueueHealth:
    """Seconds are None where nothing is due; `waiting` and `rejects_waiting` end at 10,000."""

    oldest_due_seconds: float | None = None
    waiting: int = 0
    in_flight: int = 0
    leases_over: int = 0
    pollers_beating: int = 1
    pollers_silent: int = 0
    messages_pending: int = 0
    messages_sending: int = 0
    messages_unclear: int = 0
    messages_to_look_up: int = 0
    read_back_unproven: bool = False
    rejects_waiting: int = 0
    read_only: bool = False
    guards_off: str = ""


@dataclass(frozen=True)
class UpstreamHealth:
    """A budget of 0 is none. `waiting` counts the events that wait for it, up to 10,000; `put_off`
    those that are due long after its pause, up to 1,000.
    """

    name: str
    paused_seconds: float | None = None
    reason: str | None = None
    calls_today: int = 0
    daily_budget: int = 0
    waiting: int = 0
    put_off: int = 0


@dataclass(frozen=True)
class LastHour:
    """Events that ended. `failed_kinds` reads "3 lead_not_found, 1 bug"; `muted` are not in
    `failed`. `rejects_share` is the part of their room that rejects fill. `unproven` names sources
    whose "not found" was a web page: "2 diretrix".
    """

    ended: int = 0
    failed: int = 0
    failed_kinds: str | None = None
    claims_lost: int = 0
    rejects_share: float = 0.0
    unproven: str | None = None
    muted: int = 0


@dataclass(frozen=True)
class LastWebhook:
    """Since the last webhook; `usual` is what the same hours of `weeks` earlier weeks brought."""

    silent_seconds: float
    weeks: int
    usual: float | None
    business_hours: float


@dataclass(frozen=True)
class HitRate:
    """Found among a source's latest 50 answers, and the up to 500 before; `fell`: not by chance."""

    source: str
    kind: str
    latest: int
    latest_found: int
    earlier: int
    earlier_found: int
    fell: bool


@dataclass(frozen=True)
class Facts:
    """All of it, as /health, the metrics and the alerts read it."""

    queue: QueueHealth = QueueHealth()
    upstreams: list[UpstreamHealth] = field(default_factory=list)
    hour: LastHour = LastHour()
    silence: LastWebhook | None = None
    rates: list[HitRate] = field(default_factory=list)


class OpsStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = Statements(pool, "ops")
        self._people = Statements(pool, "people")

    async def facts(self) -> Facts:
        queue, upstreams = await self.now()
        return Facts(queue, upstreams, *await self.lately())

    async def now(self) -> tuple[QueueHealth, list[UpstreamHealth]]:
        """What changes by the second; two look-ups in indexes."""
        [numbers] = await self._sql.read(QueueHealth, "health_queue")
        return numbers, await self._sql.read(UpstreamHealth, "health_upstreams")

    async def lately(self) -> tuple[LastHour, LastWebhook | None, list[HitRate]]:
        """What takes a while to change and some milliseconds to count."""
        [hour] = await self._sql.read(LastHour, "health_last_hour")
        silence = await self._sql.one(LastWebhook, "health_silence")
        return hour, silence, await self._people.read(HitRate, "hit_rates")

    async def set_up(self) -> tuple[str | None, str | None, bool]:
        """Who sees messages (None: nobody looked), C2S's hook address, whether web posts alerts."""
        [(visible_to, hook, web_alerts)] = await self._sql.rows("set_up")
        return visible_to, hook, web_alerts

    async def unfit(self, schema: int) -> tuple[str | None, str | None]:
        """Why no session can work here, and how the database is behind `schema`; else None."""
        async with self._pool.connection() as connection:
            problem = await session_problem(connection)
        return problem, behind(await self.newest_migration(), schema)

    async def newest_migration(self) -> int:
        """The version that the database is at; 0 before the first."""
        try:
            [(version,)] = await self._sql.rows("newest_migration")
        except errors.UndefinedTable:
            return 0
        return int(version or 0)

    async def subscriptions(self) -> list[dict[str, Any]]:
        """Each action with the address and the time that this database last asked C2S for."""
        return await self._sql.read(dict, "subscriptions")

    async def subscribed(self, action: str, address: str) -> None:
        """Remembers what C2S was asked for; an empty address ended it."""
        await self._sql.touch("subscribed", action=action, address=address)
