"""Logs: one redacted line for each thing that happened, whoever writes it."""

import atexit
import logging
import re
import sys
import threading
import traceback
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import lru_cache
from io import UnsupportedOperation
from types import TracebackType
from typing import Any, TextIO, cast
from urllib.parse import unquote

import msgspec

from c2s_enrich.options import SECRET_LENGTH, Secret
from c2s_enrich.redaction import MASK, is_plain, is_sensitive, redact
from c2s_enrich.settings import Settings
from c2s_enrich.telemetry.lines import Logger, event_names, get_logger
from c2s_enrich.telemetry.stream import LogStream

# A longer text is somebody's whole answer or page: it is cut, not logged.
_TEXT_LENGTH = 10_000
# Lines say the same words again and again, and searching is most of a line's cost: texts up to this
# length are remembered, at most this many.
_SHORT_TEXT = 64
_KNOWN_TEXTS = 1000
# Nested deeper than anything that we log; a value that contains itself ends here.
_DEPTH = 8

# Quieter than the rest: at INFO these tell each request and each connection once more.
_CHATTY = ("httpx", "httpcore", "psycopg.pool", "asyncio", "urllib3")

_LEVELS = {name.lower(): level for name, level in logging.getLevelNamesMapping().items()}
# On a terminal: cyan, green, yellow, red.
_COLOURS = {"debug": 36, "info": 32, "warning": 33, "error": 31, "critical": 31}

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
    handler = _Handler(stream or _stderr(), settings, process)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(handler.level)
    quiet = logging.DEBUG if handler.level <= logging.DEBUG else max(handler.level, logging.WARNING)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(quiet)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    Logger.write = handler.write
    sys.excepthook = _log_crash
    threading.excepthook = lambda told: _log_crash(*told[:3])


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret as it could turn up in a text: values, and passwords inside of addresses."""
    values = [
        value.reveal()
        for value in (getattr(settings, each.name) for each in fields(settings))
        if isinstance(value, Secret)
    ]
    # Not by urlsplit: it refuses an address with a broken bracket.
    passwords = [each for value in values for each in re.findall(r"://[^:@/?#]*:([^/?#]*)@", value)]
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
        self._short = lru_cache(_KNOWN_TEXTS)(self._short_text)

    def line(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {self.text(name): self._named(name, value) for name, value in facts.items()}

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
        return self.text(str(value))

    def text(self, text: str) -> str:
        return self._short(text) if len(text) <= _SHORT_TEXT else self._searched(text)

    def _short_text(self, text: str) -> str:
        return text if is_plain(text) and not self._has_secret(text) else self._searched(text)

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
    streams = (getattr(each, "stream", None) for each in logging.getLogger().handlers)
    return next((each for each in streams if isinstance(each, LogStream)), None)


class _Handler(logging.StreamHandler[TextIO]):
    """Where all lines come out: ours directly, others' through `logging`, which costs far more."""

    def __init__(self, stream: TextIO, settings: Settings, process: str) -> None:
        super().__init__(stream)
        self.setLevel(settings.log_level.upper())
        self._process = process
        self._redactor = Redactor(secrets_of(settings))
        self._as_text = settings.log_format == "text"

    def write(
        self, logger: str, level: str, event: str, facts: Mapping[str, Any], searched: bool
    ) -> None:
        """Whatever happens here, the caller goes on."""
        if _LEVELS[level] < self.level:
            return
        try:
            line = self._line(logger, level, event, facts, searched)
            with self.lock or nullcontext():
                self.stream.write(line + self.terminator)
        except Exception:
            self._tell_of_lost_line(logger)

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {"stack": record.stack_info} if record.stack_info else {}
        if record.exc_info:
            facts["exc_info"] = record.exc_info[1]
        return self._line(record.name, record.levelname.lower(), record.getMessage(), facts, True)

    def handleError(self, record: logging.LogRecord) -> None:
        self._tell_of_lost_line(record.name)

    def _line(
        self, logger: str, level: str, event: str, facts: Mapping[str, Any], searched: bool
    ) -> str:
        line: dict[str, Any] = {"event": event, **event_names(), **facts}
        if searched:
            if error := line.pop("exc_info", None):
                line["exception"] = "".join(traceback.format_exception(error)).rstrip()
            line = self._redactor.line(line)
        else:
            for name, value in line.items():
                if type(value) is str:
                    line[name] = self._redactor.text(value)
        line["level"], line["logger"], line["timestamp"] = level, logger, datetime.now(UTC)
        line.setdefault("process", self._process)
        return self._text(line) if self._as_text else msgspec.json.encode(line).decode()

    def _text(self, line: dict[str, Any]) -> str:
        """For a person: what happened, its facts, and on lines of its own the traceback."""
        at, level, traced = line.pop("timestamp"), line.pop("level"), line.pop("exception", "")
        shown = f"[{level:<8}]"
        if self.stream.isatty():
            shown = f"\x1b[{_COLOURS.get(level, 0)}m{shown}\x1b[0m"
        head = f"{at:%Y-%m-%dT%H:%M:%S.%fZ} {shown} {line.pop('event'):<30} [{line.pop('logger')}]"
        facts = "".join(f" {name}={each}" for name, each in line.items())
        return f"{head}{facts}\n{traced}".rstrip()

    def _tell_of_lost_line(self, logger: str) -> None:
        """By its error's name: the arguments may be anything."""
        error = type(sys.exception()).__name__
        line = f'{{"event": "log_line_lost", "logger": "{logger}", "error": "{error}"}}\n'
        with suppress(Exception):
            self.stream.write(line)


def _log_crash(_: object, error: BaseException | None, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(type(error), error, trace)
    elif error is not None:
        get_logger("c2s_enrich").critical("crashed", exc_info=error)
