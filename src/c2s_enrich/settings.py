"""Settings: one frozen value built once from a mapping, every problem told in one message. A
field's environment variable is its name in capitals, unless the field names another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal
from urllib.parse import urlsplit

from c2s_enrich.errors import SettingsError
from c2s_enrich.hashing import HashKeys
from c2s_enrich.options import (
    DAY,
    Option,
    Secret,
    choice,
    clean,
    dsn,
    factor,
    flag,
    names,
    option,
    refuse_invisible,
    seconds,
    seconds_or_none,
    secret,
    secret_url,
    tuning,
    url,
    whole,
    zone,
)

Process = Literal["web", "poller", "ops", "migrate", "tool"]

# A longer value that cannot be read may be a token in the wrong variable: it is not quoted.
_QUOTED = 24


# fmt: off
@dataclass(frozen=True)
class Settings:
    """All settings. `described()` lists them, README and docs/settings.md show them."""

    # What a person must or may well set.
    database_url: Secret = option("", "Postgres; may be a transaction pooler", dsn)
    database_url_direct: Secret = option(
        "", "Postgres without pooler: migrations and LISTEN; default: DATABASE_URL", dsn)
    webhook_secret: Secret = option("", "token that C2S must present", secret)
    webhook_secret_previous: Secret = option("", "token before a rotation, still accepted", secret)
    hash_key: Secret = option(
        "", "key of refs and other keyed hashes; not for web; back it up", secret)
    c2s_token: Secret = option("", "C2S API token", Secret)
    diretrix_user: Secret = option("", "Diretrix user", Secret)
    diretrix_pass: Secret = option("", "Diretrix password", Secret)
    work_api_token: Secret = option("", "Work API token", Secret)
    admin_token: Secret = option(
        "", "operators' token: console, admin API, all details of /health", secret)
    viewer_token: Secret = option("", "token for the console that only looks", secret)
    port: int = option("8080", "port of the web process", whole(0, 65535))
    host: str = option("0.0.0.0", "address the web process listens on", str)  # noqa: S104 a container's port is reached from outside it
    metrics_port: int = option(
        "9091", "port of each process's own /metrics, /livez and /health; 0 = a free one",
        whole(0, 65535))
    alert_webhook_url: Secret = option(
        "", "where alerts are posted, in Slack's format; none without it", secret_url)
    alert_income_from: int = tuning(
        "0", "also alert about leads of people who earn this much a month; 0 = never", whole(0))
    c2s_gateway_url: str = option("", "send through this gateway instead of C2S directly", url)
    work_api_daily_budget: int = option(
        "0", "paid calls a day (America/Sao_Paulo); 0 = no limit", whole(0))
    delivery: str = option(
        "send", "send, or shadow: do everything but send", choice("send", "shadow"))
    delivery_unclear: str = option(
        "resend", "resend or hold, when reading back does not find the message",
        choice("resend", "hold"))
    cpf_sources: tuple[str, ...] = option(
        "diretrix,work_api", "who is asked for a CPF, in this order",
        names("diretrix", "work_api"))
    lookup_questions: int = option(
        "3", "paid questions about a lead's contacts in one attempt, at most", whole(1))
    income_multiplier: float = option("1", "factor on the income shown", factor)
    retention_payload: timedelta = option(
        str(90 * DAY), "payloads and personal data of old events are removed at this age", seconds)
    reconcile_every: timedelta = option(
        "0", "seconds between reconciliations by the janitor; 0 = never", seconds_or_none)
    concurrency: int = option("50", "events one poller works on at once", whole(1, 1000))
    idle_poll: timedelta = option("5", "longest pause between polls while idle", seconds)
    operator_timezone: str = option("America/Sao_Paulo", "zone of the times in commands", zone)
    log_format: str = option("json", "json or text", choice("json", "text"))

    # What hardly anybody touches.
    hash_key_previous: Secret = tuning("", "key before a rotation, still recognised", secret)
    retention_metadata: timedelta = tuning(
        str(730 * DAY), "settled events are removed at this age", seconds)
    log_level: str = tuning(
        "info", "debug, info, warning or error", choice("debug", "info", "warning", "error"))
    diretrix_daily_budget: int = tuning("0", "calls a day; 0 = no limit", whole(0))
    metrics_host: str = tuning(
        "127.0.0.1", "address of METRICS_PORT; * = all, where a private network protects it", str)
    ops_port: int = tuning("8090", "port of the ops process; 0 = a free one", whole(0, 65535))
    ops_host: str = tuning(
        "127.0.0.1", "address the ops process listens on: the loopback or a private network", str)
    lead_link: str = tuning("", "address of a lead in C2S, with {lead_id}, for alerts", str)
    revision: str = tuning("", "revision of the source; the image sets it", str)
    database_pool_size: int = tuning(
        "0", "connections a process holds at most; 0 = what CONCURRENCY needs", whole(0, 500))
    c2s_base_url: str = tuning("https://api.contact2sale.com/integration", "C2S API", url)
    c2s_auth_header: str = tuning(
        "both", "authorization, authentication or both",
        choice("authorization", "authentication", "both"))
    c2s_message_path: str = tuning(
        "/leads/{lead_id}/create_message", "path of the message call", str)
    c2s_min_interval: timedelta = tuning(
        "6", "seconds between calls to C2S, over all pollers; 0 = no limit", seconds_or_none)
    c2s_timeout: timedelta = tuning("15", "total seconds of one C2S request", seconds)
    diretrix_base_url: str = tuning("http://api.diretrixconsultoria.com.br", "Diretrix API", url)
    diretrix_min_interval: timedelta = tuning(
        "0", "seconds between calls to Diretrix; 0 = no limit", seconds_or_none)
    diretrix_timeout: timedelta = tuning("15", "total seconds of one Diretrix request", seconds)
    work_api_base_url: str = tuning("https://completa.workbuscas.com/api", "Work API", url)
    work_api_min_interval: timedelta = tuning(
        "3", "seconds between calls to the Work API; 0 = no limit", seconds_or_none)
    work_api_timeout: timedelta = tuning(
        "60", "total seconds of one Work API request (slow ones take over 30 s)", seconds)
    slot_wait: timedelta = tuning(
        "60", "longest wait in memory for a rate limit's slot; a later slot postpones the event",
        seconds)
    lease: timedelta = tuning(
        "30", "lease of an event; renewed every third of it", seconds, "LEASE_SECONDS")
    attempt_deadline: timedelta = tuning(
        "300", "longest time one attempt may take; never renewed", seconds)
    grace: timedelta = tuning(
        "25", "after SIGTERM: time to finish what is in flight", seconds, "GRACE_SECONDS")
    max_attempts: int = tuning("8", "attempts of an event before it fails", whole(1, 32000))
    backoff_base: timedelta = tuning("5", "first wait between attempts; doubles", seconds)
    backoff_cap: timedelta = tuning("900", "longest wait between attempts", seconds)
    age_limit: timedelta = tuning(
        str(3 * DAY), "an event that only ever waited fails at this age", seconds)
    breaker_failures: int = tuning(
        "3", "failures in a row that pause an upstream for all pollers", whole(1))
    pause_base: timedelta = tuning("10", "first pause of a failing upstream; doubles", seconds)
    pause_cap: timedelta = tuning("120", "longest pause of a failing upstream", seconds)
    settle_time: timedelta = tuning(
        "120", "C2S may apply a request this late; no resend before", seconds, "SETTLE_SECONDS")
    second_look: timedelta = tuning(
        "60", "wait between the two looks that come before a resend", seconds,
        "SECOND_LOOK_SECONDS")
    max_sends: int = tuning(
        "3", "times one message may be sent when each time its delivery was unclear", whole(1))
    lookup_ttl: timedelta = tuning(str(30 * DAY), "freshness of a found CPF", seconds)
    record_ttl: timedelta = tuning(str(30 * DAY), "freshness of a person's record", seconds)
    nobody_ttl: timedelta = tuning(
        str(DAY), "freshness of 'nobody found' and 'no record'", seconds)
    body_limit: int = tuning(str(1024 * 1024), "bytes of one delivery", whole(1))
    batch_limit: int = tuning("1000", "events of one delivery", whole(1))
    request_limit: int = tuning("1000", "deliveries answered at once before 503", whole(1))
    receive_timeout: timedelta = tuning("10", "seconds a body may take to arrive", seconds)
    store_timeout: timedelta = tuning(
        "5", "seconds a delivery may wait for its COMMIT before 503", seconds)
    insecure: bool = tuning(
        "false", "accept webhooks without a secret, as web --insecure does; loopback only", flag)

    @classmethod
    def load(cls, env: Mapping[str, str], process: Process) -> Settings:
        """The settings of one process. Raises SettingsError that names every problem at once."""
        if process == "web":
            # The process that faces the internet holds no key, even where it is given one.
            env = {name: env[name] for name in env if not name.startswith("HASH_KEY")}
        settings, problems = cls.read(env)
        problems += settings._problems(process)
        if problems:
            raise SettingsError(problems + misspelt(env))
        return settings

    @classmethod
    def read(cls, env: Mapping[str, str]) -> tuple[Settings, list[str]]:
        """The settings as far as they can be read, and a sentence for each that cannot."""
        problems: list[str] = []
        values: dict[str, Any] = {}
        for one in described():
            given = clean(env.get(one.env, ""))
            try:
                refuse_invisible(given)
                values[one.field] = one.parse(given or one.default)
            except ValueError as error:
                wrong = str(error) if str(error).startswith("must") else "cannot be read"
                quoted = "" if one.secret or len(given) > _QUOTED else f", got {given!a}"
                problems.append(f"{one.env} {wrong}{quoted}")
                # A secret stays known, so that it can be masked.
                values[one.field] = Secret(given) if one.secret else one.parse(one.default)
        if not values["database_pool_size"]:
            values["database_pool_size"] = min(5 + values["concurrency"] // 4, 30)
        return cls(**values), problems

    def _problems(self, process: Process) -> list[str]:
        web, poller, ops = (process == each for each in ("web", "poller", "ops"))
        secret = "(make one with `openssl rand -hex 32`)"  # noqa: S105 words about one
        loopback = self.host in ("127.0.0.1", "::1", "localhost")
        sources = "diretrix" in self.cpf_sources
        direct = self.database_url_direct or "-pooler." not in self.database_url.reveal()
        rules: list[tuple[bool, object, str]] = [
            (process != "tool", self.database_url, "DATABASE_URL is not set "
             "(try `c2s-enrich demo`, which brings its own Postgres)"),
            (True, direct, "DATABASE_URL_DIRECT is not set: DATABASE_URL is a pooler, migrations "
             "and LISTEN need the server itself"),
            (web, self.webhook_secret or self.insecure, "WEBHOOK_SECRET is not set (to try it out "
             "on this machine alone: HOST=127.0.0.1 c2s-enrich web --insecure)"),
            (web, not self.insecure or loopback, "--insecure, or INSECURE, is allowed on the "
             "loopback address only (HOST=127.0.0.1)"),
            (web, self.database_pool_size >= 2, "DATABASE_POOL_SIZE must be at least 2 for web: "
             "one connection stores, one tells /readyz"),
            (ops, len(self.admin_token.reveal()) >= 16,
             f"ADMIN_TOKEN is not set or shorter than 16 characters {secret}"),
            (ops, not self.viewer_token or (len(self.viewer_token.reveal()) >= 16
             and self.viewer_token != self.admin_token),
             f"VIEWER_TOKEN is shorter than 16 characters, or is ADMIN_TOKEN {secret}"),
            (poller or ops, self.hash_key, f"HASH_KEY is not set {secret}"),
            (poller, self.c2s_token, "C2S_TOKEN is not set"),
            (poller, self.work_api_token, "WORK_API_TOKEN is not set"),
            (poller and sources, self.diretrix_user and self.diretrix_pass,
             "DIRETRIX_USER and DIRETRIX_PASS are not set"),
            (poller, self.database_pool_size >= 5, "DATABASE_POOL_SIZE must be at least 5 for a "
             "poller: the queue keeps three connections to itself"),
            # Right before a heartbeat two thirds of the lease are left.
            (True, self.lease * 2 / 3 > self.c2s_timeout, f"LEASE_SECONDS ({_s(self.lease)}) must "
             f"be more than one and a half times C2S_TIMEOUT ({_s(self.c2s_timeout)}): a lease "
             "must outlast the send of a message"),
        ]
        for name, value, other, least in (
            ("ATTEMPT_DEADLINE", self.attempt_deadline, "LEASE_SECONDS", self.lease),
            ("ATTEMPT_DEADLINE", self.attempt_deadline, "SLOT_WAIT", self.slot_wait),
            ("SETTLE_SECONDS", self.settle_time, "C2S_TIMEOUT", self.c2s_timeout),
            ("BACKOFF_CAP", self.backoff_cap, "BACKOFF_BASE", self.backoff_base),
            ("PAUSE_CAP", self.pause_cap, "PAUSE_BASE", self.pause_base),
        ):
            sentence = f"{name} ({_s(value)}) must not be shorter than {other} ({_s(least)})"
            rules.append((True, value >= least, sentence))
        return [sentence for applies, fine, sentence in rules if applies and not fine]

    # fmt: on

    @property
    def hash_keys(self) -> HashKeys:
        return HashKeys(self.hash_key, self.hash_key_previous)

    @property
    def direct_url(self) -> Secret:
        """Where LISTEN and migrations connect."""
        return self.database_url_direct or self.database_url


def described() -> list[Option]:
    return [
        each.metadata["option"]._replace(
            env=each.metadata["option"].env or each.name.upper(),
            field=each.name,
            secret=each.type == "Secret",
        )
        for each in fields(Settings)
    ]


def misspelt(env: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that is almost the name of a setting which is not set."""
    known = {each.env for each in described()}
    unset = [name for name in known if len(name) > 4 and not env.get(name)]
    return [
        f"{name} is not a setting: did you mean {near}?"
        for name in sorted(set(env) - known)
        for near in get_close_matches(name, unset, 1, 0.88)
    ]


def _s(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"


def database_name(settings: Settings) -> str:
    """Host and name of the database, without user, password and options."""
    parts = urlsplit(settings.database_url.reveal())
    return f"{parts.hostname or 'local'}{parts.path}" if parts.scheme else "given as key=value"
