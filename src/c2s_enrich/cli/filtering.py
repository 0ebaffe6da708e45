"""One option for each word of an event filter, the same on every command that takes one."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from c2s_enrich.cli.ending import fail
from c2s_enrich.cli.frame import operator_zone
from c2s_enrich.ops.filters import WORDS, FilterError, parse_filter

_Ids = Annotated[list[str] | None, typer.Argument(metavar="[EVENT]...", help="ids of events")]
# Of a group: its first word is a command.
_IdOptions = Annotated[list[str] | None, typer.Option("--event", help="ids of events")]


def takes_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Gives the command an option for each word; it receives them parsed, as `chosen`."""

    @functools.wraps(command)
    def filtered(event: list[str] | None = None, **given: Any) -> None:
        words = {word: given.pop(word) for word in WORDS if word in given}
        words = {word: value for word, value in words.items() if value is not None}
        if event:
            words["event"] = ",".join(event)
        try:
            chosen = parse_filter(words, operator_zone())
        except FilterError as error:
            fail(str(error))
        command(chosen=chosen, **given)

    hints = get_type_hints(command, include_extras=True)
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in inspect.signature(command).parameters.values()
        if each.name != "chosen"
    ]
    options = [("event", _IdOptions if "context" in hints else _Ids)] + [
        (word, Annotated[str | None, typer.Option(f"--{word}", help=why)])
        for word, why in WORDS.items()
        if word != "event" and word not in hints
    ]
    parameters = [
        inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for word, kind in options
    ]
    filtered.__signature__ = inspect.Signature([*parameters, *own])  # type: ignore[attr-defined]
    filtered.__annotations__ = {each.name: each.annotation for each in [*parameters, *own]}
    return filtered
