"""What commands print on stdout: tables, JSON and CSV, and texts that no terminal obeys."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from typer import echo

from c2s_enrich.cli.ending import fail, note
from c2s_enrich.cli.lazy import ops, redaction

Column = str | Callable[[Any], object]
"""What a column shows of a row: an attribute or a key by its name, or what is made of the row."""


def print_json(value: object) -> None:
    """One line of JSON; dataclasses, ids, times and durations are understood."""
    import msgspec

    text = msgspec.json.encode(value).decode()
    echo("".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text))


def print_table(
    rows: Sequence[Any],
    columns: Mapping[str, Column] | None = None,
    *,
    as_json: bool = False,
    as_csv: bool = False,
    empty: str = "",
    spare: Sequence[str] = (),
) -> None:
    """One line for each row, or the rows as they are: one JSON array, or CSV. Without `columns` the
    keys of the rows are shown. `empty` says what it means that there are none. On a terminal that
    is too narrow the `spare` columns are left out, and the last one is cut; where even that does
    not fit, each row becomes a block of lines.
    """
    if as_json:
        return print_json(rows)
    if as_csv:
        return echo(ops.cells.as_csv(rows), nl=False)
    if not rows:
        return note(empty)
    columns = columns or {name: name for name in rows[0]}
    cell = ops.cells.cell
    cells = [
        [visible(each(row) if callable(each) else cell(row, each)) for each in columns.values()]
        for row in rows
    ]
    table, watched = [list(columns), *cells], sys.stdout.isatty()
    *widths, longest = (max(map(len, column)) for column in zip(*table, strict=True))
    left = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    if watched and spare and left < 20:
        return print_table(rows, {name: columns[name] for name in columns if name not in spare})
    if watched and left < min(8, longest):
        width = max(map(len, columns))
        for row in cells:
            for name, text in zip(columns, row, strict=True):
                echo(f"{name.ljust(width)}  {text}".rstrip())
            echo()
        return None
    for *first, last in table:
        end = f"{last[: left - 1]}…" if watched and len(last) > left else last
        echo("  ".join([*map(str.ljust, first, widths), end]).rstrip())
    return None


def visible(value: object) -> str:
    """A value as one line that no terminal obeys: whatever cannot be printed is escaped."""
    if value is None:
        return ""
    text = when(value) if isinstance(value, datetime) else str(ops.cells.plain(value))
    return redaction.visible(text)


def when(at: datetime) -> str:
    """A time in OPERATOR_TIMEZONE, with the zone named."""
    return f"{at.astimezone(operator_zone()):%Y-%m-%d %H:%M:%S %Z}"


def operator_zone() -> tzinfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(os.environ.get("OPERATOR_TIMEZONE", "").strip() or "America/Sao_Paulo")
    except (KeyError, ValueError, OSError):
        fail("OPERATOR_TIMEZONE is not the name of a time zone, such as America/Sao_Paulo")
