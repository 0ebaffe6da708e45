"""Rows as text cells and as CSV: the same for the command line, the admin API and the console."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import msgspec

from c2s_enrich.redaction import visible

# A spreadsheet takes a text that begins with one of these for a formula, wide ones too; a Brazilian
# one ends a cell at each semicolon.
_FORMULA = re.compile(r"(?:^|(?<=;))(?= *[=+\-@＝＋－＠])")


def length(span: timedelta) -> str:
    """12 s, 4 min, 3 h or 2 d: one unit, as a person says it."""
    seconds = abs(span.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def cell(row: Any, name: str) -> Any:
    """One column of a row, which is a mapping or an object."""
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def plain(value: Any) -> Any:
    """A value as one cell: lengths of time in words, nested values as JSON."""
    if isinstance(value, timedelta):
        return length(value)
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode()
    return value


def as_csv(rows: Sequence[Any]) -> str:
    """Mappings or dataclasses as CSV, with the names of the columns on top; empty for no rows."""
    given = [row if isinstance(row, Mapping) else asdict(row) for row in rows]
    text = io.StringIO()
    if given:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(given[0])
        writer.writerows([_harmless(plain(value)) for value in row.values()] for row in given)
    return text.getvalue()


def _harmless(cell: Any) -> Any:
    return _FORMULA.sub("'", visible(cell)) if isinstance(cell, str) else cell
