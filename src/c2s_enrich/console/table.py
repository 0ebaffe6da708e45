"""A list declares its columns once: HTML, JSON and CSV all come from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from c2s_enrich.ops.cells import as_csv, cell

COUNTED = 10_000


@dataclass(frozen=True)
class Column:
    """`read` gives the value of JSON and CSV, `codes` its words in HTML, `link` its address."""

    key: str
    title: str
    read: Callable[[Any], Any]
    codes: str = ""
    link: Callable[[Any], str] | None = None


@dataclass(frozen=True)
class Table:
    """Rows with their columns. `empty` says what it means that there are none; `after` is the mark
    of the next page; `total` counts all, up to COUNTED + 1; `id` names a row for check boxes.
    """

    columns: Sequence[Column]
    rows: Sequence[Any]
    empty: str
    after: str | None = None
    total: int | None = None
    id: Callable[[Any], str] | None = None

    def plain(self) -> list[dict[str, Any]]:
        """As JSON has it: codes stay codes, times are ISO."""
        return [{column.key: column.read(row) for column in self.columns} for row in self.rows]

    def csv(self) -> str:
        """As a spreadsheet reads it: no cell is taken for a formula."""
        return as_csv(self.plain())


def named(name: str, title: str, **more: Any) -> Column:
    """A column that shows what its rows have under its name, as it is."""
    return Column(name, title, lambda row: cell(row, name), **more)
