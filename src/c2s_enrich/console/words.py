"""What the console says, in English and Portuguese: gettext over a TOML table for each language.

English texts stand in the templates and pages themselves. `sentences/pt.toml` translates them, and
both files name the codes (statuses, outcomes, kinds …). TOML and not .po, as the sentences of
`explain` are: it is read as it stands, so nothing has to be compiled before the product runs.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from gettext import NullTranslations
from typing import Any
from uuid import UUID

from c2s_enrich.ops.causes import Language, sentences
from c2s_enrich.ops.cells import length
from c2s_enrich.ops.problems import Problem
from c2s_enrich.redaction import visible

LANGUAGES: tuple[Language, ...] = ("en", "pt")
# A cell is a glance; whoever wants all of it takes the JSON.
_CELL_LENGTH = 300
# Counts over time, drawn as text.
_HEIGHTS = "▁▂▃▄▅▆▇█"


class Words(NullTranslations):
    """One language and one zone: texts, codes, numbers and times as their reader writes them."""

    def __init__(self, language: Language, zone: tzinfo) -> None:
        super().__init__()
        self.language = language
        self.zone = zone
        self._tables = sentences(language, __file__)
        self._messages: Mapping[str, Any] = self._tables.get("messages", {})

    def gettext(self, message: str) -> str:
        return str(self._messages.get(message, message))

    def code(self, kind: str, value: object) -> str:
        """A code in words; one that is new to us stays as it is."""
        return str(self._tables[kind].get(value, value or ""))

    def trouble(self, problem: Problem) -> str:
        """The sentence of /health; what only a process knows of itself is said in English."""
        template = self._tables.get("problem", {}).get(problem.code)
        return str(template).format_map(problem.values) if template else problem.sentence

    def number(self, value: float) -> str:
        text = f"{value:,.1f}" if isinstance(value, float) and value % 1 else f"{value:,.0f}"
        return text.translate({44: ".", 46: ","}) if self.language == "pt" else text

    def time(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S %Z}"

    def clock(self) -> str:
        place = str(self.zone).rpartition("/")[2].replace("_", " ")
        return f"{datetime.now(self.zone):%H:%M:%S} {place}"

    def text(self, value: object) -> str:
        """Any value as one line that neither a browser nor a terminal obeys."""
        match value:
            case None:
                return ""
            case bool():
                return self.gettext("yes" if value else "no")
            case int() | float():
                return self.number(value)
            case datetime():
                return self.time(value)
            case timedelta():
                return length(value)
            case UUID():
                return f"{str(value)[:8]}…"
            case list() if all(isinstance(each, int) for each in value):
                most = max([*value, 1])
                return "".join(_HEIGHTS[-(-each * 7 // most)] for each in value)
            case Mapping():
                value = ", ".join(f"{key} {self.text(each)}" for key, each in value.items())
        text = visible(str(value)[: _CELL_LENGTH + 1])
        return text if len(text) <= _CELL_LENGTH else text[: _CELL_LENGTH - 1] + "…"


def seconds(value: float) -> str:
    return length(timedelta(seconds=value))


def lines(text: str) -> str:
    """A text of several lines that no browser or terminal obeys."""
    return visible(text, keep="\n")


def utc(at: datetime | date) -> str:
    """For `title` and `datetime`: the same moment in UTC."""
    return at.astimezone(UTC).isoformat(timespec="seconds") if isinstance(at, datetime) else str(at)
