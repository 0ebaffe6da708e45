"""The command line's table of contents: every command, and the file that holds it."""

import os
from typing import Annotated

from typer import Option

# isort: off
from c2s_enrich.cli import config, entry, errors, events, frame, leads, messages, privacy
from c2s_enrich.cli import processes, rejects, status, subscriptions, upstreams

app = frame.group(
    """A Contact2Sale webhook in, one message on the lead, everything in Postgres.

    Exit status: 0 done, 1 it did not work out or a person has to act, 2 the call or the settings
    are wrong, 3 not found, 75 it goes on by itself.
    """
)
Version = Annotated[
    bool, Option("--version", is_eager=True, callback=config.version, help="Print the version.")
]


@app.callback()
def every_command(version: Version = False) -> None:
    """What may stand before a command."""


for command in (
    processes.demo, processes.drill, processes.web, processes.poller, entry.ops, processes.migrate,
    status.status, leads.explain, status.pollers, status.runbook, leads.reconcile, leads.restored,
    privacy.erase, status.doctor, processes.mcp, subscriptions.subscribe,
    subscriptions.unsubscribe, subscriptions.subscriptions, config.completion,
):  # fmt: skip
    app.command()(command)
for nouns in (events, errors, leads, messages, upstreams, rejects, privacy, config):
    app.add_typer(nouns.app, name=nouns.__name__.rpartition(".")[2])


def main() -> None:
    if config.COMPLETE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    app(prog_name="c2s-enrich")
