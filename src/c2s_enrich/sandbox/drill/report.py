"""The audit's verdict as a table, with the first sentences about what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from c2s_enrich.sandbox.drill.audit import Findings

_PROBLEMS_SHOWN = 30


def show(console: Console, findings: Findings, counts: Mapping[str, float]) -> None:
    """Prints every count, and what is wrong."""
    table = Table(
        title="nothing lost, nothing told twice"
        if findings.clean
        else "[red]not as promised[/red]",
        title_justify="left",
    )
    table.add_column("what")
    table.add_column("count", justify="right")
    for name, count in counts.items():
        table.add_row(name.replace("_", " "), f"{count:g}")
    console.print(table)
    for problem in findings.problems[:_PROBLEMS_SHOWN]:
        console.print(f"  {problem}", highlight=False, markup=False, soft_wrap=True)
    if len(findings.problems) > _PROBLEMS_SHOWN:
        console.print(f"  and {len(findings.problems) - _PROBLEMS_SHOWN} more", highlight=False)
