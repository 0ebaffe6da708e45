"""Our loggers: a word for what happened, and its facts."""

import sys
from collections.abc import Callable, Mapping
from functools import partialmethod
from typing import Any, ClassVar, Literal

Level = Literal["debug", "info", "warning", "error", "critical"]
Write = Callable[[str, Level, str, Mapping[str, Any], bool], None]
"""Takes a logger's name, a level, the word and its facts, and whether these must be searched."""


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


def get_logger(name: str) -> Logger:
    return Logger(name)
