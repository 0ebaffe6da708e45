"""The command line's table of contents: every command, and the file that holds it."""

import os
from typing import Annotated

import typer

from c2s_enrich.cli import (
    config,
    doctor,
    errors,
    events,
    frame,
    leads,
    mcp,
    messages,
    privacy,
    processes,
    rejects,
    runbook,
    sandbox,
    stay,
    subscriptions,
    upstreams,
)

app = frame.group("A Contact2Sale webhook in, one message on the lead, everything in Postgres.")


@app.callback()
def every_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=config.version, help="Print the version."
        ),
    ] = False,
) -> None:
    """A Contact2Sale webhook in, one message on the lead, everything in Postgres.

    Exit status: 0 done, 1 it did not work out or a person has to act, 2 the call or the settings
    are wrong, 3 not found, 75 it goes on by itself.
    """


for command in (
    sandbox.demo,
    sandbox.drill,
    processes.web,
    processes.poller,
    stay.ops,
    processes.migrate,
    runbook.status,
    leads.explain,
    runbook.pollers,
    runbook.runbook,
    leads.reconcile,
    leads.restored,
    privacy.erase,
    doctor.doctor,
    mcp.mcp,
    subscriptions.subscribe,
    subscriptions.unsubscribe,
    subscriptions.subscriptions,
    config.completion,
):
    app.command()(command)
for name, nouns in (
    ("events", events.app),
    ("errors", errors.app),
    ("leads", leads.app),
    ("messages", messages.app),
    ("upstreams", upstreams.app),
    ("rejects", rejects.app),
    ("privacy", privacy.app),
    ("config", config.app),
):
    app.add_typer(nouns, name=name)


def main() -> None:
    if config.COMPLETE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    app(prog_name="c2s-enrich")
