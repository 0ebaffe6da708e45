"""What the demo prints: a live table on a terminal, then one message as the seller sees it, and
where to look further.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from c2s_enrich.sandbox.demo.story import Progress, Story, Verdict
from c2s_enrich.sandbox.stage import ADMIN_TOKEN, Stage

_STATUSES = ("received", "processing", "completed", "failed")
_COLOURS = {"received": "yellow", "processing": "cyan", "completed": "green", "failed": "red"}
_SQL = (
    "SELECT status, COUNT(*) FROM webhook_events GROUP BY status;",
    "UPDATE webhook_events SET status = 'received' WHERE status = 'failed';",
)
# Steps are worth their room only where the other columns keep theirs.
_WIDE = 110


def live_view(events: list[Progress], story: Story, width: int, height: int) -> Group:
    """The counts by status and the newest events, as many as fit. The status is never cut."""
    counts = Counter(event.status for event in events)
    head = Text("  →  ".join(f"{status} {counts[status]}" for status in _STATUSES), style="bold")
    table = Table(expand=True, box=None, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("lead", no_wrap=True, min_width=8)
    table.add_column("what", no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column("status", no_wrap=True, min_width=10)
    table.add_column("outcome", no_wrap=True, overflow="ellipsis", ratio=2, min_width=12)
    table.add_column("s", no_wrap=True, justify="right", min_width=5)
    if width >= _WIDE:
        table.add_column("steps in ms", no_wrap=True, overflow="ellipsis", ratio=4)
    for event in events[: max(5, height - 6)]:
        outcome = event.outcome or event.error_message or ("waits" if event.waits else "")
        cells: list[str | Text] = [
            event.lead_id[:8],
            story.titles.get(event.lead_id, ""),
            Text(event.status, style=_COLOURS[event.status]),
            outcome,
            f"{event.seconds:.2f}",
        ]
        if width >= _WIDE:
            steps = (f"{step['step']} {round(step['ms'] or 0)}" for step in event.steps or [])
            cells.append("  ".join(steps))
        table.add_row(*cells)
    return Group(head, table)


def print_message(console: Console, body: str | None) -> None:
    """One message, exactly as it stands on the lead."""
    if body is not None:
        console.print(
            Panel(Text(body), title="what the seller sees", expand=False, border_style="green")
        )


def print_addresses(console: Console, stage: Stage, lead: str | None) -> None:
    """Where to look, and what to type; `lead` is one that got nothing."""

    def line(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    program = Path(sys.argv[0]).resolve()
    line(f"What sellers see   {stage.simulators_url}/")
    line(f"What operators see {stage.ops_url}/  (token: {ADMIN_TOKEN})")
    line(f"Health             {stage.web_url}/health")
    line(f"Logs               {stage.folder}")
    if lead:
        line(f"\nA lead that failed  {stage.ops_url}/leads/{lead}")
        line("                   C2S knows it by now: reprocess it there and see it told.")
    line("\nIn another terminal:")
    line(f"  export DATABASE_URL='{stage.database_url}'")
    about_one = (f"explain {lead}", f"events reprocess --lead {lead}") if lead else ()
    for words in (*about_one, "status", "errors", "events list"):
        line(f"  {program} {words}")
    line("\nSQL, with any client:")
    for statement in _SQL:
        line(f"  {statement}")


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Counts and, where something is wrong, what."""
    copies = verdict.messages_duplicated
    doubled = "no duplicates" if not copies else f"{copies} sent twice"
    console.print(
        f"{verdict.received} events: {verdict.completed} completed, "
        f"{verdict.failed} failed as expected. "
        f"{verdict.messages_sent} messages sent, {doubled}. {verdict.seconds:.1f} s"
        if not verdict.problems
        else "[red]Not everything ended as expected:[/red]",
        highlight=False,
    )
    for problem in verdict.problems:
        console.print(f"  {problem}", highlight=False, markup=False)
