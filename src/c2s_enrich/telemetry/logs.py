"""Logs: one line for each thing that happened. Every line passes the redactor: our own loggers,
httpx, uvicorn, psycopg, warnings, and the traceback of a crash.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import fields
from datetime import date, timedelta
from enum import Enum
from functools import partial
from io import UnsupportedOperation
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec

from c2s_enrich.options import SECRET_LENGTH, Secret
from c2s_enrich.redaction import MASK, is_plain, is_sensitive, redact
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.attempt import name_event
from c2s_enrich.telemetry.facts import FactLines
from c2s_enrich.telemetry.lines import structlog
from c2s_enrich.telemetry.stream import LogStream

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

# A longer text is somebody's whole answer or page: it is cut, not logged.
_TEXT_LENGTH = 10_000
# Texts up to this length are remembered once they were searched, at most this many.
_SHORT_TEXT = 64
_KNOWN_TEXTS = 1000
# Nested deeper than anything that we log; a value that contains itself ends here.
_DEPTH = 8

# Quieter than the rest: at INFO these tell each request and each connection once more.
_CHATTY = ("httpx", "httpcore", "psycopg.pool", "asyncio", "urllib3")

_CONTROL = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
# Half a surrogate pair is not a character: no encoder takes it.
_CONTROL |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_CONTROL_AND_LINES = _CONTROL | {ord("\n"): "\\n", ord("\t"): "\\t"}


def configure_logging(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Sends all logs to `stream` (default: stderr). May be called again.

    uvicorn must be run with `log_config=None`, or it takes its loggers back.
    """
    target = stream or _stderr()
    renderer: Processor = _render_json
    if settings.log_format == "text":
        renderer = structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    before: list[Processor] = [
        name_event,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    redactor = Redactor(secrets_of(settings))
    last: list[Processor] = [_named(process), redactor, renderer]
    handler = _Handler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(
            max(level, logging.WARNING) if level > logging.DEBUG else level
        )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    structlog.configure(
        # Not through `logging`: it costs more than all the rest of a line.
        processors=[*before, _as_one_argument],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=partial(_Lines, handler, last),
        # A cached logger would keep an earlier configuration, in the tests for instance.
        cache_logger_on_first_use=False,
    )
    as_json = settings.log_format == "json"
    facts = FactLines(handler.write_line, redactor.text, process, level) if as_json else None
    FactLines.writer = facts
    sys.excepthook = _log_crash
    threading.excepthook = _log_thread_crash


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret as it could turn up in a text: values, and passwords inside of addresses."""
    values = [
        value.reveal()
        for value in (getattr(settings, each.name) for each in fields(settings))
        if isinstance(value, Secret)
    ]
    passwords = [urlsplit(value).password or "" for value in values if "://" in value]
    return frozenset(
        text
        for text in [*values, *passwords, *map(unquote, passwords)]
        if len(text) >= SECRET_LENGTH
    )


class Redactor:
    """The last step before a line is written: plain values only, each text of them redacted."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        # The longest first: a short secret may be part of a long one.
        self._secrets = tuple(sorted(secrets, key=len, reverse=True))
        self._has_secret = re.compile("|".join(map(re.escape, self._secrets)) or "(?!)").search
        # Lines say the same words again and again, and searching is most of a line's cost.
        self._known: dict[str, str] = {}

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        return {self.text(name): self._named(name, value) for name, value in event.items()}

    def _named(self, name: str, value: object, depth: int = 0) -> object:
        # Tracebacks keep their lines. In everything else a line end could forge a log line, and an
        # escape could paint the terminal.
        if name in ("exception", "stack") and isinstance(value, str):
            return self._searched(value, _CONTROL)
        if is_sensitive(name) and value not in (None, "", 0):
            return MASK
        return self.text(value) if type(value) is str else self._value(value, depth)

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # Numbers are counts, times and ids. Of those that could be a person's only the CPF has
            # check digits to tell, and 11 of them.
            return "[cpf]" if abs(value) >= 10**10 and redact(str(value)) == "[cpf]" else int(value)
        if isinstance(value, str):
            return self.text(value)
        if depth >= _DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {
                self.text(str(name)): self._named(str(name), each, depth + 1)
                for name, each in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(each, depth + 1) for each in value]
        if isinstance(value, bytes | bytearray):
            return self.text(value.decode("utf-8", "backslashreplace"))
        if isinstance(value, UUID | date | timedelta | Enum | BaseException):
            return self.text(str(value))
        return self.text(repr(value))

    def text(self, text: str) -> str:
        known = self._known.get(text)
        if known is not None:
            return known
        if len(text) > _SHORT_TEXT:
            return self._searched(text)
        if is_plain(text) and not self._has_secret(text):
            return text
        if len(self._known) >= _KNOWN_TEXTS:
            self._known.clear()
        self._known[text] = searched = self._searched(text)
        return searched

    def _searched(self, text: str, table: Mapping[int, str] = _CONTROL_AND_LINES) -> str:
        cut = text if len(text) <= _TEXT_LENGTH else text[:_TEXT_LENGTH] + "…"
        return redact(cut, self._secrets).translate(table)


def _stderr() -> TextIO:
    """stderr behind a buffer; what waits at the end of the process gets a second to leave."""
    # A process that was started without stderr has none: its descriptor may be anybody's by now.
    try:
        descriptor = None if sys.stderr is None else sys.stderr.fileno()
    except UnsupportedOperation:
        # Nobody's file: text that a test or a notebook collects.
        return sys.stderr
    stream = LogStream(descriptor)
    atexit.register(stream.drain, 1.0)
    return cast(TextIO, stream)


def log_stream() -> LogStream | None:
    """Where lines leave this process; None before `configure_logging`, and in some tests."""
    handlers = (each for each in logging.getLogger().handlers if isinstance(each, _Handler))
    streams = (each.stream for each in handlers)
    return next((each for each in streams if isinstance(each, LogStream)), None)


class _Handler(logging.StreamHandler[TextIO]):
    """Where all lines come out; one that cannot be made never shows its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:
        self.tell_of_lost_line(record.name)

    def write_line(self, line: str) -> None:
        # A stream that is closed must end no attempt: the queue's lines come here directly.
        try:
            with self.lock or nullcontext():
                self.stream.write(line + self.terminator)
        except (ValueError, OSError):
            self.tell_of_lost_line("")

    def tell_of_lost_line(self, logger: str) -> None:
        kind, *_ = sys.exc_info()
        error = kind.__name__ if kind else ""
        with suppress(Exception):
            self.stream.write(
                f'{{"event": "log_line_lost", "logger": "{logger}", "error": "{error}"}}\n'
            )


class _Lines:
    """What structlog's loggers of one name write to. Whatever happens here, the caller goes on."""

    def __init__(self, handler: _Handler, last: Sequence[Processor], name: str = "") -> None:
        self.name = name
        self._handler = handler
        self._last = last

    def info(self, event: Any) -> None:
        """Named after the level, as structlog calls it; the event knows its level already."""
        try:
            for process in self._last:
                event = process(self, "", event)
            self._handler.write_line(event)
        except Exception:
            self._handler.tell_of_lost_line(self.name)

    debug = warning = error = critical = info


def _as_one_argument(
    _logger: Any, _method: str, event: EventDict
) -> tuple[tuple[EventDict], dict[str, Any]]:
    return (event,), {}


def _render_json(_logger: Any, _method: str, event: EventDict) -> str:
    return msgspec.json.encode(event).decode()


def _named(process: str) -> Processor:
    def name(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return name


def _log_crash(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("c2s_enrich").critical("crashed", exc_info=(kind, error, traceback))


def _log_thread_crash(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _log_crash(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
