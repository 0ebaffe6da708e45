"""The processes of production, and the command that prepares their database."""

from typing import Annotated

import typer

from c2s_enrich.cli import ending, frame, stay


def web(
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Start without WEBHOOK_SECRET; needs HOST=127.0.0.1.")
    ] = False,
) -> None:
    """Receive webhooks until SIGTERM: store them and do nothing else."""
    stay.web(insecure=insecure)


def poller() -> None:
    """Work on events until SIGTERM. Several pollers may run at once."""
    stay.poller()


def migrate() -> None:
    """Bring the database to the newest schema. Safe to repeat, and from several machines at
    once.
    """
    address = ending.load_settings("migrate").direct_url.reveal()

    async def reached_and_applied() -> list[str]:
        from c2s_enrich.migrations import migrate as apply

        await frame.reach(address)
        return await apply(address, say=ending.note)

    applied = ending.run(reached_and_applied())
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("nothing to do: the schema is up to date")
