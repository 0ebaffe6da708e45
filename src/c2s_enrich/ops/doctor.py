"""What `doctor` checks: settings, the database and what stands between, the service, and on request
the upstreams and what a production needs. Each check is one sentence, good or bad.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import psycopg

from c2s_enrich.database import statements
from c2s_enrich.errors import EnrichError, SettingsError
from c2s_enrich.migrations import all_migrations, pending
from c2s_enrich.ops.problems import problems_of
from c2s_enrich.ops.store import Facts, OpsStore
from c2s_enrich.options import Secret
from c2s_enrich.redaction import redact_error
from c2s_enrich.sessions import is_pooled
from c2s_enrich.settings import Process, Settings, misspelt

_SECONDS = 5.0
_CLOCK_SECONDS = 2.0
_OLDEST_SERVER, _NEWEST_SERVER = 14, 18
_LONG_SECRET = 20


@dataclass(frozen=True)
class Check:
    """`good` is None for what is only worth knowing."""

    area: Literal["settings", "database", "service", "online", "production"]
    good: bool | None
    sentence: str


def check_settings(env: Mapping[str, str]) -> Iterator[Check]:
    """Whether web and poller could start with this environment."""
    processes: tuple[Process, ...] = ("web", "poller")
    for process in processes:
        try:
            Settings.load(env, process)
        except SettingsError as error:
            for problem in error.problems:
                yield Check("settings", False, f"{process}: {problem}")
        else:
            yield Check("settings", True, f"{process}: its settings are complete")
    for sentence in misspelt(env):
        yield Check("settings", False, sentence)


async def check_database(settings: Settings) -> AsyncIterator[Check]:
    """The server at both addresses, and what stands between."""
    for name, address in (
        ("DATABASE_URL", settings.database_url),
        ("DATABASE_URL_DIRECT", settings.database_url_direct),
    ):
        if not address:
            continue
        try:
            async with asyncio.timeout(_SECONDS):
                async for check in _check_server(name, address, settings):
                    yield check
        except (psycopg.Error, TimeoutError, OSError) as error:
            yield Check("database", False, f"{name}: cannot be asked: {redact_error(error)}")
            return
    try:
        missing = await pending(settings.direct_url.reveal())
    except (EnrichError, psycopg.Error) as error:
        yield Check("database", False, redact_error(error))
        return
    if missing:
        yield Check("database", False, f"{len(missing)} migrations to apply: c2s-enrich migrate")
    else:
        yield Check("database", True, "its schema is up to date")


async def _check_server(name: str, address: Secret, settings: Settings) -> AsyncIterator[Check]:
    connection = await psycopg.AsyncConnection.connect(
        address.reveal(), autocommit=True, application_name="c2s-enrich doctor"
    )
    async with connection:
        row = await (await connection.execute(statements("ops")["server"])).fetchone()
        assert row is not None  # noqa: S101 a select without from has one row
        major, encoding, read_only, encrypted, now = row
        pooled = await is_pooled(connection, address)
    version = f"{name}: Postgres {major}"
    if _OLDEST_SERVER <= major <= _NEWEST_SERVER:
        yield Check("database", True, f"{version} answers")
    else:
        yield Check("database", False, f"{version} is not one of 14 to 18")
    if encoding != "UTF8":
        yield Check("database", False, f"{name}: its encoding is {encoding}, UTF8 is needed")
    if read_only:
        yield Check("database", False, f"{name}: it takes no writes")
    apart = abs((datetime.now(UTC) - now).total_seconds())
    if apart > _CLOCK_SECONDS:
        yield Check(
            "database", False, f"{name}: its clock and this machine's are {apart:.0f} s apart"
        )
    if pooled and (name == "DATABASE_URL_DIRECT" or not settings.database_url_direct):
        yield Check(
            "database",
            False,
            f"{name} is a transaction pooler and hears no LISTEN: set DATABASE_URL_DIRECT to the "
            "server itself",
        )
    if not encrypted:
        yield Check(
            "production", False, f"{name}: the connection is not encrypted (sslmode=require)"
        )


async def check_service(store: OpsStore) -> AsyncIterator[Check]:
    """What /health says."""
    (queue, upstreams), (hour, silence, rates) = await store.now(), await store.lately()
    problems = problems_of(Facts(queue, upstreams, hour, silence, rates))
    newest = await store.newest_migration()
    if newest > all_migrations()[-1].version:
        sentence = f"the database is at migration {newest}: a newer program made it so"
        yield Check("database", False, sentence)
    for problem in problems:
        more = f" {problem.detail}" if problem.detail else ""
        yield Check("service", False, f"{problem.sentence}{more} → {problem.command}")
    if not queue.pollers_beating and "no_poller" not in {each.code for each in problems}:
        yield Check("service", False, "No poller is running → c2s-enrich poller")
    elif not problems:
        yield Check("service", True, f"healthy, {queue.pollers_beating} pollers")


async def check_visibility(store: OpsStore) -> Check:
    """Whether a person has looked who can see a message on a lead: it contains a CPF."""
    who = await store.visible_to()
    if who is None:
        return Check(
            "production",
            False,
            "nobody has recorded who can see a message on a lead → c2s-enrich messages visible-to",
        )
    if who == "customers":
        return Check("production", False, "customers can see the messages: do not send any")
    return Check("production", True, "a person recorded that only sellers see the messages")


async def check_calls(calls: Mapping[str, Callable[[], Awaitable[str]]]) -> AsyncIterator[Check]:
    """Each upstream answers our credential; the calls say what they learnt."""
    for name, call in calls.items():
        try:
            yield Check("online", True, f"{name}: {await call()}")
        except EnrichError as error:
            yield Check("online", False, redact_error(error))


def check_production(settings: Settings, env: Mapping[str, str]) -> Iterator[Check]:
    """What a person should have decided before customers are at stake."""
    for good, sentence in (
        (
            env.get("WORK_API_DAILY_BUDGET", "").strip() != "",
            "WORK_API_DAILY_BUDGET is written down (0 = unlimited is a choice)",
        ),
        (
            all(
                each.startswith("https://")
                for each in (
                    settings.c2s_base_url,
                    settings.work_api_base_url,
                    settings.diretrix_base_url,
                    settings.c2s_gateway_url or "https://",
                )
            ),
            "every upstream is called by https:// (http:// shows passwords and contacts)",
        ),
        (
            len(settings.webhook_secret.reveal()) >= _LONG_SECRET,
            f"WEBHOOK_SECRET has at least {_LONG_SECRET} characters",
        ),
        (not settings.insecure, "INSECURE is off"),
        (settings.delivery == "send", "DELIVERY is send: shadow mode tells nobody anything"),
        (bool(settings.admin_token), "ADMIN_TOKEN is set: /health tells operators the details"),
        (
            bool(settings.alert_webhook_url),
            "ALERT_WEBHOOK_URL is set, for web too: a dead poller cannot say that it is dead",
        ),
        (settings.log_format == "json", "LOG_FORMAT is json"),
    ):
        yield Check("production", good, sentence)
