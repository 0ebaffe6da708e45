"""The command line's table of contents: every command, and the file that holds it."""

from __future__ import annotations

from c2s_enrich.cli import (
    doctor,
    events,
    explain,
    frame,
    leads,
    messages,
    privacy,
    processes,
    rejects,
    runbook,
    sandbox,
    upstreams,
)

app = frame.group("A Contact2Sale webhook in, one message on the lead, everything in Postgres.")

for command in (
    sandbox.demo,
    sandbox.drill,
    processes.web,
    processes.poller,
    processes.migrate,
    runbook.status,
    explain.explain,
    events.errors,
    runbook.pollers,
    runbook.runbook,
    leads.reconcile,
    privacy.erase,
    doctor.doctor,
):
    app.command()(command)
for name, nouns in (
    ("events", events.app),
    ("leads", leads.app),
    ("messages", messages.app),
    ("upstreams", upstreams.app),
    ("rejects", rejects.app),
):
    app.add_typer(nouns, name=name)


def main() -> None:
    """The console script's entry."""
    app(prog_name="c2s-enrich")
