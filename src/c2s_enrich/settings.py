"""Settings: one frozen value built once from a mapping. Every problem is collected and reported in
one message.

Nothing here reads the environment by itself: `cli.py` passes `os.environ`, tests pass a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from c2s_enrich.errors import SettingsError

Process = Literal["web", "poller", "ops", "migrate", "tool"]


@dataclass(frozen=True)
class Secret:
    """A value that must not be shown. `reveal()` is the only way to it."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(***)" if self._value else "Secret(empty)"

    __str__ = __repr__


def _option(env: str, default: object, why: str, parse: Callable[[str], object]) -> Any:
    return field(metadata={"env": env, "default": default, "why": why, "parse": parse})


def _text(value: str) -> str:
    return value


def _secret(value: str) -> Secret:
    # Pasted secrets often carry an invisible CR or space; it cost other teams two deploys.
    return Secret(value.strip())


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError("must be an http:// or https:// address")
    return value.rstrip("/")


def _dsn(value: str) -> Secret:
    if value and not value.startswith(("postgresql://", "postgres://")) and "=" not in value:
        raise ValueError("must be a postgresql:// address")
    return Secret(value)


def _positive(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _not_negative(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError("must be 0 or more")
    return number


def _factor(value: str) -> float:
    number = float(value)
    if not 0 < number < 100:
        raise ValueError("must be above 0 and below 100")
    return number


def _flag(value: str) -> bool:
    lowered = value.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("", "0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false")


def _seconds(value: str) -> timedelta:
    number = float(value)
    if not 0 < number < 10 * 365 * 86400:
        raise ValueError("must be a number of seconds above 0")
    return timedelta(seconds=number)


def _seconds_or_none(value: str) -> timedelta:
    number = float(value)
    if not 0 <= number < 10 * 365 * 86400:
        raise ValueError("must be a number of seconds, 0 for none")
    return timedelta(seconds=number)


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError("must be one of " + ", ".join(allowed))
        return value

    return parse


def _names(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        unknown = [name for name in names if name not in allowed]
        if unknown or not names:
            raise ValueError("must name one or more of " + ", ".join(allowed))
        return names

    return parse


@dataclass(frozen=True)
class Settings:
    """All settings. Each field's metadata holds its environment variable, default and reason (the
    README's table).
    """

    database_url: Secret = _option(
        "DATABASE_URL", "", "Postgres; may be a transaction pooler", _dsn
    )
    database_url_direct: Secret = _option(
        "DATABASE_URL_DIRECT",
        "",
        "Postgres without pooler: migrations and LISTEN; default: DATABASE_URL",
        _dsn,
    )
    database_pooled: bool = _option(
        "DATABASE_POOLED",
        "false",
        "true where DATABASE_URL is a transaction pooler (PgBouncer, Neon's -pooler host)",
        _flag,
    )
    database_pool_size: int = _option(
        "DATABASE_POOL_SIZE", "8", "connections a process holds at most", _positive
    )

    webhook_secret: Secret = _option("WEBHOOK_SECRET", "", "token that C2S must present", _secret)
    webhook_secret_previous: Secret = _option(
        "WEBHOOK_SECRET_PREVIOUS", "", "the token before a rotation, still accepted", _secret
    )
    admin_token: Secret = _option("ADMIN_TOKEN", "", "token for the operators' pages", _secret)
    port: int = _option("PORT", "8080", "port of the web process", _not_negative)
    host: str = _option("HOST", "0.0.0.0", "address the web process listens on", _text)  # noqa: S104 a container's port is reached from outside it

    c2s_base_url: str = _option(
        "C2S_BASE_URL", "https://api.contact2sale.com/integration", "C2S API", _url
    )
    c2s_token: Secret = _option("C2S_TOKEN", "", "C2S API token", _secret)
    c2s_auth_header: str = _option(
        "C2S_AUTH_HEADER",
        "both",
        "authorization, authentication or both",
        _choice("authorization", "authentication", "both"),
    )
    c2s_gateway_url: str = _option(
        "C2S_GATEWAY_URL",
        "",
        "send through this gateway instead of C2S directly",
        lambda v: _url(v) if v else "",
    )
    c2s_message_path: str = _option(
        "C2S_MESSAGE_PATH", "/leads/{lead_id}/create_message", "path of the message call", _text
    )
    c2s_min_interval: timedelta = _option(
        "C2S_MIN_INTERVAL",
        "6",
        "seconds between calls to C2S, over all pollers; 0 = no limit",
        _seconds_or_none,
    )
    diretrix_base_url: str = _option(
        "DIRETRIX_BASE_URL", "http://api.diretrixconsultoria.com.br", "Diretrix API", _url
    )
    diretrix_user: Secret = _option("DIRETRIX_USER", "", "Diretrix user", _secret)
    diretrix_pass: Secret = _option("DIRETRIX_PASS", "", "Diretrix password", _secret)
    diretrix_min_interval: timedelta = _option(
        "DIRETRIX_MIN_INTERVAL",
        "0",
        "seconds between calls to Diretrix; 0 = no limit",
        _seconds_or_none,
    )
    work_api_base_url: str = _option(
        "WORK_API_BASE_URL", "https://completa.workbuscas.com/api", "Work API", _url
    )
    work_api_token: Secret = _option("WORK_API_TOKEN", "", "Work API token", _secret)
    work_api_min_interval: timedelta = _option(
        "WORK_API_MIN_INTERVAL",
        "3",
        "seconds between calls to the Work API; 0 = no limit",
        _seconds_or_none,
    )
    work_api_daily_budget: int = _option(
        "WORK_API_DAILY_BUDGET",
        "0",
        "paid calls a day (America/Sao_Paulo); 0 = no limit",
        _not_negative,
    )
    diretrix_daily_budget: int = _option(
        "DIRETRIX_DAILY_BUDGET", "0", "calls a day; 0 = no limit", _not_negative
    )

    c2s_timeout: timedelta = _option(
        "C2S_TIMEOUT", "15", "total seconds of one C2S request", _seconds
    )
    diretrix_timeout: timedelta = _option(
        "DIRETRIX_TIMEOUT", "15", "total seconds of one Diretrix request", _seconds
    )
    work_api_timeout: timedelta = _option(
        "WORK_API_TIMEOUT",
        "60",
        "total seconds of one Work API request (slow ones take over 30 s)",
        _seconds,
    )
    slot_wait: timedelta = _option(
        "SLOT_WAIT",
        "60",
        "longest wait in memory for a rate limit's slot; a later slot postpones the event",
        _seconds,
    )

    concurrency: int = _option("CONCURRENCY", "10", "events one poller works on at once", _positive)
    lease: timedelta = _option(
        "LEASE_SECONDS", "30", "lease of an event; renewed every third of it", _seconds
    )
    attempt_deadline: timedelta = _option(
        "ATTEMPT_DEADLINE", "300", "longest time one attempt may take; never renewed", _seconds
    )
    grace: timedelta = _option(
        "GRACE_SECONDS", "25", "after SIGTERM: time to finish what is in flight", _seconds
    )
    max_attempts: int = _option(
        "MAX_ATTEMPTS", "8", "attempts of an event before it fails", _positive
    )
    backoff_base: timedelta = _option(
        "BACKOFF_BASE", "5", "first wait between attempts; doubles", _seconds
    )
    backoff_cap: timedelta = _option(
        "BACKOFF_CAP", "900", "longest wait between attempts", _seconds
    )
    age_limit: timedelta = _option(
        "AGE_LIMIT", str(72 * 3600), "an event that only ever waited fails at this age", _seconds
    )
    idle_poll: timedelta = _option(
        "IDLE_POLL", "5", "longest pause between polls while idle", _seconds
    )
    breaker_failures: int = _option(
        "BREAKER_FAILURES",
        "3",
        "failures in a row that pause an upstream for all pollers",
        _positive,
    )
    pause_base: timedelta = _option(
        "PAUSE_BASE", "10", "first pause of a failing upstream; doubles", _seconds
    )
    pause_cap: timedelta = _option(
        "PAUSE_CAP", "120", "longest pause of a failing upstream", _seconds
    )

    delivery_unclear: str = _option(
        "DELIVERY_UNCLEAR",
        "resend",
        "resend or hold, when reading back does not find the message",
        _choice("resend", "hold"),
    )
    settle_time: timedelta = _option(
        "SETTLE_SECONDS", "120", "C2S may apply a request this late; no resend before", _seconds
    )
    second_look: timedelta = _option(
        "SECOND_LOOK_SECONDS",
        "60",
        "wait between the two looks that come before a resend",
        _seconds,
    )
    max_sends: int = _option(
        "MAX_SENDS",
        "3",
        "times one message may be sent when each time its delivery was unclear",
        _positive,
    )
    cpf_sources: tuple[str, ...] = _option(
        "CPF_SOURCES",
        "diretrix,work_api",
        "who is asked for a CPF, in this order",
        _names("diretrix", "work_api"),
    )
    income_multiplier: float = _option(
        "INCOME_MULTIPLIER", "1", "factor on the income shown", _factor
    )
    lookup_ttl: timedelta = _option(
        "LOOKUP_TTL", str(30 * 86400), "freshness of a found CPF", _seconds
    )
    lookup_nobody_ttl: timedelta = _option(
        "LOOKUP_NOBODY_TTL", str(86400), "freshness of 'nobody found'", _seconds
    )
    record_ttl: timedelta = _option(
        "RECORD_TTL", str(30 * 86400), "freshness of a person's record", _seconds
    )
    record_nobody_ttl: timedelta = _option(
        "RECORD_NOBODY_TTL", str(86400), "freshness of 'no record'", _seconds
    )
    retention_payload: timedelta = _option(
        "RETENTION_PAYLOAD",
        str(90 * 86400),
        "payloads and personal data of old events are removed at this age",
        _seconds,
    )
    retention_metadata: timedelta = _option(
        "RETENTION_METADATA", str(730 * 86400), "settled events are removed at this age", _seconds
    )
    reconcile_every: timedelta = _option(
        "RECONCILE_EVERY",
        "0",
        "seconds between reconciliations by the janitor; 0 = never",
        _seconds_or_none,
    )

    body_limit: int = _option("BODY_LIMIT", str(1024 * 1024), "bytes of one delivery", _positive)
    batch_limit: int = _option("BATCH_LIMIT", "1000", "events of one delivery", _positive)
    request_limit: int = _option(
        "REQUEST_LIMIT", "1000", "deliveries answered at the same time before 503", _positive
    )
    receive_timeout: timedelta = _option(
        "RECEIVE_TIMEOUT", "10", "seconds a body may take to arrive", _seconds
    )
    store_timeout: timedelta = _option(
        "STORE_TIMEOUT", "5", "seconds a delivery may wait for its COMMIT before 503", _seconds
    )
    insecure: bool = _option(
        "INSECURE",
        "false",
        "accept webhooks without a secret, as web --insecure does; loopback only",
        _flag,
    )
    log_format: str = _option("LOG_FORMAT", "json", "json or text", _choice("json", "text"))
    log_level: str = _option(
        "LOG_LEVEL",
        "info",
        "debug, info, warning or error",
        _choice("debug", "info", "warning", "error"),
    )

    @classmethod
    def load(cls, env: Mapping[str, str], process: Process) -> Settings:
        """Builds the settings for one process. Raises SettingsError that names every problem at
        once.
        """
        problems: list[str] = []
        values: dict[str, object] = {}
        for option in fields(cls):
            name: str = option.metadata["env"]
            raw = env.get(name, "").strip() or option.metadata["default"]
            try:
                values[option.name] = option.metadata["parse"](raw)
            except ValueError as problem:
                # The value itself is left out: it may be a secret pasted into the wrong variable.
                text = str(problem)
                problems.append(f"{name} {text if text.startswith('must') else 'cannot be read'}")
                values[option.name] = option.metadata["parse"](option.metadata["default"])
        settings = cls(**values)  # type: ignore[arg-type]
        problems += settings._problems(process)
        if problems:
            raise SettingsError(problems)
        return settings

    def _problems(self, process: Process) -> list[str]:
        found: list[str] = []
        if not self.database_url and process != "tool":
            found.append(
                "DATABASE_URL is not set (try `c2s-enrich demo`, which brings its own Postgres)"
            )
        if process == "web" and not self.webhook_secret and not self.insecure:
            found.append(
                "WEBHOOK_SECRET is not set (to try it out on this machine alone: HOST=127.0.0.1 c2s-enrich web --insecure)"
            )
        if (
            process == "web"
            and self.insecure
            and self.host not in ("127.0.0.1", "::1", "localhost")
        ):
            found.append(
                "--insecure, or INSECURE, is allowed on the loopback address only (HOST=127.0.0.1)"
            )
        if process == "poller":
            for name, value in (
                ("C2S_TOKEN", self.c2s_token),
                ("WORK_API_TOKEN", self.work_api_token),
            ):
                if not value:
                    found.append(f"{name} is not set")
            if "diretrix" in self.cpf_sources and not (self.diretrix_user and self.diretrix_pass):
                found.append("DIRETRIX_USER and DIRETRIX_PASS are not set")
            if self.database_pool_size < 5:
                found.append(
                    "DATABASE_POOL_SIZE must be at least 5 for a poller: the queue keeps three connections to itself"
                )
        if self.lease * 2 / 3 <= self.c2s_timeout:
            # Right before a heartbeat two thirds of the lease are left.
            found.append(
                "LEASE_SECONDS must be more than one and a half times C2S_TIMEOUT: a lease must outlast the send of a message"
            )
        if self.attempt_deadline < self.lease:
            found.append("ATTEMPT_DEADLINE must not be shorter than LEASE_SECONDS")
        if self.settle_time < self.c2s_timeout:
            found.append(
                "SETTLE_SECONDS must not be shorter than C2S_TIMEOUT: a request under way is not settled"
            )
        if self.slot_wait >= self.attempt_deadline:
            found.append("SLOT_WAIT must be shorter than ATTEMPT_DEADLINE")
        if self.backoff_cap < self.backoff_base:
            found.append("BACKOFF_CAP must not be shorter than BACKOFF_BASE")
        if self.database_pooled and not self.database_url_direct:
            found.append(
                "DATABASE_URL_DIRECT is needed beside a pooled DATABASE_URL (migrations, LISTEN)"
            )
        return found

    @property
    def direct_url(self) -> Secret:
        """Where LISTEN and migrations connect."""
        return self.database_url_direct or self.database_url
