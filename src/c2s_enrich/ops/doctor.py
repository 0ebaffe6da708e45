"""What `doctor` checks. Each check is one sentence, good or bad."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import psycopg

from c2s_enrich.connection import Connection
from c2s_enrich.database import Statements
from c2s_enrich.errors import EnrichError, SettingsError
from c2s_enrich.migrations import all_migrations, pending
from c2s_enrich.ops.problems import problems_of
from c2s_enrich.ops.store import OpsStore
from c2s_enrich.options import Secret
from c2s_enrich.redaction import redact_error
from c2s_enrich.sessions import is_pooled, session_parameters
from c2s_enrich.settings import Process, Settings, misspelt
from c2s_enrich.upstreams.transport import ask_once

Area = Literal["settings", "database", "service", "online", "production"]
Call = Callable[[], Awaitable[object]]

_SECONDS, _ANSWER_SECONDS = 5.0, 4.0
_LONG_SECRET = 20
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
# Whose machine it is: a platform may give each process its own secrets only.
_SECRETS: dict[Process, tuple[str, ...]] = {
    "web": ("WEBHOOK_SECRET", "INSECURE"),
    "poller": ("C2S_TOKEN", "WORK_API_TOKEN", "DIRETRIX_USER", "HASH_KEY"),
}
# What may be wrong with a server: the area, the column that says so, the sentence.
_FINDINGS: tuple[tuple[Area, str, str], ...] = (
    ("database", "unknown", "Postgres {major} is not one of 14 to 18"),
    ("database", "badly_encoded", "its encoding is {encoding}, UTF8 is needed"),
    ("database", "read_only", "it takes no writes"),
    ("database", "late", "its clock and this machine's are {apart:.0f} s apart"),
    ("database", "deaf", "it is a transaction pooler and hears no LISTEN: set "
     "DATABASE_URL_DIRECT to the server itself"),
    ("production", "open", "the connection is not encrypted (sslmode=require)"),
    ("production", "off", "{off} = off: a crash of the server loses what was accepted"),
    ("production", "missing", "{missing} do not exist: create these roles, then run "
     "`select grant_roles()` as the owner"),
    ("production", "stranger",
     "its login has no role of ours: grant it c2s_web, c2s_poller or c2s_ops"),
    ("production", "web_creates", "c2s_web may create tables in our schema: as its owner run "
     "`revoke create on schema public from public`"),
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """`good` is None for what is only worth knowing."""

    area: Area
    good: bool | None
    sentence: str


def check_settings(env: Mapping[str, str]) -> Iterator[Check]:
    """Whether the processes whose secrets are here could start with this environment."""
    here = processes_of(env)
    for process, secrets in _SECRETS.items():
        if process not in here:
            sentence = f"{process}: not checked, {secrets[0]} is not set on this machine"
            yield Check("settings", None, sentence)
            continue
        try:
            Settings.load(env, process)
        except SettingsError as error:
            for problem in error.problems:
                yield Check("settings", False, f"{process}: {problem}")
        else:
            yield Check("settings", True, f"{process}: its settings are complete")
    for sentence in misspelt(env):
        yield Check("settings", False, sentence)


def processes_of(env: Mapping[str, str]) -> list[Process]:
    """The processes that this environment is for; all where it holds no secret of any."""
    return [p for p, names in _SECRETS.items() if any(map(env.get, names))] or list(_SECRETS)


async def check_database(settings: Settings) -> AsyncIterator[Check]:
    """The server at both addresses, and what stands between."""
    servers: list[dict[str, Any]] = []
    direct = settings.database_url_direct
    for name, address in (("DATABASE_URL", settings.database_url), ("DATABASE_URL_DIRECT", direct)):
        if not address:
            continue
        try:
            async with asyncio.timeout(_SECONDS):
                server = await _server(address)
        except (psycopg.Error, TimeoutError, OSError) as error:
            yield Check("database", False, f"{name}: cannot be asked: {redact_error(error)}")
            return
        servers.append(server)
        server["deaf"] = server["pooled"] and (name == "DATABASE_URL_DIRECT" or not direct)
        if not server["unknown"]:
            yield Check("database", True, f"{name}: Postgres {server['major']} answers")
        for area, column, sentence in _FINDINGS:
            if server[column]:
                yield Check(area, False, f"{name}: {sentence.format_map(server)}")
    if len({server["place"] for server in servers}) > 1:
        sentence = (
            "DATABASE_URL and DATABASE_URL_DIRECT are two databases: pollers have no pulse and hear"
            " no NOTIFY, and migrate changes the other one"
        )
        yield Check("database", False, sentence)
        return
    logins = [server["login"] for server in servers]
    if len(set(logins)) > 1:
        sentence = (
            f"DATABASE_URL logs in as {logins[0]} and DATABASE_URL_DIRECT as {logins[1]}: a poller"
            " that froze while it sent could not be ended by another. Use one login (migrations may"
            " have their own: OWNER_URL)"
        )
        yield Check("production", False, sentence)
    try:
        missing = await pending(settings.direct_url.reveal())
    except (EnrichError, psycopg.Error) as error:
        yield Check("database", False, redact_error(error))
        return
    lacks = f"it lacks {', '.join(missing)} → c2s-enrich migrate"
    yield Check("database", not missing, lacks if missing else "its schema is up to date")


async def _server(address: Secret) -> dict[str, Any]:
    """The row of `server`, and how it is reached."""
    connection = await Connection.connect(address.reveal(), **session_parameters("doctor"))
    connection.answer_within = _ANSWER_SECONDS
    connection.prepare_threshold = None  # it may be a pooler
    async with connection:
        sql, host = Statements(connection, "ops"), connection.info.host
        [server] = await sql.read(dict, "server", here=datetime.now(UTC))
        private = host.startswith("/") or host in _THIS_MACHINE
        server["open"] = not (connection.pgconn.ssl_in_use or private)
        server["pooled"] = await is_pooled(connection, address)
        return server


async def check_service(store: OpsStore) -> AsyncIterator[Check]:
    facts = await store.facts()
    problems = problems_of(facts)
    newest = await store.newest_migration()
    if newest > all_migrations()[-1].version:
        sentence = f"the database is at migration {newest}: a newer program made it so"
        yield Check("database", False, sentence)
    for problem in problems:
        more = f" {problem.detail}" if problem.detail else ""
        yield Check("service", False, f"{problem.sentence}{more} → {problem.command}")
    if not facts.queue.pollers_beating and "no_poller" not in {each.code for each in problems}:
        yield Check("service", False, "No poller is running → c2s-enrich poller")
    elif not problems:
        yield Check("service", True, f"healthy, {facts.queue.pollers_beating} pollers")


async def check_set_up(store: OpsStore, *, online: bool) -> AsyncIterator[Check]:
    """What a person has looked at, asked for and switched on."""
    try:
        visible_to, hook, web_alerts = await store.set_up()
    except psycopg.errors.InsufficientPrivilege:
        sentence = "what people have looked at: not checked, this login is not in c2s_ops"
        yield Check("production", None, sentence)
        return
    seen_by = {  # a message holds a CPF
        None: "nobody has recorded who can see a message on a lead → "
        "c2s-enrich messages visible-to",
        "customers": "customers can see the messages: do not send any",
    }
    sellers = "a person recorded that only sellers see the messages"
    alerts = "web posts alerts too: a dead poller cannot say that it is dead (ALERT_WEBHOOK_URL)"
    where = f"to deliver to {hook}" if hook else "for nothing → c2s-enrich subscribe"
    yield Check("production", visible_to not in seen_by, seen_by.get(visible_to, sellers))
    yield Check("production", web_alerts, alerts)
    yield Check("production", hook is not None, f"C2S was asked {where}")
    if online and hook:
        page = f"{hook.split('/api/')[0]}/livez"
        try:
            status, _ = await ask_once(page, seconds=_SECONDS)
            yield Check("online", status == 200, f"{page} answers {status}")
        except OSError as error:
            yield Check("online", False, f"{page} does not answer: {redact_error(error)}")


async def check_calls(calls: Mapping[str, Call]) -> AsyncIterator[Check]:
    """Whether each upstream answers our credential. C2S says whom it belongs to."""
    for name, call in calls.items():
        try:
            said = await call()
            learnt = f"our token belongs to {said}" if isinstance(said, str) else "it answers"
            yield Check("online", True, f"{name}: {learnt}")
        except EnrichError as error:
            yield Check("online", False, redact_error(error))


def check_production(settings: Settings, env: Mapping[str, str]) -> Iterator[Check]:
    """What a person should have decided before customers are at stake."""
    upstreams = [settings.c2s_base_url, settings.work_api_base_url, settings.diretrix_base_url]
    upstreams += [settings.c2s_gateway_url] if settings.c2s_gateway_url else []
    rules: tuple[tuple[Process | None, object, str], ...] = (
        ("poller", env.get("WORK_API_DAILY_BUDGET", "").strip(),
         "WORK_API_DAILY_BUDGET is written down (0 = unlimited is a choice)"),
        ("poller", all(each.startswith("https://") for each in upstreams),
         "every upstream is called by https:// (http:// shows passwords and contacts)"),
        ("poller", settings.delivery == "send",
         "DELIVERY is send: shadow mode tells nobody anything"),
        ("web", len(settings.webhook_secret.reveal()) >= _LONG_SECRET,
         f"WEBHOOK_SECRET has at least {_LONG_SECRET} characters"),
        ("web", not settings.insecure, "INSECURE is off"),
        (None, settings.admin_token, "ADMIN_TOKEN is set: /health tells operators the details"),
        (None, settings.alert_webhook_url, "ALERT_WEBHOOK_URL is set"),
        (None, settings.log_format == "json", "LOG_FORMAT is json"),
    )  # fmt: skip
    here = processes_of(env)
    for process, good, sentence in rules:
        if process is None or process in here:
            yield Check("production", bool(good), sentence)
