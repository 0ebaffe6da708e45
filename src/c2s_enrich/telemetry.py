"""What a process tells about itself: one log line for each thing that happened, and numbers for Prometheus.

Every line passes the redactor, whoever wrote it: our own loggers, httpx, uvicorn, psycopg, warnings, and the traceback of a crash.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import fields
from datetime import date, timedelta
from enum import Enum
from types import TracebackType
from typing import Any, TextIO
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from structlog.typing import EventDict, Processor

from c2s_enrich.redaction import MASK, is_sensitive, redact
from c2s_enrich.settings import Secret, Settings

# A longer text is somebody's whole answer or page: it is cut, not logged.
_TEXT_LENGTH = 10_000
# Nested deeper than anything that we log; a value that contains itself ends here.
_DEPTH = 8
# Shorter ones would turn ordinary words into asterisks.
_SECRET_LENGTH = 6

# Quieter than the rest: at INFO these tell each request and each connection once more.
_CHATTY = ("httpx", "httpcore", "psycopg.pool", "asyncio", "urllib3")

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
_CONTROL_AND_LINES = _CONTROL | {ord("\n"): "\\n", ord("\t"): "\\t"}


def configure_logging(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Sends all logs of this process to `stream` (default: stderr; stdout belongs to a command's answer). May be called again.

    uvicorn must be run with `log_config=None`, or it takes its loggers back.
    """
    redactor = Redactor(secrets_of(settings))
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    target = stream or sys.stderr
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if settings.log_format == "text":
        renderer = structlog.dev.ConsoleRenderer(colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback)
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _Named(process), redactor, renderer],
        )
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would keep an earlier configuration, in the tests for instance.
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _log_crash
    threading.excepthook = _log_thread_crash


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret of the settings as it could turn up in a text: the values, and the password inside a database's address."""
    values = [value.reveal() for value in (getattr(settings, each.name) for each in fields(settings)) if isinstance(value, Secret)]
    passwords = [urlsplit(value).password or "" for value in values if "://" in value]
    return frozenset(text for text in [*values, *passwords, *map(unquote, passwords)] if len(text) >= _SECRET_LENGTH)


class Redactor:
    """The last step before a log line is written: plain values only, and each text of them redacted."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # The longest first: a short secret may be part of a long one.
        self._secrets = tuple(sorted(secrets, key=len, reverse=True))

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        return {self._text(name): self._named(name, value) for name, value in event.items()}

    def _named(self, name: str, value: object, depth: int = 0) -> object:
        # Tracebacks keep their lines. In everything else a line end could forge a log line, and an escape could paint the terminal.
        if name in ("exception", "stack") and isinstance(value, str):
            return self._text(value, _CONTROL)
        return MASK if is_sensitive(name) and value not in (None, "", 0) else self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # Numbers are counts, times and ids. Of those that could be a person's only the CPF has check digits to tell.
            return "[cpf]" if redact(str(value)) == "[cpf]" else int(value)
        if isinstance(value, str):
            return self._text(value)
        if depth >= _DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {self._text(str(name)): self._named(str(name), each, depth + 1) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(each, depth + 1) for each in value]
        if isinstance(value, bytes | bytearray):
            return self._text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, UUID | date | timedelta | Enum | BaseException):
            return self._text(str(value))
        return self._text(repr(value))

    def _text(self, text: str, table: Mapping[int, str] = _CONTROL_AND_LINES) -> str:
        # Field names and words such as "completed": most of every line, and without a digit, a sign or a space nothing to find in them.
        if len(text) <= 40 and text.isascii() and text.replace("_", "").isalpha() and not any(secret in text for secret in self._secrets):
            return text
        cut = text if len(text) <= _TEXT_LENGTH else text[:_TEXT_LENGTH] + "…"
        return redact(cut, self._secrets).translate(table)


class Metrics:
    """The numbers of one process, in a registry of its own. Transitions have the same names as in the logs and in SQL."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("c2s_events", "Events by what happened to them", ["transition"], registry=self.registry)
        self._calls = Counter(
            "c2s_upstream_calls", "Requests to upstreams by how they ended", ["upstream", "kind", "result"], registry=self.registry
        )
        self._call_seconds = Histogram(
            "c2s_upstream_seconds",
            "Duration of requests to upstreams",
            ["upstream", "kind"],
            # C2S and Diretrix answer within seconds, the Work API takes up to a minute.
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
            registry=self.registry,
        )
        self._answers = Counter(
            "c2s_answers",
            "Answers about contacts and people: paid for or remembered, found or nobody",
            ["source", "origin", "result"],
            registry=self.registry,
        )
        self._messages = Counter("c2s_messages", "Messages by the proof of their delivery, or its lack", ["result"], registry=self.registry)
        self._conflicts = Counter("c2s_claim_conflicts", "Claims repeated because two pollers took one lead", registry=self.registry)
        self._reconnects = Counter("c2s_listener_reconnects", "Times the LISTEN connection was made anew", registry=self.registry)
        for transition in ("claimed", "completed", "retried", "postponed", "failed", "reclaimed", "lease_lost"):
            self._events.labels(transition)  # so that a rate exists before the first one happens

    def event(self, transition: str, count: int = 1) -> None:
        """`count` events were claimed, completed, retried, postponed, failed, reclaimed, or lost to another poller."""
        self._events.labels(transition).inc(count)

    def upstream_call(self, upstream: str, kind: str, result: str, seconds: float) -> None:
        """A request ended; `result` is "ok" or the name of the error."""
        self._calls.labels(upstream, kind, result).inc()
        self._call_seconds.labels(upstream, kind).observe(seconds)

    def answer(self, source: str, *, remembered: bool, found: bool) -> None:
        """A question about a contact or a person was answered, from memory or by a paid call."""
        self._answers.labels(source, "remembered" if remembered else "call", "found" if found else "nobody").inc()

    def message(self, result: str) -> None:
        """A message was proven delivered (`answer`, `read_back`), is in doubt (`uncertain`), or needs a person (`unclear`)."""
        self._messages.labels(result).inc()

    def claim_conflicts(self, count: int) -> None:
        """`count` claims met another poller on the same lead and were repeated."""
        self._conflicts.inc(count)

    def listener_reconnected(self) -> None:
        """LISTEN is in force again; what was notified meanwhile is found by polling."""
        self._reconnects.inc()

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Publishes a number that somebody else keeps, such as the age of a loop's last turn; `read` is called at each scrape."""
        Gauge(f"c2s_{name}", what, registry=self.registry).set_function(read)

    def exposition(self) -> bytes:
        """All numbers in Prometheus' text format."""
        return generate_latest(self.registry)


class _Handler(logging.StreamHandler[TextIO]):
    """A line that cannot be written is told by its error's name: the default prints the raw arguments."""

    def handleError(self, record: logging.LogRecord) -> None:
        kind, *_ = sys.exc_info()
        if kind is not BrokenPipeError:
            sys.stderr.write(f'{{"event": "log_line_lost", "logger": "{record.name}", "error": "{kind.__name__ if kind else ""}"}}\n')


class _Named:
    def __init__(self, process: str) -> None:
        self._process = process

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> MutableMapping[str, Any]:
        event.setdefault("process", self._process)
        return event


def _log_crash(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("c2s_enrich").critical("crashed", exc_info=(kind, error, traceback))


def _log_thread_crash(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _log_crash(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
