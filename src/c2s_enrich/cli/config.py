"""`config show`, `completion` and `--version`: what is installed here, and how it is set."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from c2s_enrich.cli.frame import NOT_DONE, AsJson, fail, group, note, print_table

app = group("The settings in force.")

_MASK = "***"
# Set by the shell's script when it asks for completions.
COMPLETE = "_C2S_ENRICH_COMPLETE"


@dataclass(frozen=True)
class _Line:
    name: str
    value: str
    source: str
    why: str


@app.command("show")
def show(as_json: AsJson = False) -> None:
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
        lines.append(_Line(option.env, shown, source, option.why))
    columns = {
        "setting": lambda line: line.name,
        "value": lambda line: line.value,
        "from": lambda line: line.source,
        "what it is": lambda line: line.why,
    }
    print_table(lines, columns, as_json=as_json, empty="", spare=("what it is",))
    for problem in [*problems, *misspelt(os.environ)]:
        note(f"error: {problem}")
    if problems:
        raise typer.Exit(NOT_DONE)


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh, fish or powershell")] = "bash",
) -> None:
    """Print the script that completes commands and options in your shell.

    \b
    eval "$(c2s-enrich completion bash)"
    """
    from typer._completion_shared import get_completion_script

    if shell not in ("bash", "zsh", "fish", "powershell"):
        fail("the shell is bash, zsh, fish or powershell")
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
