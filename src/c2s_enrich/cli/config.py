"""`config show`, `completion` and `--version`: what is installed here, and how it is set."""

import os
from datetime import timedelta
from typing import Annotated, Any, Literal

from typer import Argument, Exit, echo

from c2s_enrich.cli import frame
from c2s_enrich.cli.ending import NOT_DONE, note
from c2s_enrich.cli.lazy import settings, telemetry
from c2s_enrich.cli.printing import print_table

_MASK = "***"
# Set by the shell's script when it asks for completions.
COMPLETE = "_C2S_ENRICH_COMPLETE"

app = frame.group("The settings in force.")


@app.command("show")
def show(as_json: frame.AsJson = False) -> None:
    """Every setting: its value, and where it comes from. Secrets are masked."""
    read, problems = settings.Settings.read(os.environ)
    lines = []
    for option in settings.described():
        given = os.environ.get(option.env, "").strip()
        value = getattr(read, option.field)
        source = "environment" if given else "default"
        if not given and not option.secret and _shown(value) != option.default:
            source = "derived"
        shown = (_MASK if value else "") if option.secret else given or _shown(value)
        lines.append({"name": option.env, "value": shown, "source": source, "why": option.why})
    columns = {"setting": "name", "value": "value", "from": "source", "what it is": "why"}
    print_table(lines, columns, as_json=as_json, spare=("what it is",))
    for problem in [*problems, *settings.misspelt(os.environ)]:
        note(f"error: {problem}")
    if problems:
        raise Exit(NOT_DONE)


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.10g}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple) else str(value)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish", "powershell"], Argument()] = "bash",
) -> None:
    """Print the script that completes commands and options in your shell.

    \b
    eval "$(c2s-enrich completion bash)"
    """
    from typer._completion_shared import get_completion_script

    echo(get_completion_script(prog_name="c2s-enrich", complete_var=COMPLETE, shell=shell))


def version(asked: bool) -> None:
    """For --version: prints it and ends."""
    if asked:
        release = telemetry.release.release(settings.Settings.read(os.environ)[0])
        echo(f"c2s-enrich {release}")
        raise Exit
