"""Our loggers: a word for what happened, and its facts. What happens during an attempt also reaches
its journal, and every line meanwhile names the event.
"""

import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partialmethod
from typing import Any, ClassVar, Literal

Level = Literal["debug", "info", "warning", "error", "critical"]
Write = Callable[[str, Level, str, Mapping[str, Any], bool], None]
"""Takes a logger's name, a level, the word and its facts, and whether these must be searched."""
What = Literal["calls", "answers", "unreadable"]
Record = Callable[[What, dict[str, object]], None]

_attempt: ContextVar[tuple[Record, Mapping[str, object]] | None] = ContextVar(
    "attempt", default=None
)


class Logger:
    """Writes where `configure_logging` says; before that nowhere."""

    write: ClassVar[Write | None] = None

    def __init__(self, name: str) -> None:
        self._name = name

    def tell(
        self, level: Level, event: str, facts: Mapping[str, Any], *, searched: bool = True
    ) -> None:
        """`exc_info` among the facts: the error whose traceback belongs to it. Not `searched` is
        cheaper: of texts, numbers, UUIDs, and mappings of our own words, which are not redacted.
        """
        if Logger.write is not None:
            Logger.write(self._name, level, event, facts, searched)

    def _say(self, level: Level, event: str, /, **facts: Any) -> None:
        self.tell(level, event, facts)

    info = partialmethod(_say, "info")
    warning = partialmethod(_say, "warning")
    error = partialmethod(_say, "error")
    critical = partialmethod(_say, "critical")

    def exception(self, event: str, **facts: Any) -> None:
        """Within an `except`: with the traceback."""
        self.tell("error", event, {**facts, "exc_info": sys.exception()})


get_logger = Logger


def begin_attempt(record: Record, named: Mapping[str, object]) -> None:
    """What this task and its children `tell_attempt` goes to `record`; their lines say `named`."""
    _attempt.set((record, named))


def tell_attempt(what: What, **facts: object) -> None:
    """Words and numbers, never a contact. Outside an attempt nobody listens."""
    if attempt := _attempt.get():
        attempt[0](what, facts)


def event_names() -> Mapping[str, object]:
    attempt = _attempt.get()
    return attempt[1] if attempt else {}
