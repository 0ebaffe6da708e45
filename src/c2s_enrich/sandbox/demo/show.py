"""What the demo prints: a live table on a terminal, then one message as the seller sees it, and
where to look further.
"""

from __future__ import annotations

from collections import Counter

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from c2s_enrich.sandbox.demo.story import Progress, Story, Verdict
from c2s_enrich.sandbox.stage import Stage

_STATUSES = ("received", "processing", "completed", "failed")
_COLOURS = {"received": "yellow", "processing": "cyan", "completed": "green", "failed": "red"}
_SQL = (
    "SELECT status, COUNT(*) FROM webhook_events GROUP BY status;",
    "SELECT lead_id, status, received_at, processed_at, error_message FROM webhook_events ORDER BY received_at DESC LIMIT 10;",
    "UPDATE webhook_events SET status = 'received' WHERE status = 'failed';",
)


def live_view(events: list[Progress], story: Story, height: int) -> Group:
    """The counts by status and the newest events with their steps, as many as fit."""
    counts = Counter(event.status for event in events)
    head = Text("  →  ".join(f"{status} {counts[status]}" for status in _STATUSES), style="bold")
    table = Table(expand=True, box=None, header_style="dim")
    for column in ("lead", "what", "status", "outcome", "steps in ms", "s"):
        table.add_column(column, no_wrap=True, overflow="ellipsis")
    for event in events[: max(5, height - 6)]:
        steps = "  ".join(f"{step['step']} {round(step['ms'] or 0)}" for step in event.steps or [])
        outcome = event.outcome or event.error_message or ("waits" if event.waits else "")
        table.add_row(
            event.lead_id[:8],
            story.titles.get(event.lead_id, ""),
            Text(event.status, style=_COLOURS[event.status]),
            outcome,
            steps,
            f"{event.seconds:.2f}",
        )
    return Group(head, table)


def print_message(console: Console, body: str | None) -> None:
    """One message, exactly as it stands on the lead."""
    if body is not None:
        console.print(
            Panel(Text(body), title="what the seller sees", expand=False, border_style="green")
        )


def print_addresses(console: Console, stage: Stage) -> None:
    """Where to look, and what to type."""
    console.print(f"messages of all leads   {stage.simulators_url}/", highlight=False)
    console.print(f"web                     {stage.web_url}/health", highlight=False)
    console.print(f"database                {stage.database_url}", highlight=False, soft_wrap=True)
    console.print(f"logs                    {stage.folder}", highlight=False, soft_wrap=True)
    console.print("\nSQL to try:")
    for line in _SQL:
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Counts and, where something is wrong, what."""
    console.print(
        f"{verdict.received} events: {verdict.completed} completed, {verdict.failed} failed as they should; "
        f"{verdict.messages_sent} messages, {verdict.messages_duplicated} twice; {verdict.seconds:.1f} s"
        if not verdict.problems
        else "[red]Not everything ended as it should:[/red]"
    )
    for problem in verdict.problems:
        console.print(f"  {problem}", highlight=False, markup=False)
