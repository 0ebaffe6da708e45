"""`config show`, `completion` and `--version`: what is installed here, and how it is set."""

import os
from typing import Annotated, Any, Literal

import typer

from c2s_enrich.cli import ending, frame

app = frame.group("The settings in force.")

_MASK = "***"
# Set by the shell's script when it asks for completions.
COMPLETE = "_C2S_ENRICH_COMPLETE"


@app.command("show")
def show(as_json: frame.AsJson = False) -> None:
    """Every setting: its value, and where it comes from. Secrets are masked."""
    from c2s_enrich.settings import Settings, described, misspelt

    settings, problems = Settings.read(os.environ)
    lines = []
    for option in described():
        given = os.environ.get(option.env, "").strip()
        value = getattr(settings, option.field)
        source = "environment" if given else "default"
        if not given and not option.secret and _shown(value) != option.default:
            source = "derived"
        shown = (_MASK if value else "") if option.secret else given or _shown(value)
        lines.append({"name": option.env, "value": shown, "source": source, "why": option.why})
    columns = {"setting": "name", "value": "value", "from": "source", "what it is": "why"}
    frame.print_table(lines, columns, as_json=as_json, spare=("what it is",))
    for problem in [*problems, *misspelt(os.environ)]:
        ending.note(f"error: {problem}")
    if problems:
        raise typer.Exit(ending.NOT_DONE)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], typer.Argument()] = "bash",
) -> None:
    """Print the script that completes commands and options in your shell.

    \b
    eval "$(c2s-enrich completion bash)"
    """
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name="c2s-enrich", complete_var=COMPLETE, shell=shell))


def version(asked: bool) -> None:
    """For --version: prints it and ends."""
    if asked:
        from c2s_enrich.settings import Settings
        from c2s_enrich.telemetry.release import release

        typer.echo(f"c2s-enrich {release(Settings.read(os.environ)[0])}")
        raise typer.Exit


def _shown(value: Any) -> str:
    from datetime import timedelta

    if isinstance(value, timedelta):
        return f"{value.total_seconds():.10g}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)
