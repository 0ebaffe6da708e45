"""`doctor`: what can be checked from here."""

from __future__ import annotations

import os

import typer

from c2s_enrich.cli.frame import load_settings, run


def doctor() -> None:
    """Check the settings of every process, the database and its schema."""
    from c2s_enrich.errors import SettingsError
    from c2s_enrich.migrations import pending
    from c2s_enrich.settings import Settings

    healthy = True
    for process in ("web", "poller"):
        try:
            Settings.load(os.environ, process)
        except SettingsError as error:
            healthy = False
            for problem in error.problems:
                typer.echo(f"{process}: {problem}")
        else:
            typer.echo(f"{process}: its settings are complete")
    settings = load_settings("migrate")
    waiting = run(pending(settings.direct_url.reveal()))
    state = f"{len(waiting)} migrations to apply" if waiting else "its schema is up to date"
    typer.echo(f"database: answers, {state}")
    raise typer.Exit(0 if healthy and not waiting else 1)
